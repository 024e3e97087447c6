"""Hermite bases: against SciPy's polynomials and the original's buffers, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from siconvnet.bases import make_basis
from siconvnet.bases.common import ranks, support_size
from siconvnet.bases.hermite import hermite_functions, pixel_centres
from siconvnet.errors import InvalidArgument, UnknownName

GOLDEN = Path(__file__).parent.parent / "golden"
SCALES = [2.0, 2.52, 3.17, 4.0]


def function(order: int, x: np.ndarray, scale: float) -> np.ndarray:
    return scipy.special.eval_hermitenorm(order, x / scale) * np.exp(-(x**2) / 2 / scale**2) / scale


def test_functions_are_hermite_polynomials_under_a_gaussian():
    x = np.linspace(-9, 9, 37)
    found = hermite_functions(torch.from_numpy(x), 2.52, 9).numpy()
    np.testing.assert_allclose(found, [function(n, x, 2.52) for n in range(10)], atol=1e-11)


def test_functions_are_scaled_derivatives_of_a_gaussian():
    # psi_n = (-s d/dx)^n of the Gaussian, so each is the slope of the one before.
    x = torch.linspace(-3, 3, 7, dtype=torch.float64).requires_grad_()
    for n in range(5):
        psi = hermite_functions(x, 1.7, n + 1)
        (slope,) = torch.autograd.grad(psi[n].sum(), x)
        torch.testing.assert_close(-1.7 * slope, psi[n + 1])


def test_gradient_reaches_the_scale():
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: hermite_functions(pixel_centres(7), s, 4), scale)


def test_basis_a_holds_every_pair_of_orders():
    basis = make_basis("hermite_a", 9, [1.5], 3)[:, 0].numpy()
    x = np.arange(-4.0, 5.0)
    for index, (column, row) in enumerate(np.ndindex(3, 3)):
        expected = np.outer(function(row, x, 1.5), function(column, x, 1.5))
        np.testing.assert_allclose(basis[index], expected / np.linalg.norm(expected), atol=1e-12)


def test_basis_b_shrinks_the_envelope_after_all_low_orders():
    basis = make_basis("hermite_b", 11, [2.0], 5, mult=1.5, max_order=2)[:, 0].numpy()
    x = np.arange(-5.0, 6.0)
    pairs = [(m, n) for m in range(3) for n in range(3) if m + n <= 2]
    for index in range(25):
        level, pair = divmod(index, 6)
        column, row = pairs[pair]
        expected = np.outer(function(row, x, 2 / 1.5**level), function(column, x, 2 / 1.5**level))
        np.testing.assert_allclose(basis[index], expected / np.linalg.norm(expected), atol=1e-12)


def test_equals_the_original():
    golden = np.load(GOLDEN / "hermite.npz")["buffer_conv1.basis.basis"]
    np.testing.assert_allclose(make_basis("hermite_b", 15, SCALES, 7, mult=1.5, max_order=4), golden, atol=2e-6)


@pytest.mark.parametrize("name", ["hermite_a", "hermite_b"])
def test_shape_norm_support_and_parity(name):
    basis = make_basis(name, 15, SCALES, 7)
    assert basis.shape == (49, 4, 15, 15) and basis.dtype == torch.float64
    torch.testing.assert_close(basis[:, 0].flatten(1).norm(dim=1), torch.ones(49, dtype=torch.float64))
    for i, scale in enumerate(SCALES):
        margin = (15 - support_size(15, scale, 4.0)) // 2
        outside = basis[:, i].clone()
        outside[:, margin : 15 - margin, margin : 15 - margin] = 0
        assert not outside.any() and basis[:, i, margin].any()
    mirrored = basis.flip(2)
    assert all(torch.allclose(f, g) or torch.allclose(f, -g) for f, g in zip(basis, mirrored, strict=True))


def test_functions_are_independent_where_the_support_holds_them():
    assert ranks(make_basis("hermite_a", 15, SCALES, 7)) == [49, 49, 49, 49]
    # The published basis B is not of full rank at its smallest scale: 49 functions on 7 x 7 pixels.
    assert ranks(make_basis("hermite_b", 15, SCALES, 7))[1:] == [49, 49, 49]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 14}, "odd"),
        ({"effective_size": 17}, "effective size"),
        ({"scales": [2.0, 1.0]}, "ascending"),
        ({"scales": [1.0, 1.0]}, "ascending"),
        ({"scales": [0.5, 1.0]}, "at least 1"),
        ({"scales": [float("nan")]}, "finite"),
        ({"scales": []}, "at least one"),
        ({"mult": 1.0}, "above 1"),
        ({"max_order": -1}, "order"),
        ({"sigma": 3}, "takes mult, max_order"),
    ],
)
def test_refuses(change, message):
    arguments = {"size": 15, "scales": SCALES, "effective_size": 7} | change
    with pytest.raises(InvalidArgument, match=message):
        make_basis("hermite_b", **arguments)


def test_refuses_functions_that_vanish():
    # Odd orders are zero on a single pixel.
    with pytest.raises(InvalidArgument, match="vanish"):
        make_basis("hermite_b", 15, [1.0, 15.0], 3)


def test_suggests_a_name():
    with pytest.raises(UnknownName, match="Did you mean 'hermite_b'"):
        make_basis("hermit_b", 15, SCALES, 7)
