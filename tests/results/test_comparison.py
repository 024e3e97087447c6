"""Verdicts come from the spread and number of runs: checked against SciPy, and against samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmark.results import comparison
from benchmark.results.comparison import AGREES, DIFFERS, TOO_FEW, compare, unmet, welch
from benchmark.results.runs import table
from benchmark.studies import published
from benchmark.studies.stir import STIR


def sample(mean: float, std: float, n: int, seed: int = 0) -> np.ndarray:
    """`n` values with exactly this mean and standard deviation."""
    drawn = np.random.default_rng(seed).normal(size=n)
    return mean + std * (drawn - drawn.mean()) / drawn.std(ddof=1)


def test_the_interval_is_that_of_scipy():
    ours, theirs = sample(70, 3, 7), sample(68, 5, 50, seed=1)
    result = welch(ours, theirs)
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert result.difference == pytest.approx(2)


def test_the_three_verdicts():
    theirs = sample(50, 3, 50)
    assert welch(sample(50.2, 3, 20, 1), theirs).verdict == AGREES
    assert welch(sample(60, 3, 5, 1), theirs).verdict == DIFFERS
    assert welch(sample(50.2, 3, 3, 1), theirs).verdict == TOO_FEW


def test_few_runs_never_agree_only_for_being_few():
    """The trap of taking `not significant` for `the same`: two wild runs hold zero in their interval, always."""
    result = welch([40.0, 60.0], sample(50, 3, 50))
    assert result.low < 0 < result.high
    assert result.verdict == TOO_FEW
    assert result.runs_needed is None or result.runs_needed > 2


def test_the_verdict_follows_the_spread_not_a_tolerance():
    """The same two points of difference agree where runs scatter widely, and differ where they do not."""
    assert welch(sample(52, 8, 50, 1), sample(50, 8, 50)).verdict == AGREES
    assert welch(sample(52, 1, 50, 1), sample(50, 1, 50)).verdict == DIFFERS


def test_one_run_is_too_few_and_says_how_many_would_do():
    result = welch([50.0], sample(50, 3, 50))
    assert result.verdict == TOO_FEW
    assert np.isnan(result.low)
    assert result.runs_needed is not None and 5 <= result.runs_needed <= 10


def test_runs_needed_is_enough():
    result = welch(sample(50.5, 3, 3, 1), sample(50, 3, 50))
    assert result.runs_needed is not None
    assert welch(sample(50.5, 3, result.runs_needed, 2), sample(50, 3, 50)).verdict == AGREES
    assert welch(sample(50.5, 3, result.runs_needed - 1, 2), sample(50, 3, 50)).verdict == TOO_FEW


def test_cells_without_any_spread():
    assert welch([100.0] * 3, [100.0] * 50).verdict == AGREES
    assert welch([99.0] * 3, [100.0] * 50).verdict == DIFFERS


def test_one_in_twenty_differs_by_chance():
    """Splits of one published sample: the rate of `differs` is that of the interval."""
    values = (
        published.runs().query("model == 'standard' and dataset == 'emoji' and evaluation == 1")["test_acc"].to_numpy()
    )
    generator = np.random.default_rng(0)
    verdicts = []
    for _ in range(400):
        shuffled = generator.permutation(values)
        verdicts.append(welch(shuffled[:25], shuffled[25:]).verdict)
    assert 0.02 < verdicts.count(DIFFERS) / 400 < 0.09
    assert verdicts.count(AGREES) / 400 > 0.75


def ours(rows: list[dict]):
    return table(STIR, rows)


def run(**changes) -> dict:
    row = {"model": "standard", "dataset": "emoji", "evaluation": 1, "kernel_size": 7, "interpolation": "bicubic"}
    return {**row, "lr": 0.001, "seed": 1, "test_acc": 18.0, "best_acc": 99.0, **changes}


def test_compare_takes_the_published_rate_and_setting_only():
    frame = ours(
        [run(seed=seed, test_acc=17.7 + seed / 10) for seed in range(1, 6)]
        + [run(lr=0.01, test_acc=90.0), run(kernel_size=5, test_acc=90.0), run(model="sesn")]
    )
    found = compare(STIR, frame)
    assert list(found.columns) == comparison.columns(STIR)
    assert found[["model", "ours_n", "published_n"]].to_numpy().tolist() == [["standard", 5, 50]]
    assert found["ours_mean"].item() == pytest.approx(18.0)


def test_cells_that_cannot_be_compared_say_why():
    frame = ours([run(lr=0.01), run(model="sesn"), run(model="xu", kernel_size=5)])
    assert compare(STIR, frame).empty
    assert unmet(STIR, frame) == [
        "sesn, emoji, Small2Large: nothing published",
        "standard, emoji, Small2Large: published at learning rate 0.001, ours at 0.01",
        "xu, emoji, Small2Large: kernel size 5 instead of 7",
    ]


def test_the_published_runs_agree_with_themselves():
    found = compare(STIR, published.runs())
    assert len(found) == 176
    assert set(found["verdict"]) == {AGREES}
