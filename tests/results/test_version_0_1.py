"""A store, records and exports of version 0.1 are read, continued and ranked as that version did."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.results.leaderboard import leaderboard
from benchmark.results.runs import read_runs, spec_of
from benchmark.results.selection import is_short
from benchmark.results.sizes import errors_to_wide, scales_to_wide
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import Store, evaluations
from benchmark.store.ingestion import ingest
from benchmark.store.weights import load_model
from benchmark.studies import find_study
from benchmark.studies.stir import STIR
from siconvnet.datasets import load_dataset
from siconvnet.metrics.generalization import predict

KEY = "few-825256f1621f"
#: Study -> finished runs in the store, those of another length among them, and those that did not finish.
RUNS = {"stir": (13, 3, 1), "mnist-scale": (10, 1, 0), "mnist-range": (4, 1, 0), "stl10": (3, 0, 0)}
BOARDS = {
    "few": ["-d", "few.npz"],
    "few_k5": ["-d", "few.npz", "--kernel-size", "5"],
    "emoji": ["-d", "emoji"],
    "mnist-scale": ["-d", "mnist-scale"],
    "stl10": ["-d", "stl10"],
}
FIGURES = ["n", "mean", "std", "ci_low", "ci_high"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked folder, its store told where it is."""
    folder = tmp_path_factory.mktemp("version_0_1")
    packed = Path(__file__).parents[1] / "fixtures" / "store_0_1" / "store.tar.xz"
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    with sqlite3.connect(folder / "mlflow.db") as database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, '/FOLDER', ?)", (str(folder),))
    database.close()
    return folder


@pytest.fixture(autouse=True)
def beside_it(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(old)
    monkeypatch.syspath_prepend(old)


def source(study: str) -> Source:
    return Source(find_study(study), [MLFLOW], "mlflow.db")


@pytest.mark.parametrize(("study", "counts"), RUNS.items())
def test_all_runs_are_read(study: str, counts: tuple[int, int, int]) -> None:
    found = source(study)
    assert (len(found.runs), int(is_short(found.runs).sum()), len(found.unfinished)) == counts


@pytest.mark.parametrize("study", RUNS)
def test_finished_runs_are_found_again(study: str) -> None:
    """A run is known by the hash of its spec: the command that made it repeats nothing."""
    for row in source(study).runs.to_dict("records"):
        spec = spec_of(find_study(study), row)
        assert spec.replace(dataset=spec.dataset.replace(KEY, "few.npz")).hash == row["spec_hash"]


def test_the_same_command_shows_the_finished_run(capsys: pytest.CaptureFixture[str]) -> None:
    again = ["run", "--model", "standard", "--dataset", "few.npz", "--evaluation", "2", "--tracking-uri", "mlflow.db"]
    assert main([*again, "-q"]) == 0
    assert "finished before" in capsys.readouterr().out


def test_the_run_that_failed_says_why() -> None:
    (run,) = source("stir").unfinished.to_dict("records")
    assert (run["status"], run["lr"]) == ("FAILED", 1e30)
    assert run["reason"].startswith("diverged")


@pytest.mark.parametrize(("name", "asked"), BOARDS.items())
def test_methods_are_ranked_as_before(name: str, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = pd.read_csv(f"exports/leaderboard_{name}.csv", dtype={"rank": str})
    # What leaves the protocol had rows of its own, without a rank, in some studies only.
    before = before[(before["n"] > 0) & before["note"].isna()]
    assert main(["leaderboard", "--tracking-uri", "mlflow.db", *asked, "--format", "csv"]) == 0
    now = pd.read_csv(io.StringIO(capsys.readouterr().out), dtype={"rank": str})
    now = now[(now["source"] == "ours") & now["rank"].notna()]
    assert now["model"].tolist() == before["model"].tolist()
    np.testing.assert_allclose(now[FIGURES].astype(float), before[FIGURES].astype(float), atol=2e-6)
    published = [column for column in before.columns if column.endswith(("_mean", "_std")) and column in now.columns]
    np.testing.assert_allclose(now[published].astype(float), before[published].astype(float), atol=2e-6)


def test_the_learned_range_is_not_taken_for_the_start() -> None:
    """Version 0.1 logged the learned range as `isr`, the name of the field, and gave each run a row of its own."""
    runs = source("mnist-range").runs
    assert runs["isr"].isna().all()
    table = leaderboard(find_study("mnist-range"), runs[~is_short(runs)]).table
    fixed, learned = table.sort_values("n").to_dict("records")
    assert (fixed["model"], fixed["n"]) == ("scale_probe [fixed sigma=0.7]", 1)
    assert (learned["model"], learned["n"]) == ("scale_probe [sigma=0.7]", 2)


@pytest.mark.parametrize(
    ("study", "file"),
    [("stir", "stir_runs"), ("mnist-scale", "mnist_scale_runs"), ("mnist-range", "mnist_range_runs"),
     ("stl10", "stl10_runs")],
)  # fmt: skip
def test_exports_are_the_same_runs(study: str, file: str) -> None:
    stored, exported = source(study).runs, read_runs(find_study(study), f"exports/{file}.csv")
    if study == "stir":  # it left out runs of another length
        stored = stored[~is_short(stored)]
    columns = ["run_id", "model", "entry", "section", "seed", "lr", "test_acc"]
    if study == "mnist-range":  # it wrote the range that was learned in place of the one at the start
        columns.remove("entry")
    ordered = [frame.sort_values("run_id")[columns].reset_index(drop=True) for frame in (stored, exported)]
    pd.testing.assert_frame_equal(*ordered, check_exact=False, rtol=1e-9)


@pytest.mark.parametrize(("dataset", "asked"), [("emoji", ["-e", "2"]), ("mnist-scale", [])])
def test_comparisons_are_as_before(dataset: str, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = pd.read_csv(f"exports/compare_{dataset.replace('-', '_')}.csv")
    assert main(["compare", "--tracking-uri", "mlflow.db", "-d", dataset, *asked, "--format", "csv"]) == 0
    now = pd.read_csv(io.StringIO(capsys.readouterr().out))
    columns = ["model", "ours_n", "ours_mean", "published_n", "published_mean", "difference", "low", "high", "verdict"]
    ordered = [frame.sort_values(["model", "published_mean"], ignore_index=True)[columns] for frame in (now, before)]
    pd.testing.assert_frame_equal(*ordered, rtol=1e-6)


def test_evaluations_are_as_before() -> None:
    for study, name, widen in (
        ("stir", "stir_generalization", scales_to_wide),
        ("mnist-scale", "mnist_scale_generalization", lambda rows: errors_to_wide(find_study("mnist-scale"), rows)),
    ):
        found = source(study)
        assert found.store is not None
        now = widen(
            evaluations.accuracy_by_size(found.store, found.study, found.runs.assign(model=found.runs["entry"]))
        )
        before = pd.read_csv(f"exports/{name}.csv")
        sizes = [column for column in before if column[0] in "se" and column[-1].isdigit()]
        assert len(now) == len(before)
        ordered = [np.sort(frame[sizes].to_numpy(dtype=float), axis=0) for frame in (now, before)]
        np.testing.assert_allclose(*ordered)


def test_weights_give_the_predictions_that_were_stored() -> None:
    store, data = Store("mlflow.db", create=False), load_dataset("few.npz")
    runs = source("stir").runs
    folder = Path("artifacts")
    kept = [row for row in runs.to_dict("records") if [*folder.glob(f"{row['run_id']}/artifacts/model.safetensors")]]
    assert len(kept) == 2
    for row in kept:
        stored = evaluations.read_predictions(store, row["run_id"])
        images = data.select("test", range(17, 65)).images
        assert (predict(load_model(store, row, data), images) == stored.predicted).mean() > 0.99


def test_records_are_ingested_and_found_again(old: Path, tmp_path: Path, empty: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty.read_bytes())
    store = Store(str(tmp_path / "mlflow.db"))
    outcomes = list(ingest(old / "records", store, keep=True))
    assert [outcome.error for outcome in outcomes] == ["", ""] and all(outcome.run_id for outcome in outcomes)
    assert store.find_finished(RunSpec("standard", "few.npz", evaluation=2, seed=4)) is not None
    (run,) = Source(STIR, [MLFLOW], str(tmp_path / "mlflow.db")).runs.to_dict("records")
    assert (run["dataset"], run["seed"], run["status"]) == (KEY, 4, "FINISHED")
