"""`benchmark datasets`, `benchmark data build` and `benchmark data verify`, as a user types them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tracemalloc

import numpy as np
import pytest

from benchmark.data import verify
from benchmark.data.custom import custom_path
from benchmark.spec import RunSpec
from siconvnet.datasets import dataset_path, list_datasets, load_dataset


def test_datasets_table(benchmark, tmp_path):
    code, out, _ = benchmark("datasets")
    assert code == 0
    for part in ("emoji", "mnist", "trafficsign", "aerial", "36", "missing", "benchmark data build mnist"):
        assert part in out
    assert f"{tmp_path / 'data' / 'aerial.npz'}\n" in out, "a path stays in one piece, to be copied"


def test_datasets_for_programs(benchmark):
    as_json = json.loads(benchmark("datasets", "--format", "json")[1])
    as_csv = list(csv.DictReader(io.StringIO(benchmark("datasets", "--format", "csv")[1])))
    assert [row["name"] for row in as_json] == [row["name"] for row in as_csv]
    assert [row["name"] for row in as_json if row["present"]] == ["emoji"]
    texts = [{key: "" if value is None else str(value) for key, value in row.items()} for row in as_json]
    assert texts == as_csv


def test_verify_a_right_file(benchmark):
    code, out, err = benchmark("data", "verify", "emoji")
    assert (code, err) == (0, "")
    assert "images: 5,184" in out and "imgs    ok, 1877d706cfa8b2df76d55fe948c1e943" in out


def test_verify_a_changed_file(benchmark, tmp_path):
    """The negative control: one pixel of five thousand images, one level."""
    path = tmp_path / "emoji.npz"
    with np.load(dataset_path("emoji")) as file:
        arrays = {key: file[key] for key in file.files}
    arrays["imgs"][2, 47, 35, 0, 63, 63] ^= 1
    np.savez(path, **arrays)
    code, out, err = benchmark("data", "verify", path)
    assert code == 1
    assert "imgs    DIFFERENT" in out and "psts    ok" in out
    assert err.startswith(f"error: {path} is not emoji as it is known: imgs has checksum")
    assert err.count("\n") == 1


def test_verifying_takes_little_memory(tmp_path):
    path, repeats = tmp_path / "large.npz", 8
    with np.load(dataset_path("emoji")) as file:
        arrays = {key: np.repeat(file[key], repeats, axis=3) for key in ("lbls", "scls", "psts")}
        images = np.zeros((*arrays["lbls"].shape, 64, 64), np.uint8)
        np.savez_compressed(path, imgs=images, **arrays, lbldata=file["lbldata"], metadata=file["metadata"])
    tracemalloc.start()
    try:
        assert "images: 41,472" in verify(path).content
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes / 4


def test_verify_a_file_of_unknown_content(benchmark, tmp_path):
    shutil.copy(dataset_path("emoji"), tmp_path / "mine.npz")
    code, out, _ = benchmark("data", "verify", tmp_path / "mine.npz")
    assert code == 0 and "none known for this file" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data", "verify", "emoij"], 2, "unknown dataset 'emoij'. Did you mean 'emoji'?"),
        (["data", "verify", "stl-10"], 2, "Did you mean 'stl10'?"),
        (["data", "verify", "nothing.npz"], 1, "there is no file nothing.npz"),
        (["data", "verify", "mnist"], 1, "type: benchmark data build mnist"),
        (["data", "verify", "aerial"], 1, "Zenodo record 6578038"),
        (["data", "build", "mnits"], 2, "Did you mean 'mnist'?"),
        (["data", "build", "trafficsign"], 1, "name the folder of the downloads: --source DIR"),
        (["data", "build", "mnist", "--jobs", "0"], 2, "jobs must be 1 or more"),
        (["data", "build", "mnist", "--source", "nowhere"], 2, "'nowhere' does not exist"),
        (["data", "build", "emoji", "--output", "/proc/none/emoji.npz"], 1, "cannot write into /proc/none"),
    ],
)
def test_what_goes_wrong_is_one_line(benchmark, arguments, code, message):
    found, out, err = benchmark(*arguments)
    assert (found, out) == (code, "")
    assert message in err and err.count("\n") == 1 and err.startswith("error: ")


def rewritten(path, name, **changes):
    """The emoji file with other arrays."""
    with np.load(dataset_path("emoji")) as file:
        np.savez(path / name, **{**file, **changes})
    return path / name


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.random.default_rng(0).integers(0, 36, (3, 48, 36, 1)), "of 108 objects another class at another size"),
        (np.zeros((3, 48, 36, 1), int), "lbls has no objects of class 1 in split 'train'"),
    ],
)
def test_labels_that_teach_nothing(benchmark, tmp_path, labels, message):
    path = rewritten(tmp_path, "toy.npz", lbls=labels)
    code, _, err = benchmark("data", "verify", path)
    assert code == 1 and message in err and err.count("\n") == 1


def test_one_class(benchmark, tmp_path):
    with np.load(dataset_path("emoji")) as file:
        one = {key: file[key][:, :, :1] for key in ("imgs", "lbls", "scls", "psts")}
        np.savez(tmp_path / "one.npz", **one, lbldata=file["lbldata"][:1], metadata=file["metadata"])
    code, _, err = benchmark("data", "verify", tmp_path / "one.npz")
    assert code == 1 and "holds one class; a model needs two or more" in err


def test_a_suffix_in_capitals_is_one(benchmark, tmp_path):
    shutil.copy(dataset_path("emoji"), tmp_path / "toy.NPZ")
    assert benchmark("data", "verify", tmp_path / "toy.NPZ")[0] == 0
    RunSpec("standard", str(tmp_path / "toy.NPZ"), evaluation=2).validate()


def test_chance_level(benchmark, tmp_path):
    assert "classes (chance 2.8%): 36" in benchmark("data", "verify", "emoji")[1]
    rows = {row["name"]: row for row in json.loads(benchmark("datasets", "--format", "json")[1])}
    assert rows["emoji"]["chance"] == pytest.approx(100 / 36) and rows["mnist-range"]["chance"] == 10
    assert "2.8%" in benchmark("datasets")[1]


def test_no_formula_reaches_a_spreadsheet(benchmark, tmp_path):
    (tmp_path / "data").mkdir()
    metadata = np.array([["license", "=HYPERLINK(0)"], *[[key, "\x1b[2J"] for key in "abcde"]])
    rewritten(tmp_path / "data", "mine.npz", metadata=metadata)
    out = benchmark("datasets", "--format", "csv")[1]
    assert ",'=HYPERLINK(0)," in out and "\x1b" not in out


def test_own_data_is_not_kept_in_a_cache(monkeypatch, tmp_path):
    """Files that are in the cache folder, as earlier versions left them, go on being found there."""
    for kind in ("cache", "data"):
        monkeypatch.setattr(f"platformdirs.user_{kind}_path", lambda *names, kind=kind, **options: tmp_path / kind)
        (tmp_path / kind / "datasets").mkdir(parents=True)
    monkeypatch.delenv("SICONVNET_DATA", raising=False)
    assert custom_path("mine") == tmp_path / "data" / "datasets" / "mine.npz"
    for name, places in {"old": ["cache"], "mine": ["cache", "data/datasets"], "new": ["data/datasets"]}.items():
        for place in places:
            shutil.copy(dataset_path("emoji"), tmp_path / place / f"{name}.npz")
    assert list_datasets()[-3:] == ["mine", "new", "old"]
    assert dataset_path("old") == tmp_path / "cache" / "old.npz"
    assert dataset_path("mine") == custom_path("mine") and load_dataset("new").num_classes == 36
    assert RunSpec("standard", "mine", evaluation=2).dataset_key.startswith("mine-")
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "chosen"))
    assert custom_path("mine") == tmp_path / "chosen" / "mine.npz"


def test_words_of_a_file_are_no_markup(benchmark, tmp_path):
    (tmp_path / "data").mkdir()
    metadata = np.array([["license", "[/red] [bold]MIT"], *[[key, "[/]"] for key in "abcde"]])
    rewritten(tmp_path / "data", "mine.npz", metadata=metadata)
    code, out, err = benchmark("datasets")
    assert code == 0 and "[/red]" in out, err
