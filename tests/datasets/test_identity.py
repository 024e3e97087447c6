"""What identifies a data file: its content where the file says so, and its bytes otherwise."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from siconvnet.datasets.identity import BY_CONTENT, identify_file
from siconvnet.errors import DatasetError

MARK = {"identity": np.array(BY_CONTENT)}


def changed(key: str, where: tuple[int, ...]):
    """Adds one to an element; of a place, at the smallest scale, where that stays inside the canvas or comes back."""

    def change(arrays):
        array = arrays[key].copy()
        array[where] ^= 1
        return arrays | MARK | {key: array}

    return change


SAME = {
    "other words about it": {"metadata": np.array([["title", "other"], *[[key, "x"] for key in "abcde"]])},
    "other names of the classes": {"lbldata": np.array(["three", "four"])},
    "an array more": {"remark": np.arange(3)},
}


@pytest.mark.parametrize("case", SAME)
def test_what_does_not_matter(case, stir_file):
    one, _ = stir_file(change=lambda arrays: arrays | MARK, name="one")
    two, _ = stir_file(change=lambda arrays: arrays | MARK | SAME[case], name="two")
    assert identify_file(one) == identify_file(two) != hashlib.sha256(one.read_bytes()).hexdigest()


@pytest.mark.parametrize("num_channels", [1, 3])
def test_how_the_arrays_are_stored_does_not_matter(num_channels, stir_file):
    one, arrays = stir_file(num_channels, change=lambda arrays: arrays | MARK, name="one")
    np.savez_compressed(one.with_name("two.npz"), **arrays)
    others = {
        "imgs": np.asfortranarray(arrays["imgs"]),
        **{key: arrays[key].astype(kind) for key, kind in (("lbls", "u1"), ("scls", ">i4"), ("psts", "i2"))},
    }
    np.savez(one.with_name("three.npz"), **(arrays | others))
    assert len({identify_file(one.with_name(f"{name}.npz")) for name in ("one", "two", "three")}) == 1


@pytest.mark.parametrize(
    ("key", "where"),
    [("imgs", (2, 47, 1, 1, 63, 63)), ("lbls", (0, 0, 0, 0)), ("scls", (1, 9, 0, 1)), ("psts", (0, 30, 1, 0, 1))],
)
def test_what_does_matter(key, where, stir_file):
    one, _ = stir_file(change=lambda arrays: arrays | MARK, name="one")
    two, _ = stir_file(change=changed(key, where), name="two")
    assert identify_file(one) != identify_file(two)


def test_files_that_do_not_say_so_keep_their_identity(stir_file, tmp_path):
    """That of their bytes: runs on files of an earlier version are found by it."""
    other = tmp_path / "other.npz"
    other.write_bytes(b"no archive at all")
    for path in (stir_file()[0], stir_file(change=lambda a: a | {"identity": np.array("x")}, name="x")[0], other):
        assert identify_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_that_cannot_be_read(stir_file, tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read the data file .*none\.npz': No such file"):
        identify_file(tmp_path / "none.npz")
    path, _ = stir_file(change=lambda arrays: arrays | MARK)
    content = bytearray(path.read_bytes())
    content[content.index(b"imgs.npy") + 100_000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="Bad CRC"):
        identify_file(path)


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(DatasetError, match="not a regular file"):
        identify_file(tmp_path / "pipe.npz")
