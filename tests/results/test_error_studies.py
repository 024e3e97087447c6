"""leaderboard, compare, export and evaluate for studies that report errors, on a real store of MNIST-Scale runs."""

from __future__ import annotations

import io
import re
import shutil
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.events import Result, Started
from benchmark.predictions import Predictions
from benchmark.results import comparison
from benchmark.results.leaderboard import leaderboard
from benchmark.results.runs import spec_of, table
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.studies import find_study, published

STUDY = find_study("mnist-scale")
ERRORS = {"ses_scalar_28": (2.1, 2.2, 2.0, 2.05, 2.15, 2.1), "ses_vector_28": (3.0, 3.1), "cnn_28": (2.5,)}


def log(store: Store, spec: RunSpec, error: float) -> str:
    """A finished run whose predictions have that error: small digits are missed, large ones are not."""
    count = 2000
    sizes = np.repeat(np.arange(8, 28), count // 20)
    labels = np.arange(count) % 10
    wrong = np.arange(count) < round(error * count / 100)
    predictions = Predictions((labels + wrong) % 10, labels, sizes, np.zeros(count, dtype=np.float32))
    metrics = spec.study.summarise(spec, predictions) | {"best_acc": 98.0, "avg_time": 2.0, "run_time": 120.0}
    started = Started(uuid.uuid4().hex, spec, time.time(), 494_549, {"host": "test", "device_name": "cpu"})
    run_id = store.start(started)
    store.finish(run_id, Result(started, metrics, (), predictions, {}, time.time()))
    return run_id


@pytest.fixture(scope="module")
def digits(tmp_path_factory, empty) -> str:
    path = str(shutil.copy(empty, tmp_path_factory.mktemp("digits") / "mlflow.db"))
    store = Store(path)
    for model, errors in ERRORS.items():
        for realization, error in enumerate(errors):
            log(store, RunSpec(model, "mnist-scale", realization=realization), error)
    log(store, RunSpec("ses_scalar_28p", "mnist-scale", augment=True), 1.8)
    log(store, RunSpec("ses_scalar_28", "mnist-scale", max_epochs=4), 9.0)
    return path


def stored(database: str) -> pd.DataFrame:
    return Source(STUDY, [MLFLOW], database).runs


def command(name: str, database: str, *more: str) -> list[str]:
    return [name, "-d", "mnist-scale", "--tracking-uri", database, *more]


def test_runs_come_back_with_their_fields_and_figures(digits: str) -> None:
    runs = stored(digits)
    assert len(runs) == 11
    row = runs[(runs["model"] == "ses_scalar_28") & (runs["realization"] == 3)].iloc[0]
    assert spec_of(STUDY, row) == RunSpec("ses_scalar_28", "mnist-scale", realization=3)
    assert (row["test_err"], row["parameters"]) == (pytest.approx(2.05), 494_549)
    assert Source(find_study("stir"), [MLFLOW], digits).runs.empty


def test_leaderboard_is_mean_and_deviation_over_realizations_beside_the_papers(digits: str, capsys) -> None:
    assert main(command("leaderboard", digits, "--format", "csv")) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    plain = table[table["section"] == "plain"].set_index("model")
    best = plain.loc["ses_scalar_28"]
    values = ERRORS["ses_scalar_28"]
    assert best[["rank", "n", "source"]].tolist() == [8, 6, "ours"]
    assert best["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    assert best["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert best[["sesn_paper_mean", "sesn_paper_std", "reproduction_mean", "best"]].tolist() == [2.1, 0.1, 1.95, 2.0]
    assert plain.loc[["cnn_28", "ses_vector_28"], ["rank", "n"]].to_numpy().tolist() == [[9, 1], [10, 2]]
    # What was published and not run is ranked among ours.
    assert plain.loc["ses_vector_56", ["rank", "source", "note"]].tolist() == [1, "SESN paper", "published"]
    assert not plain["note"].fillna("").str.contains("max epochs").any()
    augmented = table[table["section"] == "augmented"].set_index("model")
    assert augmented.loc["ses_scalar_28p", ["rank", "sesn_paper_mean"]].tolist() == [14, 1.79]
    assert augmented.loc["disco_56p", "disco_poster_mean"] == 1.35


def test_leaderboard_reads_as_tables(digits: str, capsys) -> None:
    assert main(command("leaderboard", digits)) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +8  ses_scalar_28 +6 +2\.10 ± 0\.07 .* 2\.10 ± 0\.10 \(6\) +1\.95 ± 0\.17 \(6\)$", out, re.M)
    assert re.search(r"^ +1  ses_vector_56 +6 +1\.68 ± 0\.06 .* published$", out, re.M)
    assert "max epochs" not in out and "Rows noted as published were not run here" in out
    assert out.index("MNIST-Scale, plain") < out.index("MNIST-Scale, augmented")
    assert main(command("leaderboard", digits, "--format", "markdown", "-m", "ses_scalar_28")) == 0
    out = capsys.readouterr().out
    assert "| 1 | ses_scalar_28 | 6 |" in out and "cnn_28" not in out
    assert main(command("leaderboard", digits, "--metric", "avg_time")) == 0
    out = capsys.readouterr().out
    assert "seconds per epoch" in out and "2.10 ± 0.10" not in out
    assert main(["leaderboard", "-d", "mnist-scale", "--source", "published"]) == 0
    assert re.search(r"^ +1  disco_56p +1\.35 +1\.35$", capsys.readouterr().out, re.M)


def test_short_runs_are_shown_when_they_are_asked_for(digits: str, capsys) -> None:
    assert main(command("leaderboard", digits, "--include-short")) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +ses_scalar_28 +1 +9\.00 .*  max epochs 4 instead of 60$", out, re.M)
    assert "Rows without a rank leave the protocol" in out
    assert main(command("leaderboard", digits, "--changed")) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +ses_scalar_28 +1 +9\.00 .*  max epochs 4 instead of 60$", out, re.M)
    assert "cnn_28" not in out and "published" not in out


def test_leaderboard_ranks_equals_alike() -> None:
    rows = [RunSpec(model, "mnist-scale").to_dict() | {"test_err": 1.0} for model in ("cnn_28", "xu_28")]
    worse = RunSpec("ss_28", "mnist-scale").to_dict() | {"test_acc": 98.5}
    found = leaderboard(STUDY, table(STUDY, [*rows, worse])).table
    ours = found[found["source"] == "ours"]
    assert dict(zip(ours["model"], ours["rank"], strict=True)) == {"cnn_28": 1, "xu_28": 1, "ss_28": 3}


def test_runs_without_the_figure_that_is_asked_for_are_told(digits: str) -> None:
    runs = stored(digits).assign(best_acc=np.nan)
    found = leaderboard(STUDY, runs, metric="best_acc").table
    assert found.set_index("model").loc["cnn_28", "note"] == "finished without best_acc: 1"


def test_compare_counts_the_runs_that_a_source_states(digits: str) -> None:
    basting = RunSpec("ses_learned_56", "mnist-scale")
    (error,) = STUDY.published(basting)
    assert (error.source, error.runs) == ("Basting et al.", 5)
    runs = stored(digits).query("model == 'ses_scalar_28'").assign(model="ses_learned_56")
    assert comparison.compare(STUDY, runs)["published_n"].tolist() == [5]


def test_compare_gives_the_verdicts(digits: str, capsys, tmp_path: Path) -> None:
    figure = tmp_path / "compare.svg"
    assert main(command("compare", digits, "--figure", str(figure))) == 0
    out, err = capsys.readouterr()
    assert re.search(r"plain +ses_vector_28 +3\.05 \(2\) +SESN paper +2\.08 ± 0\.09 \(6\) +\+0\.97 .* differs", out)
    assert re.search(r"ses_scalar_28 +2\.10 \(6\) +SESN paper .*  (agrees|too few runs)", out)
    assert "not compared: cnn_28, plain: nothing published" in err
    assert "not compared: ses_scalar_28, plain: max epochs 4 instead of 60" in err
    assert figure.stat().st_size > 1000
    assert main(command("compare", digits, "--format", "csv")) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert set(table["source"]) == {"SESN paper", "reproduction"} and len(table) == 6


def test_welch_is_the_same_of_samples_and_of_their_figures() -> None:
    ours, theirs = [1.0, 1.2, 1.4], [1.1, 1.5, 1.3, 1.2]
    assert comparison.welch(ours, theirs) == comparison.welch(ours, comparison.Sample.of(theirs))
    alone = comparison.welch(ours, comparison.Sample(6, 1.2, float("nan")))
    assert (alone.verdict, alone.runs_needed) == (comparison.TOO_FEW, None)


def test_export_is_read_back(digits: str, capsys, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    assert main(command("export", digits, "--out", str(file))) == 0
    assert len(pd.read_csv(file)) == 10
    assert main(command("export", digits, "--include-short", "--out", str(file))) == 0
    written = pd.read_csv(file)
    capsys.readouterr()
    assert len(written) == 11
    assert {"params.realization", "params.augment", "params.data", "metrics.test_err"} <= set(written)
    assert main(command("leaderboard", digits, "--format", "csv")) == 0
    direct = capsys.readouterr().out
    assert main(["leaderboard", "-d", "mnist-scale", "--source", str(file), "--format", "csv"]) == 0
    assert capsys.readouterr().out == direct


def test_evaluate_gives_the_error_by_object_size(digits: str, capsys, tmp_path: Path) -> None:
    assert main(command("export", digits, "--table", "generalization")) == 1
    assert "no run of that selection was evaluated" in capsys.readouterr().err
    assert main(command("evaluate", digits, "-m", "cnn_28")) == 0
    out = capsys.readouterr().out
    assert out.startswith("cnn_28 r0 s0 on mnist-scale plain: test_err 2.5, err_8_14 ")
    assert main(command("evaluate", digits, "-m", "cnn_28")) == 0
    assert "evaluated before" in capsys.readouterr().out
    assert main(command("export", digits, "--table", "generalization")) == 0
    (row,) = pd.read_csv(io.StringIO(capsys.readouterr().out)).to_dict("records")
    # 50 of 2000 are wrong, all of them among the 100 smallest.
    assert (row["model"], row["error_8"], row["error_9"]) == ("cnn_28", 50.0, 0.0)


def test_published_figures_name_entries() -> None:
    specs = STUDY.published_specs()
    assert len(specs) == len(set(specs)) == 23
    assert all(STUDY.published(spec) for spec in specs)
    assert STUDY.published(RunSpec("ses_scalar_28", "mnist-scale", augment=True)) == ()
    assert STUDY.published(specs[0]) == published.errors("mnist-scale", specs[0].model, False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["leaderboard", "-d", "mnist-scale", "-e", "2"], 2, "--evaluation does not apply to MNIST-Scale"),
        (["leaderboard", "-d", "mnist-scale", "--kernel-size", "7"], 2, "--kernel-size does not apply"),
        (["leaderboard", "-d", "mnist-scale", "--metric", "error"], 2, "unknown metric 'error'"),
        (["leaderboard", "-d", "mnist-scale", "-m", "ses_scaler_28"], 2, "Did you mean 'ses_scalar_28'"),
        (["leaderboard", "-d", "mnist-scale", "-d", "emoji"], 2, "of different studies; ask for one at a time"),
        (["leaderboard", "-d", "mnist-scale", "--source", "nowhere.csv"], 1, "no file 'nowhere.csv'"),
        (["export", "-d", "mnist-scale", "--source", "published"], 2, "no single runs are published"),
        (["compare", "-d", "mnist-scale", "--source", "published"], 1, "no finished run of that selection"),
        (["evaluate", "-d", "mnist-scale", "--part", "indices"], 2, "only --part generalization"),
    ],
)
def test_bad_input_is_one_line(arguments, code, message, digits: str, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{digits}")
    assert main(arguments) == code
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_store_without_such_runs_says_what_to_type(own: str, capsys) -> None:
    for name in ("evaluate", "leaderboard", "compare", "export"):
        assert main(command(name, own)) == 1
        assert "train one with `benchmark run`" in capsys.readouterr().err


def test_a_file_of_another_kind_is_refused(tmp_path: Path, capsys) -> None:
    file = tmp_path / "other.csv"
    file.write_text("model,error\ncnn_28,2\n")
    assert main(["leaderboard", "-d", "mnist-scale", "--source", str(file)]) == 1
    assert "benchmark export -d mnist-scale" in capsys.readouterr().err
