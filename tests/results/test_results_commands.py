"""evaluate, plot, leaderboard, compare and export on a real store of small runs, and on what is not there."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from benchmark.cli import main
from benchmark.results.metrics import Findings
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import Store, evaluations
from benchmark.studies import published
from benchmark.studies.stir import STIR
from benchmark.system.checksums import file_sha256


def stored(database: str, run_id: str) -> Path:
    """Where a store keeps the weights of a run."""
    (found,) = Path(database).parent.glob(f"artifacts/{run_id}/artifacts/model.safetensors")
    return found


def stored_runs(database: str) -> pd.DataFrame:
    return Source(STIR, [MLFLOW], database).runs


@pytest.fixture(scope="module")
def runs(database) -> pd.DataFrame:
    return stored_runs(database)


def test_accuracy_by_scale_is_a_metric_whose_step_is_the_scale(database, runs):
    store = Store(database)
    table = evaluations.accuracy_by_size(store, STIR, runs)
    assert len(table) == 4 * 48
    for run_id, rows in table.groupby("run_id"):
        with store.artifact(run_id, "predictions.npz") as path, np.load(path) as arrays:
            hit = arrays["predicted"] == arrays["labels"]
            expected = [100 * hit[arrays["scales"] == scale].mean() for scale in range(17, 65)]
        assert rows["accuracy"].tolist() == pytest.approx(expected)
        metrics = store.client.get_run(run_id).data.metrics
        assert metrics["unseen_acc"] == pytest.approx(metrics["test_acc"])


def test_scalars_and_arrays_are_logged(database, runs):
    store = Store(database)
    for run in runs.to_dict("records"):
        metrics = store.client.get_run(run["run_id"]).data.metrics
        assert 0 < metrics["equivariance_stage2"] < 100
        assert 0 <= metrics["scale_consistency"] <= 100
        with store.artifact(run["run_id"], "evaluation/errors.npz") as path, np.load(path) as errors:
            assert errors["stage1"].shape == (4, 1, 6)
            assert metrics["equivariance_stage2"] == pytest.approx(errors["stage2"][..., [0, 1, 4, 5]].mean())
        assert ("kernel_consistency_stage2" in metrics) == (run["model"] == "slice_pool")


def test_findings_are_one_call_to_the_store(own, finish, monkeypatch):
    store = Store(own)
    run_id = finish(store, RunSpec("standard", "emoji", evaluation=2))
    calls = []
    monkeypatch.setattr(MlflowClient, "log_metric", lambda *_, **__: calls.append("log_metric"))
    log_batch = MlflowClient.log_batch
    monkeypatch.setattr(MlflowClient, "log_batch", lambda *a, **k: calls.append("log_batch") or log_batch(*a, **k))
    evaluations.keep(store, run_id, Findings({"unseen_acc": 40.0}, {17: 30.0, 18: 31.0}), ["generalization"])
    assert calls == ["log_batch"]
    table = evaluations.accuracy_by_size(store, STIR, stored_runs(own))
    assert table[["scale", "accuracy"]].to_numpy().tolist() == [[17, 30], [18, 31]]
    assert store.client.get_run(run_id).data.metrics["unseen_acc"] == 40


def test_evaluating_again_does_nothing_unless_forced(database, icons, capsys):
    assert main(["evaluate", "--tracking-uri", database, "-d", str(icons), "-m", "standard"]) == 0
    assert capsys.readouterr().out.count("evaluated before") == 3
    forced = ["evaluate", "--tracking-uri", database, "-d", str(icons), "-m", "standard", "--force"]
    assert main([*forced, "--part", "generalization"]) == 0
    assert "unseen_acc" in capsys.readouterr().out
    rows = evaluations.accuracy_by_size(Store(database), STIR, stored_runs(database))
    assert len(rows) == 4 * 48


def test_the_published_input_range_is_kept_apart(database, icons, runs):
    command = ["evaluate", "--tracking-uri", database, "-d", str(icons), "-m", "standard", "--part", "equivariance"]
    assert main([*command, "--published-input-range"]) == 0
    standard = runs[runs["model"] == "standard"].iloc[0]
    metrics = Store(database).client.get_run(standard["run_id"]).data.metrics
    assert metrics["equivariance_stage2"] != metrics["equivariance_stage2_255"]


def test_a_run_without_its_artifacts_fails_alone(own, icons, finish, capsys):
    store = Store(own)
    finish(store, RunSpec("standard", str(icons), evaluation=2))
    broken = finish(store, RunSpec("standard", str(icons), evaluation=2, seed=2))
    stored(own, broken).unlink()
    assert main(["evaluate", "--tracking-uri", own, "-d", str(icons), "--part", "equivariance"]) == 1
    output = capsys.readouterr()
    assert output.out.count("equivariance_stage1 ") == 1
    assert "standard s2 on icons-" in output.err and "Mid2Rest: failed:" in output.err
    assert output.err.strip().splitlines()[-1] == "error: 1 of 2 runs could not be evaluated."


def test_weights_of_another_version_are_one_clear_line(own, icons, finish, capsys):
    from safetensors.torch import save_file

    run_id = finish(Store(own), RunSpec("standard", str(icons), evaluation=2))
    save_file({"other": torch.zeros(1)}, stored(own, run_id))
    assert main(["evaluate", "--tracking-uri", own, "-d", str(icons)]) == 1
    assert "are not of this standard" in capsys.readouterr().err


def test_plot_all_draws_our_runs(database, tmp_path, capsys):
    assert main(["plot", "all", "--tracking-uri", database, "--format", "svg", "--out", str(tmp_path)]) == 0
    drawn = {path.name.split("-icons")[0] for path in tmp_path.iterdir()}
    assert drawn >= {"equivariance.svg", "equivariance-grid.svg", "generalization.svg", "hyperparam-dots.svg"}
    assert drawn >= {"hyperparam-boxes.svg", "timing.svg", "timing.md", "timing.tex", "indices-slice_pool"}
    assert "comparison: no cell" in capsys.readouterr().err


def test_the_leaderboard_shows_ours_and_why_a_cell_is_empty(database, capsys):
    command = ["leaderboard", "--tracking-uri", database, "--format", "csv"]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == first
    table = pd.read_csv(io.StringIO(first)).set_index("model")
    assert table.loc[["standard", "slice_pool"], "n"].tolist() == [3, 1]
    assert table.loc["standard", "unseen_acc"] == pytest.approx(table.loc["standard", "mean"])
    assert table.loc["xu", ["rank", "note"]].tolist() == ["X", "failed: the loss is no number"]
    assert set(table.index) == {"standard", "slice_pool", "xu"}  # methods that nobody asked for are not listed
    assert main(["leaderboard", "--source", "published", "-d", "emoji", "-e", "2", "--format", "csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("model")
    assert len(table) == 11 and table["n"].all()  # what nobody published is not listed, unless it is asked for
    asked = ["--source", "published", "-d", "emoji", "-m", "sesn", "-m", "xu", "--format", "csv"]
    assert main(["leaderboard", *asked]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("model")
    assert set(table.loc["sesn", "note"]) == {"not published"} and table.loc["xu", "note"].isna().all()


def test_the_leaderboard_says_what_a_sweep_leaves_out(own, icons, finish, capsys):
    finish(Store(own), RunSpec("pixel_pool", str(icons), evaluation=2, interpolation="area"))
    asked = [word for name in ("pixel_pool", "standard", "conv3d") for word in ("-m", name)]
    assert main(["leaderboard", "--tracking-uri", own, "--interpolation", "area", *asked, "--format", "csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("model")
    assert table.loc["standard", "note"] == "skipped: standard does not use the interpolation"
    assert table.loc["conv3d", "note"] == "no finished run"


def test_the_leaderboard_shows_runs_of_a_method_whose_code_is_not_here(tmp_path, capsys):
    runs = published.runs().query("model == 'standard' and dataset == 'emoji' and evaluation == 2").head(3)
    runs.assign(model="lab_net", kernel_size=5).to_csv(tmp_path / "runs.csv", index=False)
    asked = ["--source", str(tmp_path / "runs.csv"), "-m", "lab_net", "--kernel-size", "5", "--format", "csv"]
    assert main(["leaderboard", *asked]) == 0
    (row,) = pd.read_csv(io.StringIO(capsys.readouterr().out)).to_dict("records")
    assert (row["model"], row["n"]) == ("lab_net", 3)


def test_export_writes_the_originals_tables(database, capsys, tmp_path):
    assert main(["export", "--tracking-uri", database]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert len(table) == 4
    assert set(table["params.model"]) == {"standard", "slice_pool"}
    out = tmp_path / "generalization.csv"
    assert main(["export", "--tracking-uri", database, "--table", "generalization", "--out", str(out)]) == 0
    written = pd.read_csv(out)
    assert written.shape == (4, 53) and list(written)[-2:] == ["seed", "run_id"]


def test_compare_reads_a_table_and_draws_it(capsys, tmp_path):
    few = published.runs().query("model == 'standard' and dataset == 'emoji' and seed <= 5")
    few.to_csv(tmp_path / "ours.csv", index=False)
    figure = tmp_path / "compare.svg"
    assert main(["compare", "--source", str(tmp_path / "ours.csv"), "--figure", str(figure)]) == 0
    assert "4 cells:" in capsys.readouterr().out
    assert figure.stat().st_size > 1000
    assert main(["compare", "--source", str(tmp_path / "ours.csv"), "--format", "csv"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 4


def test_compare_without_a_common_cell_says_so(database, capsys):
    assert main(["compare", "--tracking-uri", database]) == 1
    errors = capsys.readouterr().err
    assert "nothing published" in errors
    assert "error: no run of ours meets a published figure" in errors


def test_plot_all_of_the_published_runs_is_all_that_they_allow(tmp_path, capsys):
    assert main(["plot", "all", "--source", "published", "--format", "svg", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 16
    errors = capsys.readouterr().err
    for name in ("equivariance", "indices", "speed", "comparison"):
        assert f"  {name}: no " in errors
    assert "error" not in errors.replace("equivariance errors", "")


def test_a_broken_figure_does_not_take_the_others_with_it(tmp_path, capsys, monkeypatch):
    from benchmark.plots import FIGURES, timing

    def broken(tables):
        raise ValueError("a defect")

    monkeypatch.setattr(timing, "draw", broken)
    command = ["plot", *(name for name in FIGURES if name in ("timing", "hyperparam"))]
    assert main([*command, "--source", "published", "--out", str(tmp_path)]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hyperparam-boxes.pdf", "hyperparam-dots.pdf"]
    assert "timing: ValueError: a defect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["plot", "timng", "--source", "published"], 2, "unknown figure 'timng'. Did you mean 'timing'"),
        (["plot", "timing", "--source", "published", "--format", "gif"], 2, "unknown format 'gif'"),
        (["plot", "equivariance", "--source", "published"], 1, "no equivariance errors; measure them"),
        (["plot", "all", "--source", "nowhere.csv"], 1, "no file 'nowhere.csv'"),
        (["leaderboard", "--source", "published", "--metric", "test"], 2, "unknown metric 'test'"),
        (["leaderboard", "--source", "published", "--interpolation", "bicubik"], 2, "Did you mean 'bicubic'"),
        (["leaderboard", "--source", "published", "--kernel-size", "8"], 2, "kernel size 8 does not fit"),
        (["leaderboard", "--source", "published", "--kernel-size", "0"], 2, "kernel size 0 does not fit"),
        (["leaderboard", "--source", "published", "--metric", "test_err"], 2, "no run of STIR has test_err"),
        (["leaderboard", "--source", "published", "-m", "standart"], 2, "Did you mean 'standard'"),
        (["leaderboard", "--source", "published", "-m", "sesn"], 1, "no finished run of that selection"),
        (["leaderboard", "--source", "published", "-m", "my_net:MyNet"], 1, "no finished run of that selection"),
        (["leaderboard", "--source", "published", "-e", "5"], 2, "5"),
        (["export", "--source", "published", "--table", "generalization"], 2, "only --source mlflow"),
        (["evaluate", "--part", "speed"], 2, "unknown part 'speed'"),
    ],
)
def test_bad_input_is_one_line(arguments, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_runs_says_what_to_type(own, tmp_path, capsys):
    for command in ("evaluate", "leaderboard", "compare", "export"):
        assert main([command, "--tracking-uri", own]) == 1
        assert "train one with `benchmark run`" in capsys.readouterr().err
    assert main(["plot", "timing", "--tracking-uri", own, "--out", str(tmp_path)]) == 1
    assert "error: timing: no" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "leaderboard", "compare", "export", "plot timing", "ui"])
@pytest.mark.parametrize("dataset", ["emoji", "mnist-scale"])
def test_reading_makes_no_store(command, dataset, tmp_path, capsys):
    named = [] if command.startswith(("plot", "ui")) else ["--dataset", dataset]
    place = tmp_path / "nodir" / "typo.db"
    assert main([*command.split(), *named, "--tracking-uri", str(place)]) == 1
    assert f"error: there is no store at {place}; check the path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file")
    assert main(["plot", "timing", "--source", "published", "--out", out]) == 2  # click sees that it is no folder
    assert main(["leaderboard", "--source", "published", "--out", f"{out}/board.csv"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_class_is_imported_only_from_the_source_that_was_trained(own, icons, finish, capsys, tmp_path, monkeypatch):
    """A run may come from anyone, and name any module that lies in the folder where `evaluate` is typed."""
    folder, flag = tmp_path / "here", tmp_path / "imported"
    (folder / "own_package").mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)
    source = folder / "own_package" / "net.py"
    source.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.lin = nn.Linear(num_channels * 64**2, num_classes)\n"
        "    def forward(self, x): return self.lin(x.flatten(1))\n",
        encoding="utf-8",
    )
    spec = RunSpec("own_package.net:Net", str(icons), evaluation=2)
    finish(Store(own), spec)
    command = ["evaluate", "--tracking-uri", own, "-d", str(icons), "--part", "equivariance", "--force"]
    assert main(command) == 0
    assert "no stage of this model" in capsys.readouterr().out

    (folder / "own_package" / "__init__.py").write_text(f"open({str(flag)!r}, 'w')", encoding="utf-8")
    original = source.read_text(encoding="utf-8")
    for content, message in (
        (f"open({str(flag)!r}, 'w')\n{original}", "is not known to be the one that run"),
        (None, "no source file of module 'own_package.net'"),
    ):
        for name in ("own_package", "own_package.net"):
            sys.modules.pop(name, None)
        file_sha256.cache_clear()
        importlib.invalidate_caches()
        source.unlink() if content is None else source.write_text(content, encoding="utf-8")
        assert main(command) == 1
        assert message in capsys.readouterr().err
        assert not flag.exists()
