"""The comparison of bases: what is computed for it, from published errors and from runs, and how it is drawn."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from test_plot_figures import overlaps, texts

from benchmark.plots import bases
from benchmark.results.runs import table
from benchmark.spec import RunSpec
from benchmark.studies.compared_bases import STUDY, compared
from siconvnet import create_model
from siconvnet.bases import make_basis
from siconvnet.bases.rescaling import basis_equivariance_error


def runs(*errors: tuple[str, bool, float], **changes: int):
    rows = []
    for number, (model, augment, error) in enumerate(errors):
        spec = RunSpec(model, "mnist-scale", realization=number, augment=augment, **changes)
        rows.append({**spec.fields, "test_err": error})
    return table(STUDY, rows)


RUNS = (("hermite_56p", True, 1.5), ("hermite_56p", True, 1.6), ("disco_56", False, 1.9), ("ses_vector_56p", True, 9.0))


@pytest.fixture(scope="module")
def published() -> list[bases.ComparedBasis]:
    return compared()


@pytest.fixture(scope="module")
def both() -> list[bases.ComparedBasis]:
    return compared(runs(*RUNS))


def test_the_published_comparison(published):
    assert [(basis.label, basis.errors[0].mean) for basis in published] == [
        ("DISCO", 1.35),
        ("Hermite", 1.42),
        ("B-spline", 1.49),
        ("Fourier-Bessel", 1.55),
        ("LR harmonics", 1.55),
    ]
    assert [basis.published_equivariance_error for basis in published] == [0.005, 0.107, 0.16, 0.17, 0.2]
    assert all(basis.augment and basis.functions.shape == (49, 4, 15, 15) for basis in published)


def test_the_functions_and_their_error_are_those_of_the_network(published):
    for basis in published:
        layer = create_model(basis.model, num_channels=1, num_classes=10).blocks[0]
        assert np.array_equal(basis.functions.astype(np.float32), layer.basis.numpy())
    hermite = make_basis("hermite_b", 15, [1.7, 2.14, 2.7, 3.4], 7, mult=1.5, max_order=4)
    table = basis_equivariance_error(hermite, [1.7, 2.14, 2.7, 3.4])
    assert published[1].equivariance_error == pytest.approx(float(table[table > 0].mean()))
    assert min(published, key=lambda basis: basis.equivariance_error).label == "DISCO"


def test_runs_stand_beside_the_published(both):
    errors = {(basis.model, basis.augment): basis.errors for basis in both}
    assert errors["hermite_56p", True][1] == bases.BasisError(
        "ours", 1.55, pytest.approx(statistics.stdev([1.5, 1.6])), 2
    )
    assert errors["disco_56", False] == (bases.BasisError("ours", 1.9, None, 1),)
    assert len(errors["bspline_56p", True]) == 1 and not any(model.startswith("ses") for model, _ in errors)


def test_runs_that_leave_the_protocol_are_left_out():
    assert all(len(basis.errors) == 1 for basis in compared(runs(*RUNS, max_epochs=5)))


def words(figure: Figure) -> list[str]:
    shown = texts(figure)
    assert overlaps(shown) == []
    return [text for text, _ in shown]


def test_the_figures_say_what_they_show(published, both):
    said = words(bases.comparison(published))
    assert {"DISCO", "LR harmonics", "As published, read off a plot"} < set(said)
    assert not any("ours" in text for text in said)
    assert {"ours, 2 seeds", "ours, not rescaled, 1 seed"} < set(words(bases.comparison(both)))
    shown = {"DISCO: 17 of 49 functions", "Fourier-Bessel: 17 of 49 functions", "s = 1.59", "s = 3.4"}
    assert shown < set(words(bases.functions(published)))


def at(axis) -> set[tuple[float, float]]:
    return {(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines}


def test_each_point_is_where_it_belongs(both):
    left, right = bases.comparison(both).axes
    assert {(0.005, 1.35), (0.107, 1.42)} < at(left) and len(at(left)) == 5
    hermite = next(basis for basis in both if basis.model == "hermite_56p")
    assert {(hermite.equivariance_error, 1.42), (hermite.equivariance_error, 1.55)} < at(right)
    assert len(at(right)) == 7 + 2  # and the ends of the one bar


def test_tiles_keep_their_signs_and_places():
    functions = torch.zeros(2, 3, 5, 5).numpy()
    functions[0, 1, 2, 3], functions[0, 1, 0, 0], functions[1, 2, 4, 4] = -4.0, 2.0, 0.5
    picture = bases.tiles(functions)
    step = 5 + bases.GAP
    assert picture.shape == (3 * step - bases.GAP, 2 * step - bases.GAP)
    assert picture[step + 2, 3] == -1 and picture[step, 0] == 0.5 and picture[2 * step + 4, step + 4] == 1
    assert np.isnan(picture[5]).all() and np.isnan(picture[:, 5]).all()
    assert np.nansum(np.abs(picture)) == 2.5


def test_the_page_on_metrics_gives_these_errors(published):
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    told = {
        "DISCO": re.findall(r"DISCO's own is (\S+) there and (\S+) here", page),
        "Hermite": re.findall(r"Hermite's\s+(\S+) and (\d\.\d+)", page),
    }
    for basis in published:
        if basis.label in told:
            both = f"{basis.published_equivariance_error:g}", f"{basis.equivariance_error:.3f}"
            assert told.pop(basis.label) == [both]
    assert not told
