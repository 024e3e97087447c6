"""B-splines, Fourier-Bessel functions and log-radial harmonics: their defining properties, against SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.interpolate
import scipy.special
import torch

from siconvnet.bases import list_bases, make_basis
from siconvnet.bases.bspline import cardinal_bspline
from siconvnet.bases.common import support_size
from siconvnet.bases.fourier_bessel import fourier_bessel_functions, lowest_modes
from siconvnet.bases.lr_harmonics import log_radial_harmonics
from siconvnet.errors import InvalidArgument

SCALES = [0.6, 0.76, 0.95, 1.2]
PUBLISHED = {
    "bspline": {"mult": 3.0, "max_order": 1},
    "fourier_bessel": {},
    "lr_harmonics": {"max_order": 3, "num_rotations": 10, "sigma": 0.3},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shape_norm_and_support(name):
    basis = make_basis(name, 15, SCALES, 7, **PUBLISHED[name])
    assert basis.shape == (49, 4, 15, 15) and basis.dtype == torch.float64
    torch.testing.assert_close(basis[:, 0].flatten(1).norm(dim=1), torch.ones(49, dtype=torch.float64))
    for i, scale in enumerate(SCALES):
        margin = (15 - support_size(15, scale, SCALES[-1])) // 2
        outside = basis[:, i].clone()
        outside[:, margin : 15 - margin, margin : 15 - margin] = 0
        assert not outside.any()


def test_every_basis_is_listed():
    assert set(PUBLISHED) < set(list_bases())


@pytest.mark.parametrize("degree", range(10))
def test_cardinal_bspline_is_scipys(degree):
    x = np.linspace(-6, 6, 1000)  # an even count keeps clear of the knots, where degree 0 is a convention
    half = (degree + 1) / 2
    element = scipy.interpolate.BSpline.basis_element(np.arange(degree + 2) - half, extrapolate=False)
    found = cardinal_bspline(torch.from_numpy(x), degree).numpy()
    np.testing.assert_allclose(found, np.nan_to_num(element(x)), atol=1e-9)


@pytest.mark.parametrize("degree", range(4))
def test_shifted_bsplines_add_up_to_one(degree):
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    total = sum(cardinal_bspline(x - shift, degree) for shift in range(-8, 9))
    torch.testing.assert_close(total, torch.ones_like(x))


def test_bspline_functions_sit_on_a_grid():
    basis = make_basis("bspline", 13, [1.0], 3, mult=4.0, max_order=2)[:, 0]
    for index, (column, row) in enumerate(np.ndindex(3, 3)):
        assert np.unravel_index(basis[index].argmax().item(), (13, 13)) == (6 * row, 6 * column)


def test_modes_are_those_of_lowest_frequency():
    every = [(z, k) for k in range(60) for z in scipy.special.jn_zeros(k, 40)]
    expected = [(k, z) for z, k in sorted(every) for _ in range(2 if k else 1)][:225]
    found = [(k, z) for k, z, _ in lowest_modes(225)]
    np.testing.assert_allclose(found, expected)


def test_fourier_bessel_functions_are_orthogonal_on_the_disc():
    radius, radial_weight = np.polynomial.legendre.leggauss(60)
    radius, radial_weight = (radius + 1) / 2, radial_weight / 2
    angle = np.arange(64) * 2 * math.pi / 64
    r, t = np.meshgrid(radius, angle, indexing="ij")
    functions = fourier_bessel_functions(49, r, t).reshape(49, -1)
    area = np.repeat(radial_weight * radius, 64) * 2 * math.pi / 64
    np.testing.assert_allclose((functions * area) @ functions.T, math.pi * np.eye(49), atol=1e-9)


def test_fourier_bessel_functions_end_at_the_rim():
    inside = fourier_bessel_functions(49, np.array([1 - 1e-9]), np.array([0.3]))
    assert abs(inside).max() < 1e-6
    assert not fourier_bessel_functions(49, np.array([1.0, 1.5]), np.array([0.3, 0.3])).any()


def test_harmonics_turn_with_their_axis():
    functions = log_radial_harmonics(9, 0.5, 2, 5, 0.3).unflatten(0, (2, 5, 2))
    # The axes at 0 and at pi/2 are one quarter turn apart; those at 0 and pi are the same. The centre has no angle.
    centre = torch.ones(9, 9, dtype=torch.bool)
    centre[4, 4] = False
    for order in range(2):
        for part in range(2):
            upright, diagonal, turned, _, again = functions[order, :, part]
            torch.testing.assert_close(turned.rot90()[centre], upright[centre])
            torch.testing.assert_close(again, upright)
            assert not torch.allclose(diagonal, upright)


def test_harmonics_are_waves_in_log_radius():
    functions = log_radial_harmonics(15, 0.5, 2, 2, 0.3).unflatten(0, (2, 2, 2)).numpy()
    r = np.arange(1, 8) / 0.5
    longest = math.log(7 * math.sqrt(2) / 0.5)
    for order, frequency in enumerate((0.5, 1.0)):
        wave = 2 * math.pi * frequency * np.log(r) / longest - math.pi / 4
        # The first axis points up, and on it the wedge is 1.
        np.testing.assert_allclose(functions[order, 0, 0, 6::-1, 7], np.cos(wave) / r)
        np.testing.assert_allclose(functions[order, 0, 1, 6::-1, 7], np.sin(wave) / r)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("bspline", {"mult": 0.0}, "mult"),
        ("bspline", {"max_order": 10}, "degree"),
        ("bspline", {"mult": 30.0, "max_order": 0}, "vanish"),
        ("lr_harmonics", {"num_rotations": 5}, "needs 49"),
        ("lr_harmonics", {"sigma": 0.0}, "sigma"),
        ("lr_harmonics", {"scales": [1.0, 20.0]}, "no room"),
        ("fourier_bessel", {"scales": [-1.0, 1.0]}, "positive"),
        ("fourier_bessel", {"mult": 2.0}, "takes no options"),
    ],
)
def test_refuses(name, change, message):
    arguments = {"size": 15, "scales": SCALES, "effective_size": 7} | PUBLISHED[name] | change
    with pytest.raises(InvalidArgument, match=message):
        make_basis(name, **arguments)
