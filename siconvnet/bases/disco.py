"""Discrete scale convolutions: bases that commute with rescaling as well as pixels allow.

Sosnovik, Moskalev, Smeulders, "DISCO: accurate Discrete Scale Convolutions", BMVC 2021. At integer scales the delta
basis of an ordinary kernel is dilated, which is exact. At the others the paper minimises by gradient descent, over
random images, the sum over pairs of scales of the norms || D(f * kappa_j) - (D f) * kappa_i ||. Here the same sum is
minimised directly: its squares are a quadratic form known in closed form (`siconvnet.bases.rescaling`), so that each
round is one linear solve, and weighting each pair by the inverse of its norm turns squares into norms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from siconvnet.bases.cache import cached
from siconvnet.bases.common import check_arguments, normalize_by_min_scale, pad_to
from siconvnet.bases.hermite import check_mixture, varying_order, varying_scale
from siconvnet.bases.rescaling import PairForm, pair_form, scale_pairs
from siconvnet.errors import InvalidArgument

ALGORITHM = "disco-irls-1"
"""Named in the keys of the cache; to be changed with anything that changes the numbers."""

_ROUNDS = 200
_TOLERANCE = 1e-10


def disco_a(size: int, scales: Sequence[float], effective_size: int, *, min_scale: float = 1.9) -> Tensor:
    """DISCO basis A: Hermite functions of one scale and all orders on the solved delta basis.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, ascending, at least 1, one of them an integer.
        effective_size: side of the ordinary kernel with as many weights, odd.
        min_scale: width in pixels of the Hermite functions at scale 1.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_min_scale(min_scale)
    return mix(varying_order(effective_size, min_scale, effective_size - 1), delta_basis(size, scales, effective_size))


def disco_b(
    size: int,
    scales: Sequence[float],
    effective_size: int,
    *,
    mult: float = 1.9,
    max_order: int = 4,
    min_scale: float = 1.9,
) -> Tensor:
    """DISCO basis B: Hermite functions of several scales and low orders on the solved delta basis.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, ascending, at least 1, one of them an integer.
        effective_size: side of the ordinary kernel with as many weights, odd.
        mult: ratio of one Hermite width to the next narrower one, above 1.
        max_order: the highest total order of the Hermite functions.
        min_scale: width in pixels of the widest Hermite functions at scale 1.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_min_scale(min_scale)
    check_mixture(mult, max_order)
    functions = varying_scale(effective_size, min_scale, max_order, mult, effective_size**2)
    return mix(functions, delta_basis(size, scales, effective_size))


def check_min_scale(min_scale: float) -> None:
    """Refuse a width that is none.

    Raises:
        InvalidArgument: it is not positive.
    """
    if not min_scale > 0:
        raise InvalidArgument(f"min_scale must be positive, not {min_scale:g}.")


def mix(functions: Tensor, deltas: Tensor) -> Tensor:
    """Write functions on the effective grid in the delta basis, and so at every scale.

    Args:
        functions: shape (num_funcs, effective_size, effective_size).
        deltas: shape (effective_size^2, num_scales, size, size).

    Returns:
        Shape (num_funcs, num_scales, size, size), of unit norm at the smallest scale.
    """
    return normalize_by_min_scale(torch.tensordot(functions.flatten(1).to(deltas), deltas, dims=1))


def delta_basis(size: int, scales: Sequence[float], effective_size: int) -> Tensor:
    """`solve_delta_basis`, kept on disk once it was solved."""
    check_disco_arguments(size, scales, effective_size)
    shape = (effective_size**2, len(scales), size, size)
    key = cache_key(size, scales, effective_size)
    return cached(key, shape, lambda: solve_delta_basis(size, scales, effective_size))


def cache_key(size: int, scales: Sequence[float], effective_size: int) -> dict[str, object]:
    """Everything that the solved numbers depend on."""
    return {
        "algorithm": ALGORITHM,
        "size": size,
        "effective_size": effective_size,
        "scales": [float(s) for s in scales],
    }


def solve_delta_basis(size: int, scales: Sequence[float], effective_size: int) -> Tensor:
    """The delta functions of an `effective_size` kernel at every scale. Deterministic.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, ascending, at least 1, one of them an integer.
        effective_size: side of the ordinary kernel, odd.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64.

    Raises:
        InvalidArgument: an argument outside what is accepted, or scales that leave the basis undetermined.
    """
    check_disco_arguments(size, scales, effective_size)
    basis = torch.zeros(effective_size**2, len(scales), size, size, dtype=torch.float64)
    unknown = []
    for i, scale in enumerate(scales):
        if float(scale).is_integer():
            basis[:, i] = dilated_deltas(size, effective_size, int(scale))
        else:
            unknown.append(i)
    if not unknown:
        return basis
    forms = {
        (i, j): pair_form(size, scales[j] / scales[i])
        for i, j in scale_pairs(len(scales))
        if i in unknown or j in unknown
    }
    weights = dict.fromkeys(forms, 1.0)
    last = float("inf")
    for _ in range(_ROUNDS):
        basis = _least_squares(basis, unknown, forms, weights)
        norms = {(i, j): form.error(basis[:, i], basis[:, j]).sum().sqrt().item() for (i, j), form in forms.items()}
        total = sum(norms.values())
        if total == 0 or last - total <= _TOLERANCE * total:
            break
        last = total
        # A pair that is solved exactly has no norm to divide by; it needs no more weight than the strongest.
        floor = 1e-9 * total
        weights = {pair: 1 / max(norm, floor) for pair, norm in norms.items()}
    return basis


def check_disco_arguments(size: int, scales: Sequence[float], effective_size: int) -> None:
    """Refuse what no DISCO basis can be solved for.

    Raises:
        InvalidArgument: with the first thing that is wrong.
    """
    check_arguments(size, scales, effective_size, smallest_scale=1.0)
    if effective_size % 2 == 0:
        raise InvalidArgument(f"the effective size of a DISCO basis must be odd, not {effective_size}.")
    integers = [int(scale) for scale in scales if float(scale).is_integer()]
    if not integers:
        raise InvalidArgument("a DISCO basis needs an integer scale to start from; add 1 to the scales.")
    needed = (effective_size - 1) * integers[-1] + 1
    if needed > size:
        raise InvalidArgument(
            f"an effective size of {effective_size} at scale {integers[-1]} fills {needed} pixels,"
            f" more than the kernel size {size}."
        )


def dilated_deltas(size: int, effective_size: int, scale: int) -> Tensor:
    """One delta for each weight of an ordinary kernel, `scale` pixels apart: (effective_size^2, size, size)."""
    grid = torch.zeros(effective_size**2, effective_size, effective_size, dtype=torch.float64)
    grid.view(effective_size**2, -1).fill_diagonal_(1)
    side = (effective_size - 1) * scale + 1
    spread = torch.zeros(effective_size**2, side, side, dtype=torch.float64)
    spread[:, ::scale, ::scale] = grid
    return pad_to(spread, size)


def _least_squares(
    basis: Tensor,
    unknown: list[int],
    forms: dict[tuple[int, int], PairForm],
    weights: dict[tuple[int, int], float],
) -> Tensor:
    """The kernels of the unknown scales that minimise the weighted sum of squares, the others being given."""
    num_funcs, _, size, _ = basis.shape
    block = {scale: slice(k * size**2, (k + 1) * size**2) for k, scale in enumerate(unknown)}
    normal = torch.zeros(len(unknown) * size**2, len(unknown) * size**2, dtype=basis.dtype)
    target = torch.zeros(len(unknown) * size**2, num_funcs, dtype=basis.dtype)
    for (i, j), form in forms.items():
        larger, cross, smaller = (weights[i, j] * matrix for matrix in form.blocks())
        if j in block:
            normal[block[j], block[j]] += larger
        if i in block:
            normal[block[i], block[i]] += smaller
        if i in block and j in block:
            normal[block[i], block[j]] -= cross
            normal[block[j], block[i]] -= cross.mT
        elif j in block:
            target[block[j]] += cross.mT @ basis[:, i].flatten(1).mT
        else:
            target[block[i]] += cross @ basis[:, j].flatten(1).mT
    factor, info = torch.linalg.cholesky_ex(normal)
    if info.item():
        raise InvalidArgument("these scales leave the DISCO basis undetermined; move two scales apart or add one.")
    solved = basis.clone()
    solution = torch.cholesky_solve(target, factor).mT.unflatten(1, (len(unknown), size, size))
    solved[:, unknown] = solution
    return solved
