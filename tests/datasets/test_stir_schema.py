"""Every way in which a data file can be wrong ends in one line that names the file and what was expected."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from siconvnet.datasets import load_dataset
from siconvnet.datasets.schema import read_canvases
from siconvnet.errors import DatasetError


def put(key, where, value):
    """Change one entry of one array."""

    def change(arrays):
        array = arrays[key].copy()
        array[where] = value
        return arrays | {key: array}

    return change


def without(key):
    return lambda arrays: {k: v for k, v in arrays.items() if k != key}


def remade(key, make):
    return lambda arrays: arrays | {key: make(arrays[key])}


class Trap:
    """Leaves a trace if it is ever unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


WRONG = {
    **{f"no {key}": (without(key), f"has no array '{key}'") for key in ("imgs", "lbls", "scls", "psts")},
    "no metadata": (without("metadata"), "has no array 'metadata'"),
    "no lbldata": (without("lbldata"), "has no array 'lbldata'"),
    "two splits": (remade("imgs", lambda a: a[:2]), r"imgs has shape \(2, 48, 2, 2, 64, 64\), expected \(3, 48, "),
    "a scale less": (remade("imgs", lambda a: a[:, 1:]), r"imgs has shape \(3, 47, "),
    "a smaller canvas": (remade("imgs", lambda a: a[..., :63]), r"imgs has shape .*, 64, 63\)"),
    "no classes": (remade("imgs", lambda a: a[:, :, :0]), r"imgs has shape \(3, 48, 0, "),
    "a scalar": (remade("imgs", lambda a: a[0, 0, 0, 0, 0, 0]), r"imgs has shape \(\), expected"),
    "four channels": (remade("imgs", lambda a: np.stack([a[:, :, :1]] * 4, -1)), "expected .* 3 colour channels"),
    "float images": (remade("imgs", lambda a: a.astype("f4")), "imgs has type float32, expected uint8"),
    "signed images": (remade("imgs", lambda a: a.astype("i1")), "imgs has type int8, expected uint8"),
    "object images": (remade("imgs", lambda a: np.full(a.shape[:4], None)), "imgs holds Python objects"),
    "labels of another shape": (remade("lbls", lambda a: a[..., 0]), r"lbls has shape \(3, 48, 2\), expected \(3, "),
    "float labels": (remade("lbls", lambda a: a.astype(float)), "lbls has type float64, expected integers"),
    "boolean labels": (remade("lbls", lambda a: a.astype(bool)), "lbls has type bool, expected integers"),
    "object labels": (remade("lbls", lambda a: a.astype(object)), "lbls holds Python objects"),
    "a label too high": (put("lbls", (2, 47, 1, 1), 2), r"lbls holds labels 0\.\.2, expected 0\.\.1"),
    "a label too low": (put("lbls", (0, 0, 0, 0), -1), r"lbls holds labels -1\.\.1, expected 0\.\.1"),
    "ascending scales": (remade("scls", lambda a: a[:, ::-1]), r"scls must be 64, 63, \.\.\., 17"),
    "one wrong scale": (put("scls", (1, 5, 0, 1), 60), r"scls must be 64, 63, \.\.\., 17"),
    "positions without y": (remade("psts", lambda a: a[..., 0]), r"psts has shape .* expected \(3, 48, 2, 2, 2\)"),
    "a box over the left edge": (
        put("psts", (1, 9, 1, 0, 0), -1),
        r"1 of 576 .*index \(1, 9, 1, 0\): side 55, left -1",
    ),
    "a box over the lower edge": (put("psts", (2, 47, 0, 1, 1), 48), r"1 of 576 .* side 17, left \d+, top 48"),
    "metadata in one column": (remade("metadata", lambda a: a[:, 0]), r"metadata has shape \(6,\), expected \(6, 2\)"),
    "metadata of bytes": (remade("metadata", lambda a: a.astype("S")), "metadata has type .*, expected text"),
    "pickled metadata": (remade("metadata", lambda a: np.full((6, 2), Trap(), object)), "holds Python objects"),
    "a name too many": (remade("lbldata", lambda a: np.append(a, "x")), r"lbldata has shape \(3,\), expected \(2,\)"),
    "numbers for names": (remade("lbldata", lambda a: np.arange(2)), "lbldata has type int64, expected text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content(case, stir_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    change, message = WRONG[case]
    path, _ = stir_file(change=change)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not Path("unpickled").exists()


def test_right_content_passes(stir_file):
    """The negative control of all of these: unchanged, the same file is read."""
    for num_channels in (1, 3):
        path, _ = stir_file(num_channels)
        assert load_dataset(path).num_channels == num_channels
    path, _ = stir_file(change=put("lbls", (0, 0, 0, 0), 1))
    load_dataset(str(path))


@pytest.mark.parametrize("num_channels", [1, 3])
def test_some_canvases_of_a_file_in_fortrans_order(stir_file, num_channels):
    path, arrays = stir_file(num_channels, lambda arrays: arrays | {"imgs": np.asfortranarray(arrays["imgs"])})
    flat = arrays["imgs"].reshape(-1, *arrays["imgs"].shape[4:])
    places = [5, 0, 5]
    assert all(np.array_equal(flat[at], found) for at, found in zip(places, read_canvases(path, places), strict=True))


def test_oblong_objects_fit_along_their_longer_side(stir_file):
    """An aerial object's scale is its longer side: the square over it may reach beyond the canvas along the other."""
    beyond = put("psts", (0, 14, 0, 0), (14, 40))
    with pytest.raises(DatasetError, match=r"outside the 64 x 64 canvas"):
        load_dataset(stir_file(change=beyond)[0])
    load_dataset(stir_file(change=beyond, name="aerial")[0])
    with pytest.raises(DatasetError, match=r"outside the 64 x 64 canvas"):
        load_dataset(stir_file(change=put("psts", (0, 14, 0, 0), (16, 40)), name="aerial")[0])
    with pytest.raises(DatasetError, match=r"outside the 64 x 64 canvas"):
        load_dataset(stir_file(change=put("psts", (0, 14, 0, 0), (3, 64)), name="aerial")[0])


def test_no_such_file(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no file .*nothing.npz"):
        load_dataset(tmp_path / "nothing.npz")


def test_a_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*: Is a directory"):
        load_dataset(tmp_path)


def _a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"imgs": 1}))


def _a_single_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


def _another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("imgs.npy", b"these bytes are no array")


@pytest.mark.parametrize(
    "make", [_a_pickle, _a_single_array, _another_zip, lambda p: p.write_bytes(b""), lambda p: p.write_text("hello")]
)
def test_other_files(make, tmp_path):
    path = tmp_path / "other.npz"
    make(path)
    with pytest.raises(DatasetError, match=r"other\.npz is not an intact \.npz file") as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_cut_short(share, stir_file):
    path, _ = stir_file()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DatasetError, match=r"not an intact \.npz file"):
        load_dataset(path)


def test_an_array_that_claims_more_than_it_holds(tmp_path, stir_file):
    """A header that promises a terabyte is refused before anything of that size is allocated."""
    good, _ = stir_file()
    path = tmp_path / "claims.npz"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "imgs.npy":
                content = content.replace(b"(3, 48, 2, 2, 64, 64)", b"(3,48,99999,9,64,64)".ljust(21), 1)
            target.writestr(name, content)
    with pytest.raises(DatasetError, match=r"imgs is cut short"):
        load_dataset(path)
