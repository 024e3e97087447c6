"""The published tables agree with one another and with the paper's own numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmark.results.sizes import CELL, SCALE_COLUMNS
from benchmark.studies import published


def test_a_cell_of_the_paper():
    cell = published.cell("standard", "emoji", 1)
    assert cell is not None
    assert (cell.mean, cell.std, cell.runs, cell.lr) == (17.724, 2.8617, 50, 0.001)


def test_the_oddities_are_kept():
    collapsing = published.cell("pixel_pool", "emoji", 4)
    assert collapsing is not None
    # The paper prints 67.3 +- 44.5: its deviation divides by n, that of the tables by n - 1.
    population = collapsing.std * (1 - 1 / collapsing.runs) ** 0.5
    assert (round(collapsing.mean, 1), round(population, 1)) == (67.3, 44.5)
    frame = published.generalization()
    odd = frame[~frame.runs.isin([25, 50])]
    assert set(odd.runs) == {31}
    assert odd[list(CELL)].drop_duplicates().to_numpy().tolist() == [["pixel_pool", "mnist", 1]]


def test_no_cell_for_what_was_not_published():
    assert published.cell("sesn", "emoji", 1) is None


def test_runs_are_tidy_and_complete():
    frame = published.runs()
    assert len(frame) == 5500
    assert frame.run_time.sum() / 3600 == pytest.approx(1997, abs=1)
    assert set(frame.source) == {"published"}


def test_the_summary_is_that_of_the_runs():
    computed = published.runs().groupby(["dataset", "evaluation", "model"]).test_acc.agg(["mean", "std", "median"])
    stated = published.summary().set_index(["dataset", "evaluation", "model"])
    stated = stated[["test_accuracy_mean", "test_accuracy_std", "test_accuracy_median"]]
    assert abs(computed.to_numpy() - stated.to_numpy()).max() < 1e-4
    for key, row in stated.iterrows():
        dataset, evaluation, model = key
        cell = published.cell(model, dataset, evaluation)
        assert cell is not None and cell.mean == row.iloc[0]


def test_a_cell_has_the_runs_it_is_the_mean_of():
    for model, dataset, evaluation in (("standard", "emoji", 2), ("conv3d", "aerial", 1), ("xu", "mnist", 4)):
        cell = published.cell(model, dataset, evaluation)
        assert cell is not None
        single = published.accuracies(cell)
        assert len(single) == cell.runs
        assert sum(single) / cell.runs == pytest.approx(cell.mean, abs=1e-4)


def test_figures_are_those_of_the_runs_and_of_the_sizes():
    assert len(published.stir_figures("test_acc")) == len(published.stir_figures("avg_time")) == 176
    unseen = {
        (f.spec.model, f.spec.dataset, f.spec.settings.evaluation): f.mean for f in published.stir_figures("unseen_acc")
    }
    # All test sizes of the first three scenarios are unseen, so that the two means are one; All2All has no unseen size.
    assert {evaluation for _, _, evaluation in unseen} == {1, 2, 3}
    for figure in published.stir_figures("test_acc"):
        key = figure.spec.model, figure.spec.dataset, figure.spec.settings.evaluation
        if key in unseen and key[1] == "emoji":
            assert figure.mean == pytest.approx(unseen[key], abs=0.02)
    assert published.stir_figures("test_err") == []


def test_scales_are_tidy():
    frame = published.generalization()
    assert tuple(frame.columns) == SCALE_COLUMNS
    assert (frame.groupby(list(CELL)).size() == 48).all()


def test_a_cell_needs_no_pandas():
    code = (
        "import sys; from benchmark.studies import published; published.cell('xu', 'mnist', 2); "
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
