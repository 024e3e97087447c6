"""Grids and suites: which runs they stand for, and what is refused before anything starts."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.protocol import PAPER
from benchmark.results.selection import learning_rates
from benchmark.store.run_states import RunState
from benchmark.studies import ranges
from benchmark.sweeps.grid import FAILED, FINISHED, MISSING, Grid, choose, expand, plan, skips
from benchmark.sweeps.suites import choose_grids, list_suites, load_suite, make_grid, parse_suite
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName

ROOT = Path(__file__).parents[2]


def stir(
    datasets: Iterable[str], evaluations: Iterable[int], models: Iterable[str], *, select_over: Any = (), **axes: Any
) -> Grid:
    named = {"datasets": tuple(datasets), "evaluations": tuple(evaluations), "models": tuple(models)}
    return Grid("stir", {**named, **axes}, select_over)


SMALL = stir(("emoji", "mnist"), (1, 2), ("standard", "xu"), lrs=(1e-2, 1e-3), seeds=(1, 2, 3))
# Of the standard library alone, so that a Python without PyTorch or NumPy can run it.
DIGEST = """
import hashlib
from benchmark.sweeps.grid import Grid, expand
axes = {"datasets": ("emoji", "mnist"), "evaluations": (1, 2), "models": ("standard", "xu")}
grid = Grid("stir", {**axes, "lrs": (1e-2, 1e-3), "seeds": (1, 2, 3)})
print(hashlib.sha256("".join(spec.hash for spec in expand(grid)).encode()).hexdigest())
"""


def digest(grid: Grid) -> str:
    return hashlib.sha256("".join(spec.hash for spec in expand(grid)).encode()).hexdigest()


def finished(spec: object, best_acc: float = 50.0, status: str = "FINISHED") -> RunState:
    return RunState("r", status, 0.0, 1.0, spec.hash, model=spec.model, best_acc=best_acc)  # type: ignore[attr-defined]


def test_every_combination_once_and_the_first_axis_slowest() -> None:
    specs = expand(SMALL)
    found = [(s.dataset, s.settings.evaluation, s.model, s.lr, s.seed) for s in specs]
    assert found == list(
        itertools.product(*(SMALL.axes[name] for name in ("datasets", "evaluations", "models", "lrs", "seeds")))
    )
    assert len({spec.hash for spec in specs}) == len(specs) == SMALL.size == 48


def test_published_rate_and_the_same_rate_are_one_run() -> None:
    both = expand(stir(("emoji",), (2,), ("standard",), lrs=("published", 1e-3), seeds=(1,)))
    assert [spec.lr for spec in both] == [1e-3]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_hashes_are_the_same_in_another_process(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert done.stdout.strip() == digest(SMALL)


def test_hashes_are_the_same_in_another_python() -> None:
    mine = Path(sys.base_prefix)
    # On the path, or beside the one that runs this, as version managers lay them out.
    candidates = [found for minor in range(11, 16) if (found := shutil.which(f"python3.{minor}"))]
    candidates += [str(path) for path in mine.parent.glob("3.1[0-9]*/bin/python") if mine not in path.parents]
    found = []
    for python in candidates:
        done = subprocess.run(
            [python, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{DIGEST}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:  # others lack pip's packages, but then nothing of them may be needed
            found.append(done.stdout.strip())
    if not found:
        pytest.skip("no other Python from 3.11 here")
    assert set(found) == {digest(SMALL)}


def test_ten_thousand_runs_are_expanded_and_planned_in_two_seconds() -> None:
    grid = stir(("emoji",), (1, 2, 3, 4), ("standard",), lrs=(1e-3,), seeds=tuple(range(2500)))
    start = time.process_time()
    specs = expand(grid)
    known = [finished(spec) for spec in specs]
    middle = time.process_time()
    done = plan([grid], known)
    end = time.process_time()
    assert len(specs) == len(done.of(FINISHED)) == 10_000
    assert max(middle - start, end - middle) < 2


# --- what makes no sense ---------------------------------------------------------------------------------------------


def test_settings_that_a_model_ignores_are_skipped_with_the_reason() -> None:
    axes = {"kernel_sizes": (5, 7), "interpolations": ("bicubic", "area"), "seeds": (1,)}
    grid = stir(("emoji",), (2,), ("standard", "pixel_pool", "hermite"), **axes)
    found = {(spec.model, spec.settings.kernel_size, spec.settings.interpolation) for spec in expand(grid)}
    assert {kind for model, _, kind in found if model == "standard"} == {"bicubic"}
    assert len([1 for model, *_ in found if model == "pixel_pool"]) == 4
    reasons = {(skip.values[0][1], skip.values[2][1]): skip.reason for skip in skips([grid])}
    assert reasons["standard", "area"] == "standard does not use the interpolation"
    assert len(expand(grid)) + len(skips([grid])) == grid.size
    assert plan([grid], []).skipped == skips([grid])


def test_grid_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="nothing is left of the grid: standard does not use the interpolation"):
        choose_grids({"models": "standard", "datasets": "emoji", "interpolations": "area"})


# --- states and the choice of rates ----------------------------------------------------------------------------------


def test_plan_tells_finished_failed_and_missing_apart() -> None:
    specs = expand(SMALL)
    runs = [finished(specs[0]), finished(specs[1], status="FAILED"), finished(specs[2], status="KILLED")]
    # A run that failed once and went through later is done.
    runs += [finished(specs[3], status="FAILED"), finished(specs[3])]
    found = plan([SMALL], runs)
    assert found.of(FINISHED) == [specs[0], specs[3]]
    assert found.of(FAILED) == [specs[1]]
    assert len(found.of(MISSING)) == 45


SELECTING = dataclasses.replace(SMALL, select_over=(1, 2), axes={**SMALL.axes, "seeds": (1, 2, 3, 4)})


def test_rates_are_tried_over_few_seeds_before_the_rest_runs() -> None:
    first = plan([SELECTING], [])
    cells = 8
    assert len(first.specs) == cells * 2 * 2
    assert first.total == SELECTING.size == cells * (4 + 2)
    # All but one cell have their runs; 1e-2 is better in the first, and equal in the others.
    specs = expand(SELECTING)
    scores = [
        90.0 if (s.model, s.dataset, s.settings.evaluation, s.lr) == ("standard", "emoji", 1, 1e-2) else 50
        for s in specs
    ]
    runs = [finished(s, score) for s, score in zip(specs, scores, strict=True)][:-1]
    second = plan([SELECTING], runs)
    assert second.total == first.total
    ((first_of_cell, seeds),) = second.waiting.items()
    assert (first_of_cell.dataset, first_of_cell.settings.evaluation, first_of_cell.model) == ("mnist", 2, "xu")
    assert seeds == {3, 4}
    new = {(s.model, s.dataset, s.settings.evaluation, s.lr, s.seed) for s in second.of(MISSING)}
    assert ("standard", "emoji", 1, 1e-2, 3) in new
    assert ("standard", "emoji", 2, 1e-3, 4) in new  # a tie goes to the smaller rate
    assert {seed for *_, seed in new} == {2, 3, 4}
    assert len(new) == 7 * 2 + 1


def test_grids_of_other_lengths_wait_for_their_own_rates() -> None:
    short = stir(("emoji",), (2,), ("standard",), lrs=(1e-2, 1e-3), seeds=range(1, 6), select_over=(1, 2))
    short, long = (dataclasses.replace(short, max_epochs=epochs) for epochs in (1, 3))
    more = dataclasses.replace(long, axes={**long.axes, "seeds": tuple(range(1, 11))})
    made = plan([short, long, more], [])
    # Of two grids that ask for the same runs each counts once.
    assert made.total == short.size + more.size
    assert {spec.max_epochs: len(seeds) for spec, seeds in made.waiting.items()} == {1: 3, 3: 8}


def test_a_run_that_diverged_does_not_hold_up_its_cell() -> None:
    grid = stir(("emoji",), (2,), ("standard",), lrs=(1e-2, 1e-3), seeds=range(1, 26), select_over=range(1, 6))
    specs = expand(grid)
    first, *others = (finished(spec, 90.0 if spec.lr == 1e-2 else 80.0) for spec in specs)
    reason = "diverged: the training loss became nan in epoch 1 at learning rate 0.01; a smaller --lr may train."
    diverged = dataclasses.replace(first, status="FAILED", reason=reason, best_acc=None)
    crashed = dataclasses.replace(diverged, reason="RuntimeError: out of memory")
    assert len(plan([grid], [crashed, *others]).specs) == 10  # to be tried again before the choice
    done = plan([grid], [diverged, *others])
    assert len(done.specs) == 10 + 20 and {spec.lr for spec in done.specs.values() if spec.seed > 5} == {1e-2}


@settings(deadline=None)
@given(st.lists(st.sampled_from([10.0, 20.0, 30.0, 40.0]), min_size=20, max_size=20))
def test_choice_is_the_leaderboards(scores: list[float]) -> None:
    import pandas as pd

    grid = stir(("emoji",), (1, 2), ("standard",), lrs=(1e-2, 1e-3), seeds=(1,), select_over=PAPER.selection_seeds)
    specs = expand(grid)
    chosen = choose(grid, {s.hash: finished(s, score) for s, score in zip(specs, scores, strict=True)})
    rows = [{**s.to_dict(), "best_acc": score} for s, score in zip(specs, scores, strict=True)]
    frame = learning_rates(pd.DataFrame(rows), ["model", "dataset", "evaluation"])
    assert [(c["evaluation"], lr) for c, lr in chosen.items()] == list(
        zip(frame["evaluation"], frame["lr"], strict=True)
    )


def test_suite_of_the_paper_is_its_5500_runs_and_the_selection() -> None:
    suite = load_suite("paper")
    first = plan(suite.grids, [])
    assert len(first.specs) == 11 * 4 * 4 * 2 * 5
    runs = [finished(spec, 60.0 if spec.lr == 1e-2 else 50.0) for spec in first.specs.values()]
    second = plan(suite.grids, runs)
    assert not second.waiting
    final = [spec for spec in second.specs.values() if spec.lr == 1e-2]
    assert len(final) == 5500
    assert second.total == first.total == 5500 + 880
    for dataset, seeds in PAPER.seeds.items():
        assert sorted({spec.seed for spec in final if spec.dataset == dataset}) == list(seeds)
    assert all(not spec.deviations for spec in second.specs.values())


def test_suite_smoke_is_every_model_once() -> None:
    import siconvnet

    specs = [spec for grid in load_suite("smoke").grids for spec in expand(grid)]
    assert [spec.model for spec in specs] == siconvnet.list_models(study="stir")
    assert {"paper", "smoke"} <= set(list_suites())


@pytest.mark.parametrize("name", list_suites())
def test_commands_in_a_suites_description_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "none.db"))
    told = load_suite(name).description
    for line in re.findall("`benchmark ([^`]*)`", told):
        assert main([*shlex.split(line), "--dry-run"]) == 0, capsys.readouterr().err
    # An option without its command cannot be tried, neither here nor by a reader.
    assert "--" not in re.sub("`[^`]*`", "", told)


# --- what a person writes --------------------------------------------------------------------------------------------


def test_ranges() -> None:
    assert ranges.numbers("1-5,8", "seeds") == (1, 2, 3, 4, 5, 8)
    assert ranges.numbers(["3", 1, "1-2"], "seeds") == (3, 1, 2)
    assert ranges.rates([0.01, "1e-3", "published"]) == (0.01, 0.001, "published")
    assert ranges.evaluations("Mid2Rest, 3-4") == (2, 3, 4)
    known = ["standard", "pixel_pool", "slice_pool"]
    assert ranges.names("*pool,standard", "model", known) == ("pixel_pool", "slice_pool", "standard")
    assert ranges.names("all", "model", known) == tuple(known)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": "5-1"}, "the range '5-1' is empty"),
        ({"seeds": ""}, "is empty"),
        ({"seeds": "1,,2"}, "empty part"),
        ({"seeds": "one"}, "neither a whole number"),
        ({"seeds": "-1"}, "neither a whole number"),
        ({"seeds": "1-99999999999"}, "more than"),
        ({"seeds": "5000000000"}, "seed 5000000000 is not accepted"),
        ({"lrs": "fast"}, "'fast' is not a rate"),
        ({"lrs": "0"}, "'0' is not a rate"),
        ({"lrs": "nan"}, "'nan' is not a rate"),
        ({"models": "*pol"}, "no model matches"),
        ({"models": "pixelpool"}, "Did you mean 'pixel_pool'"),
        ({"datasets": "emojis"}, "Did you mean 'emoji'"),
        ({"datasets": "nowhere.npz"}, "no data file"),
        ({"evaluations": "1-7"}, "unknown evaluation '5'"),
        ({"evaluations": "Mid2Rset"}, "Did you mean 'Mid2Rest'"),
        ({"kernel_sizes": "4"}, "odd"),
        ({"seeds": "010"}, "'010' is neither a whole number .* without leading zeros"),
        ({"seeds": "1_0"}, "'1_0' is neither a whole number"),
        ({"lrs": "010"}, "'010' is not a rate"),
        ({"lrs": "1_0"}, "'1_0' is not a rate"),
        ({"epochs": "0"}, "at least 1"),
        ({"epochs": "1-3"}, "not one whole number"),
        ({"select_lr_over_seeds": "1-5"}, "at least two lrs"),
        ({"select_lr_over_seeds": "1-5", "lrs": "published,0.1"}, "selected rate already"),
    ],
)
def test_nonsense_is_one_clear_line(values: dict[str, str], message: str) -> None:
    with pytest.raises(SiconvnetError, match=message.replace("*p", r"\*p")) as caught:
        choose_grids({"models": "standard", "datasets": "emoji", **values})
    assert "\n" not in str(caught.value)


def test_hundred_million_runs_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most 1,000,000"):
        stir(("emoji",), (1, 2, 3, 4), ("standard",), seeds=tuple(range(300_000)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids: [{models: standard, datasets: emoji, sedes: 1}]", "Did you mean 'seeds'"),
        ("grid: []", "Did you mean 'grids'"),
        ("grids: []", "grids is empty"),
        ("grids: standard", "list of at least one grid"),
        ("grids: [standard]", "must be a mapping of axes"),
        ("grids: [{models: standard}]", "needs datasets"),
        ("grids: [{models: standard, datasets: emoji, seeds: }]", "seeds is empty"),
        ("grids: [{models: standard, datasets: emoji, seeds: 9-1}]", "range '9-1' is empty"),
        ("grids: [{models: standard, datasets: emoji, seeds: {a: 1}}]", "neither text nor a number"),
        ("grids:\n- models: standard\n  datasets: emoji\n  models: xu", "line 4: 'models' is there twice"),
        ("grids: [{models: [standard}]", "not YAML"),
        ("grids:\n- ? [a]\n  : 1", "line 2: a list or a mapping cannot be a key"),
        ("just text", "must be a mapping"),
        ("", "must be a mapping"),
        ("grids: [{models: standard, datasets: emoji}, {models: pixl, datasets: emoji}]", "grid 2: unknown model"),
        ("description: {a: 1}\ngrids: [{models: standard, datasets: emoji}]", "description must be text"),
        ("grids: [{models: standard, datasets: emoji, seeds: 010}]", "seeds: '010' is neither a whole number"),
        ("grids: [{models: standard, datasets: emoji, seeds: 1:30}]", "seeds: '1:30' is neither a whole number"),
        ("grids: [{models: standard, datasets: emoji, seeds: 2024-13-45}]", "seeds: '2024-13-45' is neither"),
        ("grids: [{models: standard, datasets: emoji, seeds: 0b_}]", "seeds: '0b_' is neither a whole number"),
        ("grids: [{models: standard, datasets: emoji, seeds: !!int x}]", "line 1: tags such as"),
        ('grids: ["\\UFFFFFFFF"]', "not YAML"),
        ("grids: " + "[" * 5000, "line 1: more than 20 levels"),
        ("a: &a [*a]", r"line 1: \*a stands inside of what it names"),
        ("a: &a [1]\ngrids: [*b]", "line 2: not YAML .*undefined alias"),
        ("!!python/object/apply:os.getcwd []", "tags such as 'tag:yaml.org,2002:python/object/apply"),
    ],
)
def test_suite_with_a_mistake_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        parse_suite(text, "mine.yaml")
    assert str(caught.value).startswith("suite mine.yaml")
    assert "\n" not in str(caught.value)


def bomb(kind: str) -> str:
    """A suite of a few hundred bytes that stands for ten to the power of twelve values."""
    levels = [f"l{number}" for number in range(12)]
    if kind == "lists":
        lines = [f"{one}: &{one} [{', '.join([f'*{below}'] * 10)}]" for below, one in itertools.pairwise(levels)]
        return "\n".join(["l0: &l0 [x]", *lines, "grids: *l11"])
    lines = [f"{one}: &{one} {{<<: [{', '.join([f'*{below}'] * 10)}]}}" for below, one in itertools.pairwise(levels)]
    return "\n".join(["l0: &l0 {x: 1}", *lines, "grids: [*l11]"])


@pytest.mark.parametrize("kind", ["lists", "merges"])
def test_anchors_do_not_multiply_without_end(kind: str) -> None:
    text = bomb(kind)
    assert len(text) < 1000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match=r"line \d+: more than 20,000 values") as caught:
            parse_suite(text, "mine.yaml")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 200


def test_anchors_and_merges_of_a_suite_work() -> None:
    text = (
        "grids:\n- &first {models: standard, datasets: emoji, seeds: &few 1-2}\n- {<<: *first, models: xu, seeds: *few}"
    )
    first, second = parse_suite(text, "mine.yaml").grids
    assert (first.axes["models"], second.axes["models"]) == (("standard",), ("xu",))
    assert first.seeds == second.seeds == (1, 2)


def test_grids_of_a_suite_have_a_common_limit() -> None:
    grid = "- {models: standard, datasets: emoji, evaluations: 1, seeds: 0-499999}\n"
    assert len(parse_suite("grids:\n" + 2 * grid, "mine.yaml").grids) == 2
    with pytest.raises(InvalidArgument, match="grid 3: the grids up to here have 1,500,000 runs; at most 1,000,000"):
        parse_suite("grids:\n" + 40 * grid, "mine.yaml")


def test_what_is_not_a_small_regular_file_is_not_a_suite(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(SiconvnetError, match="not a regular file"):
        load_suite(str(tmp_path / "pipe.yaml"))
    (tmp_path / "large.yaml").write_text("# " + "x" * 2**18)
    with pytest.raises(SiconvnetError, match="more than 262,144 bytes"):
        load_suite(str(tmp_path / "large.yaml"))


def test_suite_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("grids:\n- models: '*pool'\n  datasets: emoji\n  lrs: [1e-2, 0.001]\n  seeds: 1-2\n")
    title, (grid,) = choose_grids({"suite": str(path)})
    assert title == "suite mine"
    assert len(expand(grid)) == 3 * 4 * 2 * 2
    assert grid == make_grid({"models": "*pool", "datasets": "emoji", "lrs": "1e-2,1e-3", "seeds": "1,2"})
    with pytest.raises(SiconvnetError, match="cannot read the suite"):
        load_suite(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(UnknownName, match="Did you mean 'paper'"):
        load_suite("papr")


def test_options_narrow_a_suite_or_contradict_it() -> None:
    _, grids = choose_grids({"suite": "paper", "models": "standard", "datasets": "emoji", "evaluations": "2"})
    assert [(g.axes["models"], g.axes["datasets"], g.axes["evaluations"], len(g.seeds)) for g in grids] == [
        (("standard",), ("emoji",), (2,), 50)
    ]
    for key, value in (("lrs", "0.1"), ("seeds", "1"), ("epochs", "3")):
        with pytest.raises(InvalidArgument, match=f"--{key} contradicts --suite paper"):
            choose_grids({"suite": "paper", key: value})
    with pytest.raises(InvalidArgument, match="nothing of suite smoke is left"):
        choose_grids({"suite": "smoke", "datasets": "mnist"})


def test_grid_survives_json() -> None:
    assert Grid.from_dict(json.loads(json.dumps(dataclasses.asdict(SELECTING)))) == SELECTING
