"""SACNN's candidates, judged and mixed by the fast way, against the plain one."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from comparing import MODES, assert_same, dense, sparse, tensors

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.functional import ScaleCandidates, scale_candidates

pytestmark = pytest.mark.usefixtures("few_are_few")


def mixed(sides, mode):
    def function(x, weight, bias):
        candidates = ScaleCandidates(x, weight, bias, sides, mode)
        return candidates.mix(candidates.peaks.softmax(2))

    return function


def chosen(sides, mode):
    def function(x, weight, bias):
        candidates = ScaleCandidates(x, weight, bias, sides, mode)
        winner = candidates.peaks.argmax(2)
        return candidates.choose(winner), winner

    return function


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("combined", [mixed, chosen])
def test_scale_candidates(way, combined, mode, upstream):
    for num_bases, sides, (height, width) in ((1, (5, 9, 11), (17, 20)), (2, (3, 5, 15), (8, 7)), (1, (1,), (6, 6))):
        x, _, _ = tensors(2, 3, 5, height, width, torch.float64)
        weight = torch.randn(3, num_bases, 2, 5, 5, dtype=torch.float64) / 5
        bias = torch.randn(3, num_bases, dtype=torch.float64) / 3
        assert_same(combined(sides, mode), (x, weight, bias), upstream)


@pytest.mark.parametrize("combined", [mixed, chosen])
def test_scale_candidates_are_twice_differentiable(way, combined):
    shapes = (1, 2, 6, 5), (2, 2, 2, 3, 3), (2, 2)
    inputs = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def function(*inputs):
        result = combined((3, 5), "bicubic")(*inputs)
        return result[0] if isinstance(result, tuple) else result

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)
    # The weights of the mean come from the responses: that way must not count twice.
    out = function(*inputs)
    once = torch.autograd.grad(out.square().sum(), inputs, retain_graph=True)
    again = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    for first, second in zip(once, again, strict=True):
        torch.testing.assert_close(first, second)


def test_a_candidate_that_is_not_chosen_may_overflow():
    x = torch.full((1, 1, 6, 6), 1e30)
    weight = torch.stack([torch.full((1, 3, 3), -1e30), torch.full((1, 3, 3), 1e-30)])[None]
    for plainly in (True, False):
        with functional.plain_math() if plainly else contextlib.nullcontext():
            candidates = ScaleCandidates(x, weight, torch.zeros(1, 2), (3,), "bicubic")
            assert candidates.peaks[0, 0, 0] == -math.inf and candidates.peaks[0, 0, 1].isfinite()
            assert candidates.choose(candidates.peaks.argmax(2)).isfinite().all()


def test_candidates_of_even_kernels_are_refused():
    x, weight, bias = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 1, 3, 3), torch.zeros(1, 1)
    with pytest.raises(InvalidArgument, match="odd"):
        ScaleCandidates(x, weight, bias, (3, 4), "bicubic")


def test_gradients_of_peaks_are_taken_in_portions(monkeypatch):
    portions = []
    whole = scale_candidates.sparse_gradients
    monkeypatch.setattr(
        scale_candidates, "sparse_gradients", lambda places, *rest: portions.append(places) or whole(places, *rest)
    )
    x, weight = torch.randn(3, 8, 6, 6, dtype=torch.float64), torch.randn(4, 1, 8, 5, 5, dtype=torch.float64)
    assert_same(mixed((5, 11), "bicubic"), (x, weight, torch.randn(4, 1, dtype=torch.float64)), dense)
    # Patches of 12 peaks, 8 x 5 x 5 or 8 x 11 x 11 numbers each, and 4 times the numbers of 12 maps of 6 x 6: 1,728.
    assert [len(portion.image) for portion in portions] == [8, 4] + 12 * [1]
