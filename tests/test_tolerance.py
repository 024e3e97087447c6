"""The tolerance model of internal scales: the published fit, and what its strengths are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.studies.tolerance import Tolerance, fit, shares, softened, strengths
from siconvnet.errors import InvalidArgument

RANGES = [(1.0, 2.83), (1.0, 4.76), (1.0, 8.0)]
#: Reference scale and ISR of each range as the authors' notebook prints them, and its common tolerance.
PUBLISHED, WIDTH = [(0.981, 2.893), (1.045, 4.319), (1.125, 6.320)], 0.459


def test_the_published_fit():
    found = fit(RANGES)
    assert [model.width for model in found] == pytest.approx([WIDTH] * 3, abs=1e-3)
    for model, (smallest, isr) in zip(found, PUBLISHED, strict=True):
        assert model.smallest == pytest.approx(smallest, abs=2e-3)
        assert model.isr == pytest.approx(isr, abs=2e-3)
    # Negative control: without softened ends the scales draw together.
    assert fit(RANGES, softness=0.05)[2].isr < found[2].isr - 0.3


def test_it_is_the_best_nearby():
    (found,) = fit([(0.5, 2.0)], num_scales=4)
    sizes = np.geomspace(0.25, 17, 400)
    wanted = softened("loguniform", 0.5, 2.0, sizes)
    wanted = np.maximum(wanted / wanted.sum(), 1e-100)

    def divergence(model: Tolerance) -> float:
        together = strengths(sizes, model.scales, model.width).sum(0)
        together /= together.sum()
        return float((together * np.log(np.maximum(together, 1e-300) / wanted)).sum())

    best = divergence(found)
    for factor in (0.9, 1.1):
        assert divergence(Tolerance(found.smallest * factor, found.isr, found.width, 4)) > best
        assert divergence(Tolerance(found.smallest, found.isr * factor, found.width, 4)) > best


def test_strengths_and_shares():
    scales = (1.0, 2.0, 4.0)
    found = strengths(np.array([1.0, 2.0, 2.0 * 2**0.5]), scales, 0.5)
    assert np.diag(found[:2, :2]) == pytest.approx([1, 1])
    assert found[1, 2] == pytest.approx(np.exp(-0.5)) and found[1, 2] == pytest.approx(found[2, 2])
    sizes = np.array([1e-3, 1.0, 2.0, 1e9])
    parts = shares(sizes, scales, 0.2)
    assert np.isfinite(parts).all() and parts.sum(0) == pytest.approx(np.ones(4))
    assert parts[0, 0] == pytest.approx(1) and parts[2, 3] == pytest.approx(1)  # also where all strengths are 0
    assert strengths(sizes, scales, 0.2)[:, 3].max() == 0


@pytest.mark.parametrize("distribution", ["loguniform", "uniform", "normal"])
def test_softened_ends(distribution):
    sizes = np.array([0.5, 0.999, 1.0, 2.0, 3.0, 3.001, 6.0])
    found = softened(distribution, 1.0, 3.0, sizes, 0.4)
    assert found[1] == pytest.approx(found[2], rel=1e-2) and found[5] == pytest.approx(found[4], rel=1e-2)
    assert 0 < found[0] < 0.1 * found[2] and 0 < found[6] < 0.1 * found[4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit([(1, 8)], num_scales=1), "at least 2 scales, not 1"),
        (lambda: fit([]), "at least one range"),
        (lambda: fit([(2, 2)], distribution="fixed"), "the one size 2"),
        (lambda: fit([(2, 2)]), "two different scales"),
        (lambda: fit([(1, 8)], distribution="logunform"), "Did you mean 'loguniform'"),
        (lambda: strengths(np.array([0.0]), (1.0,), 0.5), "above 0"),
        (lambda: strengths(np.array([1.0]), (1.0,), 0.0), "above 0"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
