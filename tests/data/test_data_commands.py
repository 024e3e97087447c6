"""`benchmark datasets`, `benchmark data build` and `benchmark data verify`, as a user types them."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest

from siconvnet.datasets import dataset_path


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
