"""The ranked table: its statistics, its bytes, its gaps, and what may and may not decide the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.results.frames import tidy_runs
from benchmark.results.leaderboard import (
    NO_RUN,
    leaderboard,
    legend,
    mean_interval,
    to_csv,
    to_markdown,
)
from benchmark.results.selection import learning_rates, of_setting, selected
from benchmark.studies import published
from siconvnet.errors import UnknownName


def run(model: str = "standard", seed: int = 1, test_acc: float = 50.0, **changes) -> dict:
    row = {"model": model, "dataset": "emoji", "evaluation": 2, "kernel_size": 7, "interpolation": "bicubic"}
    row |= {"lr": 0.001, "seed": seed, "test_acc": test_acc, "best_acc": 90.0, "avg_time": 1.0, "parameters": 27108}
    return {**row, **changes}


def frame(rows: list[dict]) -> pd.DataFrame:
    return tidy_runs(pd.DataFrame(rows), source="ours")


def test_runs_without_the_metric_are_told_from_no_run():
    rows = [run(seed=n, avg_time=None) for n in (1, 2, 3)] + [run("xu", avg_time=9.0)]
    table = leaderboard(frame(rows), metric="avg_time", grid=[("emoji", 2, "standard"), ("emoji", 2, "sesn")])
    assert table["model"].tolist() == ["xu", "sesn", "standard"]
    assert table["note"].tolist() == ["", "no finished run", "finished without avg_time: 3"]
    assert table["rank"].tolist() == [1, "X", "X"]


def test_a_row_is_the_statistics_of_its_seeds():
    values = [40.0, 42.0, 47.0]
    table = leaderboard(frame([run(seed=n, test_acc=v) for n, v in enumerate(values)]))
    row = table.iloc[0]
    assert (row["n"], row["rank"], row["parameters"]) == (3, 1, 27108)
    assert row["mean"] == pytest.approx(43)
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["median"] == 42
    assert row["ci_low"] < 40 < 43 < 47 < row["ci_high"]


def test_the_published_means_come_out_and_stand_beside():
    table = leaderboard(selected(published.runs()), published=published.runs(), scales=published.generalization())
    assert len(table) == 176
    for row in table.itertuples():
        cell = published.cell(row.model, row.dataset, row.evaluation)
        assert cell is not None
        assert (row.n, row.published_n) == (cell.runs, cell.runs)
        assert row.mean == pytest.approx(cell.mean, abs=1e-4)
        assert row.published_std == pytest.approx(cell.std, abs=1e-4)
    # All test sizes of the first three scenarios are unseen, so that the two means are one; All2All has no unseen size.
    emoji = table[(table["dataset"] == "emoji") & (table["evaluation"] < 4)]
    np.testing.assert_allclose(emoji["unseen_scales"], emoji["mean"], atol=0.02)
    assert table.loc[table["evaluation"] == 4, "unseen_scales"].isna().all()


def test_sizes_known_of_fewer_runs_are_not_set_beside_n():
    rows = frame([run(seed=n) for n in range(3)])
    scale = {"model": "standard", "dataset": "emoji", "evaluation": 2, "accuracy_mean": 40.0}
    for runs, shown in ((3, 40.0), (1, math.nan)):
        scales = pd.DataFrame([{**scale, "scale": size, "runs": runs} for size in range(17, 65)])
        table = leaderboard(rows, scales=scales)
        assert table["unseen_scales"].tolist() == pytest.approx([shown], nan_ok=True)
        assert "unseen" not in to_markdown(table)  # the test accuracy says it already
        slow = to_markdown(leaderboard(rows, metric="avg_time", scales=scales), "avg_time")
        assert ("| unseen |" in slow) == ("unseen: mean accuracy" in slow) == (runs == 3)


def test_published_times_are_those_of_another_machine():
    published = leaderboard(frame([run()]), metric="avg_time", published=frame([run()]))
    assert "NVIDIA A100" in legend(published, "avg_time")
    assert "A100" not in legend(leaderboard(frame([run()]), published=frame([run()])), "test_acc")


def test_the_order_of_runs_changes_no_byte():
    runs = published.runs().query("dataset == 'emoji'")
    shuffled = runs.sample(frac=1, random_state=3)
    assert to_csv(leaderboard(selected(runs))) == to_csv(leaderboard(selected(shuffled)))
    assert to_markdown(leaderboard(runs)) == to_markdown(leaderboard(shuffled))


def test_another_accuracy_changes_the_bytes():
    rows = [run(seed=n, test_acc=40.0 + n) for n in range(3)]
    assert to_csv(leaderboard(frame(rows))) != to_csv(leaderboard(frame([*rows[:2], run(seed=2, test_acc=43.0)])))


def test_ranks_and_ties():
    table = leaderboard(frame([run("xu", test_acc=60), run("standard", test_acc=50), run("conv3d", test_acc=60)]))
    assert table[["model", "rank"]].to_numpy().tolist() == [["conv3d", 1], ["xu", 1], ["standard", 3]]


def test_less_time_is_better():
    table = leaderboard(frame([run("xu", avg_time=9.0), run("standard", avg_time=3.0)]), metric="avg_time")
    assert table["model"].tolist() == ["standard", "xu"]


def test_where_nothing_ran_there_is_an_x_with_a_reason():
    cells = [("emoji", 2, "standard"), ("emoji", 2, "sesn"), ("emoji", 2, "hermite")]
    table = leaderboard(frame([run()]), grid=cells, reasons={("emoji", 2, "sesn"): "failed: out of memory"})
    assert table[["model", "rank", "note"]].to_numpy().tolist() == [
        ["standard", 1, ""],
        ["hermite", "X", NO_RUN],
        ["sesn", "X", "failed: out of memory"],
    ]
    assert "| X | sesn | 0 | failed: out of memory |" in to_markdown(table)


def test_runs_that_failed_are_told_beside_the_mean():
    failed = {(("emoji", 2, "standard"), 0.001): 2, (("emoji", 2, "xu"), 0.01): 1}
    table = leaderboard(frame([run(), run("xu"), run("conv3d")]), failed=failed)
    assert table[["model", "note"]].to_numpy().tolist() == [["conv3d", ""], ["standard", "2 failed"], ["xu", ""]]
    assert "| 2 failed |" in to_markdown(table)
    assert "note" not in to_markdown(leaderboard(frame([run()])))


def test_one_run_has_no_interval_and_no_deviation():
    table = leaderboard(frame([run()]))
    assert table[["std", "ci_low", "ci_high"]].isna().all(axis=None)
    assert "nan" not in to_markdown(table).lower()


def test_an_unknown_metric_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'test_acc'"):
        leaderboard(frame([run()]), metric="test_accuracy")


def test_the_legend_says_what_plus_minus_means():
    assert "standard deviation (n - 1)" in legend(leaderboard(frame([run()])), "test_acc")


def test_the_legend_explains_what_is_there():
    whole, lacking = leaderboard(frame([run()])), leaderboard(frame([run()]), grid=[("emoji", 2, "xu")])
    assert "X:" not in legend(whole, "test_acc") and "X: nothing ran" in legend(lacking, "test_acc")


@pytest.mark.parametrize("n", [2, 3, 5, 25])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(n):
    samples = np.random.default_rng(n).normal(50, 4, size=(1000, n))
    bounds = np.array([mean_interval(sample) for sample in samples])
    hits = ((bounds[:, 0] <= 50) & (bounds[:, 1] >= 50)).mean()
    assert hits == pytest.approx(0.95, abs=0.025)
    assert bounds[0] == pytest.approx(stats.t.interval(0.95, n - 1, samples[0].mean(), stats.sem(samples[0])))


def test_the_interval_stays_where_accuracies_are():
    assert mean_interval([90.0, 99.0], 100.0)[1] == 100
    assert mean_interval([1.0, 9.0])[0] == 0


def test_the_rate_is_chosen_by_the_median_validation_of_the_first_five_seeds():
    rows = [run(seed=n, lr=0.001, best_acc=90.0, test_acc=10.0) for n in range(1, 6)]
    rows += [run(seed=n, lr=0.01, best_acc=91.0, test_acc=5.0) for n in range(1, 6)]
    # Later seeds and a mean pulled up by one seed must not count.
    rows += [run(seed=n, lr=0.001, best_acc=100.0, test_acc=99.0) for n in range(6, 50)]
    rows[0]["best_acc"] = 100.0
    assert learning_rates(frame(rows))["lr"].tolist() == [0.01]


@pytest.mark.parametrize(
    "stray",
    [
        [run(seed=1, lr=0.01, best_acc=99.0)],  # one seed against five
        [run(seed=n, lr=0.003, best_acc=99.0) for n in range(1, 6)],  # a rate that the paper did not try
        [run(seed=n, lr=0.01, best_acc=99.0) for n in range(1, 4)],  # a selection over fewer seeds
    ],
)
def test_stray_runs_displace_no_cell(stray):
    rows = [run(seed=n, best_acc=90.0, test_acc=40.0) for n in range(1, 26)]
    assert len(selected(frame([*rows, *stray]))) == 25
    assert len(selected(frame(stray))) == len(stray)  # alone they are shown


def test_test_accuracy_never_decides_the_rate():
    rows = [run(seed=1, lr=0.001, best_acc=80.0, test_acc=99.0), run(seed=1, lr=0.01, best_acc=81.0, test_acc=1.0)]
    assert selected(frame(rows))["test_acc"].tolist() == [1.0]


def test_a_tie_of_rates_goes_to_the_smaller():
    rows = [run(seed=n, lr=lr) for n in range(1, 6) for lr in (0.01, 0.001)]
    assert learning_rates(frame(rows))["lr"].tolist() == [0.001]


def test_only_one_setting_counts_and_repeated_runs_once():
    rows = [run(), run(test_acc=51.0), run(kernel_size=5), run(interpolation="area", test_acc=52.0)]
    assert of_setting(frame(rows))["test_acc"].tolist() == [50.0]
    assert of_setting(frame(rows), interpolation="area")["test_acc"].tolist() == [52.0]


def test_a_table_that_does_not_say_its_setting_is_taken_for_any():
    assert len(of_setting(frame([run(kernel_size=None, interpolation=None)]), kernel_size=5)) == 1
