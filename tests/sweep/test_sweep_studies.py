"""Grids of any study: the axes follow the study, and STIR's stay what they were."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.spec import RunSpec
from benchmark.store.run_states import RunState
from benchmark.studies import all_studies, find_study, published, ranges
from benchmark.sweeps.grid import FINISHED, Grid, data_of, expand, plan
from benchmark.sweeps.suites import choose_grids, load_suite, make_grid, parse_suite
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName

DIGITS = {"models": "ses_scalar_28", "datasets": "mnist-scale"}


def digest(*grids: Grid) -> tuple[int, str]:
    hashes = [spec.hash for grid in grids for spec in expand(grid)]
    return len(hashes), hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def test_runs_of_stir_are_pinned() -> None:
    assert digest(*load_suite("paper").grids) == (1760, "8fc96182089718a3")
    axes = {"datasets": "emoji,aerial", "evaluations": "Mid2Rest,4", "kernel_sizes": "5,7,9", "interpolations": "all"}
    grid = make_grid({"models": "*_pool,xu", **axes, "lrs": "published,0.1", "seeds": "1-3", "epochs": "3"})
    assert digest(grid) == (936, "85548eb9e981c9f5")


@pytest.mark.parametrize("study", all_studies(), ids=lambda study: study.name)
def test_axes_are_fields_of_the_study_and_end_in_rate_and_seed(study) -> None:
    assert [axis.field for axis in study.axes][-2:] == ["lr", "seed"]
    assert {axis.field for axis in study.axes} <= set(study.fields)
    # A field that runs are told apart by and grids cannot vary could never be swept.
    assert set(study.identity) <= {axis.field for axis in study.axes}
    assert {*study.judged, *study.data_settings} <= set(study.fields)
    for axis in study.axes:
        assert axis.default is None or axis.read(axis.default)


def test_each_realization_brings_its_seed() -> None:
    _, (grid,) = choose_grids(DIGITS)
    specs = expand(grid)
    assert [(s.settings.realization, s.seed, s.settings.augment, s.lr) for s in specs] == [
        (r, r, False, 0.01) for r in range(6)
    ]
    assert specs[3] == RunSpec("ses_scalar_28", "mnist-scale", realization=3)
    _, (grid,) = choose_grids({**DIGITS, "realizations": "1,4", "augment": "both", "seeds": "7-8"})
    found = [(s.settings.realization, s.settings.augment, s.seed) for s in expand(grid)]
    assert found == [(r, a, s) for r in (1, 4) for a in (False, True) for s in (7, 8)]
    assert [s.settings.realization for s in data_of([grid])] == [1, 4]
    assert Grid.from_dict(json.loads(json.dumps(dataclasses.asdict(grid)))) == grid


def test_rates_are_selected_in_any_study() -> None:
    values = {**DIGITS, "realizations": "0", "lrs": "0.1,0.01", "seeds": "0-4", "select_lr_over_seeds": "0-1"}
    _, (grid,) = choose_grids(values)
    specs = expand(grid)
    assert len(specs) == 4
    runs = [RunState("r", "FINISHED", 0, 1, s.hash, best_acc=100 * s.lr) for s in specs]
    later = plan([grid], runs).of("missing")
    assert [(s.lr, s.seed) for s in later] == [(0.1, 2), (0.1, 3), (0.1, 4)]
    with pytest.raises(InvalidArgument, match="name the seeds"):
        choose_grids({key: value for key, value in values.items() if key != "seeds"})


def test_suite_is_what_was_published() -> None:
    specs = [spec for grid in load_suite("mnist-scale").grids for spec in expand(grid)]
    assert len({spec.hash for spec in specs}) == len(specs) == 300
    found = {(spec.model, spec.settings.augment) for spec in specs}
    learned = {spec.model for grid in load_suite("scale-learning").grids for spec in expand(grid)}
    assert {(e.model, e.augment) for e in published.all_errors("mnist-scale") if e.model not in learned} <= found
    # Two choices of scales: each with its training. One: both.
    others = set(find_study("mnist-scale").list_models()) - {model for model, _ in found}
    assert all(model.startswith("ses_learned") for model in others)
    assert ("ses_scalar_28p", False) not in found and ("ses_scalar_28", True) not in found
    assert {("cnn_28", False), ("cnn_28", True)} <= found
    assert {spec.settings.realization for spec in specs} == set(range(6))
    _, grids = choose_grids({"suite": "mnist-scale", "models": "ses_*", "realizations": "0", "augment": "yes"})
    assert [spec.model for grid in grids for spec in expand(grid)] == [
        f"ses_{kind}_{side}p" for kind in ("scalar", "vector") for side in (28, 56)
    ]


def test_ten_thousand_runs_are_expanded_and_planned_in_two_seconds() -> None:
    _, (grid,) = choose_grids({"models": "all", "datasets": "mnist-scale", "augment": "both", "seeds": "1-25"})
    start = time.process_time()
    specs = expand(grid)
    middle = time.process_time()
    runs = [RunState("r", "FINISHED", 0, 1, spec.hash) for spec in specs]
    done = plan([grid], runs)
    assert len(specs) == len(done.of(FINISHED)) == grid.size >= 10_000
    assert max(middle - start, time.process_time() - middle) < 2


@pytest.mark.parametrize("isrs", ["own, 2, 3.5", ["own", 2, 3.5], "2,own,3.5"])
def test_the_own_value_of_a_model_stands_beside_others(isrs: object) -> None:
    _, grids = choose_grids(
        {"datasets": "mnist-range", "models": "scale_probe", "isrs": isrs, "learn_sigma": [True, "own"]}
    )
    specs = [spec for grid in grids for spec in expand(grid)]
    assert {spec.settings.isr for spec in specs} == {None, 2.0, 3.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"realizations": "0-9"}, r"realizations 0\.\.5, not 6"),
        ({"realizations": "x"}, "neither a whole number"),
        ({"augment": "maybe"}, "'maybe' is neither no nor yes nor both"),
        ({"evaluations": "2"}, "evaluations is no axis of MNIST-Scale; it has datasets, realizations"),
        ({"kernel_sizes": "7"}, "kernel_sizes is no axis of MNIST-Scale"),
        ({"models": "standard"}, "unknown model 'standard'"),
        ({"models": "ses_scaler_28"}, "Did you mean 'ses_scalar_28'"),
        ({"models": "standrad", "datasets": "emoji"}, "Did you mean 'standard'"),
        ({"models": "standard", "datasets": "emoji", "realizations": "0"}, "realizations is no axis of STIR"),
        ({"datasets": "emoji,mnist-scale"}, "emoji is of STIR and mnist-scale is of MNIST-Scale"),
        ({"datasets": "mnist-scal"}, "Did you mean 'mnist-scale'"),
        ({"datasets": "mnist_scale"}, "Did you mean 'mnist-scale'"),
        ({"suite": "mnist-scale", "models": "standard", "datasets": None}, "unknown model 'standard'"),
        ({"suite": "mnist-scale", "models": None, "datasets": None, "evaluations": "2"}, "no axis of MNIST-Scale"),
        ({"suite": "paper", "models": None, "datasets": None, "realizations": "2"}, "no axis of STIR"),
        ({"batch_size": "1"}, "batch of one image"),
    ],
)
def test_nonsense_is_one_clear_line(values: dict[str, str | None], message: str) -> None:
    stated = {key: value for key, value in {**DIGITS, **values}.items() if value is not None}
    with pytest.raises(SiconvnetError, match=message) as caught:
        choose_grids(stated)
    assert "\n" not in str(caught.value)


def test_keys_of_a_suite_are_the_axes_of_its_study() -> None:
    def suite(line: str) -> str:
        return f"grids: [{{models: cnn_28, datasets: mnist-scale, {line}}}]"

    (grid,) = parse_suite(suite("augment: [no, yes], realizations: [0, 2]"), "mine.yaml").grids
    assert grid.axes["augment"] == (False, True)
    for line, message in (
        ("realisations: 1", "Did you mean 'realizations'"),
        ("evaluations: 1", "evaluations is no axis of MNIST-Scale"),
        ("augment: 2", "neither no nor yes nor both"),
        ("realizations: 6", "not 6"),
    ):
        with pytest.raises(InvalidArgument, match=message) as caught:
            parse_suite(suite(line), "mine.yaml")
        assert str(caught.value).startswith("suite mine.yaml: ")


def test_a_suite_of_two_studies_is_narrowed_to_what_fits(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("grids: [{models: cnn_28, datasets: mnist-scale}, {models: all, datasets: emoji, seeds: 1}]")
    assert [grid.study for grid in load_suite(str(path)).grids] == ["mnist-scale", "stir"]
    for option, study in (({"models": "cnn_28"}, "mnist-scale"), ({"evaluations": "2"}, "stir")):
        assert [grid.study for grid in choose_grids({"suite": str(path), **option})[1]] == [study]
    with pytest.raises(UnknownName):
        choose_grids({"suite": str(path), "models": "nothing"})


def test_flags() -> None:
    assert ranges.flags("both", "augment") == (False, True)
    assert ranges.flags([True, "no"], "augment") == (True, False)
    with pytest.raises(InvalidArgument):
        ranges.flags(1, "augment")


def test_the_command_line_has_every_axis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--tracking-uri", str(tmp_path / "none.db"), "--work-dir", str(tmp_path / "work")]
    line = ["--datasets", "mnist-scale", "--models", "cnn_28", "--realizations", "0-1", "--augment", *where]
    assert main(["sweep", *line, "--dry-run"]) == 0
    assert capsys.readouterr().out == "sweep: 2 runs: 0 done, 0 failed, 2 to do\n       2  cnn_28 on mnist-scale\n"
    assert main(["status", *line]) == 0
    assert "2 runs: 0 done, 0 failed, 2 to do; 0 running now" in capsys.readouterr().out
    assert main(["sweep", "--help"]) == 0
    text = capsys.readouterr().out
    for study in all_studies():
        assert all(f"--{axis.name.replace('_', '-')} " in text for axis in study.axes)
    assert not (tmp_path / "none.db").exists()


def test_data_that_are_missing_are_heard_of_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    where = ["--tracking-uri", str(tmp_path / "none.db"), "--work-dir", str(tmp_path / "work")]
    assert main(["sweep", "--datasets", "mnist-scale", "--models", "cnn_28", "--realizations", "3", *where]) == 1
    assert "benchmark data build mnist-scale --seed 3" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
