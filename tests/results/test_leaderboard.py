"""The ranked table: its statistics, its bytes, its gaps, and what may and may not decide the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.results import runs as table_of_runs
from benchmark.results.leaderboard import NO_RUN, Leaderboard, leaderboard
from benchmark.results.runs import finished
from benchmark.results.selection import cell_fields, learning_rates, of_setting, selected
from benchmark.results.statistics import Sample
from benchmark.results.tables import render
from benchmark.studies import published
from benchmark.studies.stir import STIR
from siconvnet.errors import UnknownName

PLACE = "mine-0123456789ab"
"""Data of one's own: nothing published stands among the runs."""


def run(model: str = "standard", seed: int = 1, test_acc: float = 50.0, **changes) -> dict:
    row = {"model": model, "dataset": PLACE, "evaluation": 2, "kernel_size": 7, "interpolation": "bicubic"}
    row |= {"lr": 0.001, "seed": seed, "test_acc": test_acc, "best_acc": 90.0, "avg_time": 1.0, "parameters": 27108}
    return {**row, **changes}


def frame(rows: list[dict]) -> pd.DataFrame:
    return table_of_runs.table(STIR, rows)


def board(rows: list[dict], **more) -> Leaderboard:
    return leaderboard(STIR, frame(rows), **more)


def text(found: Leaderboard, kind: str = "markdown") -> str:
    return render(kind, found.sections(), found.legend(), found.table)


def test_runs_without_the_metric_are_told_from_no_run():
    rows = [run(seed=n, avg_time=None) for n in (1, 2, 3)] + [run("xu", avg_time=9.0)]
    table = board(rows, metric="avg_time", only={"model": ("standard", "sesn", "xu")}).table
    assert table["model"].tolist() == ["xu", "sesn", "standard"]
    assert table["note"].tolist() == ["", NO_RUN, "finished without avg_time: 3"]
    assert table["rank"].tolist() == [1, "X", "X"]


def test_a_row_is_the_statistics_of_its_seeds():
    values = [40.0, 42.0, 47.0]
    row = board([run(seed=n, test_acc=v) for n, v in enumerate(values)]).table.iloc[0]
    assert (row["n"], row["rank"], row["parameters"], row["source"]) == (3, 1, 27108, "ours")
    assert row["mean"] == pytest.approx(43)
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert (row["median"], row["best"]) == (42, 47)
    assert row["ci_low"] < 40 < 43 < 47 < row["ci_high"]


def test_the_published_means_come_out_and_stand_beside():
    ours = leaderboard(STIR, selected(STIR, published.runs())).table
    alone = leaderboard(STIR, frame([]), published_only=True).table
    assert len(ours) == len(alone) == 176
    for row in [*ours.itertuples(), *alone.itertuples()]:
        cell = published.cell(row.model, row.dataset, row.evaluation)
        assert cell is not None
        assert (row.n, row.published_n) == (cell.runs, cell.runs)
        assert row.mean == pytest.approx(cell.mean, abs=1e-4)
        assert row.published_std == pytest.approx(cell.std, abs=1e-4)
    assert ours["rank"].tolist() == alone["rank"].tolist()


def test_a_published_method_is_ranked_among_ours_and_marked():
    rows = [run("my_net:MyNet", dataset="emoji", test_acc=50.0), run(dataset="emoji", seed=2, test_acc=39.0)]
    table = board(rows).table.set_index("model")
    assert table.loc[["pixel_pool", "my_net:MyNet", "xu", "standard", "energy_pool"], "rank"].tolist() == [
        1,
        8,
        10,
        11,
        12,
    ]
    assert table.loc["pixel_pool", ["source", "note", "n"]].tolist() == ["published", "published", 50]
    assert table.loc["my_net:MyNet", ["source", "note"]].tolist() == ["ours", ""]
    assert table.loc["standard", ["source", "published_n"]].tolist() == ["ours", 50]
    assert "X" not in set(table["rank"])
    assert board(rows[:1], only={"model": ("my_net:MyNet",)}).table["model"].tolist() == ["my_net:MyNet"]


def test_unseen_sizes_are_shown_where_all_runs_know_them():
    for known, shown in (([40.0, 41.0, 42.0], 41.0), ([40.0, None, None], math.nan)):
        rows = [run(seed=n, unseen_acc=value) for n, value in enumerate(known)]
        assert board(rows).table["unseen_acc"].tolist() == pytest.approx([shown], nan_ok=True)
        slow = text(board(rows, metric="avg_time"))
        assert ("| unseen |" in slow) == ("unseen: accuracy at unseen sizes" in slow) == (shown == 41)
    same = [run(seed=n, unseen_acc=50.0) for n in range(3)]
    assert "unseen" not in text(board(same))  # the test accuracy says it already


def test_published_times_are_those_of_another_machine():
    rows = [run(dataset="emoji")]
    assert "NVIDIA A100" in board(rows, metric="avg_time").legend()
    assert "A100" not in board(rows).legend()


def test_the_order_of_runs_changes_no_byte():
    runs = published.runs().query("dataset == 'emoji'")
    shuffled = runs.sample(frac=1, random_state=3)
    first, second = (leaderboard(STIR, selected(STIR, each)) for each in (runs, shuffled))
    assert text(first, "csv") == text(second, "csv") and text(first) == text(second)


def test_another_accuracy_changes_the_bytes():
    rows = [run(seed=n, test_acc=40.0 + n) for n in range(3)]
    assert text(board(rows), "csv") != text(board([*rows[:2], run(seed=2, test_acc=43.0)]), "csv")


def test_ranks_and_ties():
    table = board([run("xu", test_acc=60), run("standard", test_acc=50), run("conv3d", test_acc=60)]).table
    assert table[["model", "rank"]].to_numpy().tolist() == [["conv3d", 1], ["xu", 1], ["standard", 3]]


def test_less_time_is_better():
    table = board([run("xu", avg_time=9.0), run("standard", avg_time=3.0)], metric="avg_time").table
    assert table["model"].tolist() == ["standard", "xu"]


def test_any_logged_figure_ranks_and_one_that_nobody_describes_is_shown_without_a_rank():
    rows = [run("xu", scale_consistency=60.0, own_figure=1.0), run(scale_consistency=70.0, own_figure=2.0)]
    assert board(rows, metric="scale_consistency").table["model"].tolist() == ["standard", "xu"]
    assert board(rows, metric="own_figure").table["rank"].tolist() == ["", ""]


def test_where_nothing_ran_there_is_an_x_with_a_reason():
    lost = run("sesn", status="FAILED", reason="out of memory", spec_hash="a", test_acc=None)
    runs = frame([run(), lost])
    found = leaderboard(
        STIR, finished(runs), unfinished=runs[runs["status"] != "FINISHED"], only={"model": ("standard", "sesn", "xu")}
    )
    assert found.table[["model", "rank", "note"]].to_numpy().tolist() == [
        ["standard", 1, ""],
        ["sesn", "X", "failed: out of memory"],
        ["xu", "X", NO_RUN],
    ]
    assert "| X | sesn | 0 |  |" in text(found) and "failed: out of memory |" in text(found)
    assert board([run()]).table["model"].tolist() == ["standard"]  # methods that nobody asked for are not listed


def test_runs_that_failed_are_told_beside_the_mean():
    def lost(model: str, seed: int, **more) -> dict:
        return run(model, seed, **{"status": "FAILED", "spec_hash": f"{model}{seed}", "test_acc": None, **more})

    rows = [run(), run("xu"), run("conv3d", spec_hash="conv3d4")]
    rows += [lost("standard", 2), lost("standard", 3), lost("standard", 3), lost("xu", 1, lr=0.01), lost("conv3d", 4)]
    rows += [lost("standard", 4, max_epochs=2), lost("standard", 4, kernel_size=5)]
    runs = frame(rows)
    found = leaderboard(STIR, selected(STIR, finished(runs)), unfinished=runs[runs["status"] == "FAILED"])
    # A run that has finished since, one at a rate that is not shown, a trial and another setting are not told.
    assert found.table[["model", "note"]].to_numpy().tolist() == [["conv3d", ""], ["standard", "2 failed"], ["xu", ""]]
    assert "| 2 failed |" in text(found) and "failed: runs" in text(found)
    assert "note" not in text(board([run()]))


def test_one_run_has_no_interval_and_no_deviation():
    found = board([run()])
    assert found.table[["std", "ci_low", "ci_high"]].isna().all(axis=None)
    assert "nan" not in text(found).lower()


def test_an_unknown_metric_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'test_acc'"):
        board([run()], metric="test_accuracy")


def test_the_legend_explains_what_is_there():
    whole, lacking = board([run()]).legend(), board([run()], only={"model": ("standard", "xu")}).legend()
    assert "standard deviation (n - 1)" in whole
    assert "X:" not in whole and "X: nothing ran" in lacking


def test_versions_of_a_method_have_rows_of_their_own():
    rows = [run("tiny:Tiny", seed, version="3f2a99", label="Tiny net") for seed in (1, 2)]
    assert board(rows).table[["model", "n"]].to_numpy().tolist() == [["tiny:Tiny", 2]]
    found = board([*rows, run("tiny:Tiny", 3, test_acc=40.0, version="77b1c0"), run("tiny:Tiny", 4, test_acc=30.0)])
    assert found.table[["model", "n"]].to_numpy().tolist() == [
        ["tiny:Tiny@3f2a", 2], ["tiny:Tiny@77b1", 1], ["tiny:Tiny@?", 1],
    ]  # fmt: skip
    assert "| tiny:Tiny@3f2a (Tiny net) |" in text(found)


def test_what_leaves_the_protocol_has_no_rank_and_a_table_that_says_what_was_changed():
    rows = [run(), run(max_epochs=2, test_acc=90.0), run(kernel_size=5, test_acc=80.0), run("xu", 2, test_acc=60.0)]
    assert board(rows[:1] + rows[3:]).table["rank"].tolist() == [1, 2]
    short = leaderboard(STIR, selected(STIR, frame(rows), include_short=True)).table
    assert short[["model", "rank", "note"]].to_numpy().tolist() == [
        ["xu", 1, ""], ["standard", 2, ""], ["standard", "", "max epochs 2 instead of 200"],
    ]  # fmt: skip
    changed = board(rows, changed_only=True).table
    assert changed["note"].tolist() == ["max epochs 2 instead of 200", "kernel size 5 instead of 7"]
    assert changed["rank"].tolist() == ["", ""]


def test_chance_is_told_beside_the_title():
    assert "test accuracy [%], chance 25.00" in text(board([run()], chance={PLACE: 25.0}))


def test_latex_can_be_set_by_latex():
    found = text(board([run("my_net:My_Net")]), "latex")
    assert r"\begin{tabular}{rlr" in found and r"my\_net:My\_Net" in found and "test accuracy [%]" in found
    assert all(line.startswith("%") for line in found.splitlines() if "±" in line)


def test_latex_sets_the_best_mean_in_bold():
    found = text(board([run("standard", test_acc=60.0), run("xu", test_acc=50.0)]), "latex")
    assert r"1 & standard & 1 & \textbf{60.00}" in found and found.count(r"\textbf") == 1 and "50.00" in found


@pytest.mark.parametrize("n", [2, 3, 5, 25])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(n):
    samples = np.random.default_rng(n).normal(50, 4, size=(1000, n))
    bounds = np.array([Sample.of(sample).interval() for sample in samples])
    hits = ((bounds[:, 0] <= 50) & (bounds[:, 1] >= 50)).mean()
    assert hits == pytest.approx(0.95, abs=0.025)
    assert bounds[0] == pytest.approx(stats.t.interval(0.95, n - 1, samples[0].mean(), stats.sem(samples[0])))


def test_the_interval_stays_where_accuracies_are():
    assert Sample.of([90.0, 99.0]).interval(100.0)[1] == 100
    assert Sample.of([1.0, 9.0]).interval()[0] == 0


def test_the_rate_is_chosen_by_the_median_validation_of_the_first_five_seeds():
    rows = [run(seed=n, lr=0.001, best_acc=90.0, test_acc=10.0) for n in range(1, 6)]
    rows += [run(seed=n, lr=0.01, best_acc=91.0, test_acc=5.0) for n in range(1, 6)]
    # Later seeds and a mean pulled up by one seed must not count.
    rows += [run(seed=n, lr=0.001, best_acc=100.0, test_acc=99.0) for n in range(6, 50)]
    rows[0]["best_acc"] = 100.0
    assert learning_rates(frame(rows), cell_fields(STIR))["lr"].tolist() == [0.01]


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
    assert len(selected(STIR, frame([*rows, *stray]))) == 25
    assert len(selected(STIR, frame(stray))) == len(stray)  # alone they are shown


def test_test_accuracy_never_decides_the_rate():
    rows = [run(seed=1, lr=0.001, best_acc=80.0, test_acc=99.0), run(seed=1, lr=0.01, best_acc=81.0, test_acc=1.0)]
    assert selected(STIR, frame(rows))["test_acc"].tolist() == [1.0]


def test_a_tie_of_rates_goes_to_the_smaller():
    rows = [run(seed=n, lr=lr) for n in range(1, 6) for lr in (0.01, 0.001)]
    assert learning_rates(frame(rows), cell_fields(STIR))["lr"].tolist() == [0.001]


def test_only_one_setting_counts_and_repeated_runs_once():
    rows = [run(), run(test_acc=51.0), run(kernel_size=5), run(interpolation="area", test_acc=52.0)]
    assert of_setting(STIR, frame(rows))["test_acc"].tolist() == [50.0]
    assert of_setting(STIR, frame(rows), {"interpolation": "area"})["test_acc"].tolist() == [52.0]


def test_a_table_that_does_not_say_its_setting_is_of_the_protocols():
    assert len(of_setting(STIR, frame([run(kernel_size=None, interpolation=None)]))) == 1
    assert of_setting(STIR, frame([run(kernel_size=None)]), {"kernel_size": 5}).empty
