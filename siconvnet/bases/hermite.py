"""Hermite functions with a Gaussian envelope: the bases of SESN.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 4:

    psi_n(x; s) = He_n(x / s) exp(-x^2 / (2 s^2)) / s,        psi_mn(x, y; s) = psi_m(x; s) psi_n(y; s)

with the probabilists' polynomials He_n. Basis A takes all orders up to effective_size - 1 at one scale; basis B
takes the orders m + n <= max_order at several scales s, s / mult, s / mult^2, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments, normalize_by_min_scale, stack_scales
from siconvnet.errors import InvalidArgument


def hermite_functions(x: Tensor, scale: float | Tensor, max_order: int) -> Tensor:
    """psi_0 .. psi_max_order at the positions `x`.

    Args:
        x: positions in pixels, shape (n,).
        scale: width s of the envelope in pixels; a tensor lets gradients reach it.
        max_order: the highest order.

    Returns:
        Shape (max_order + 1, n).
    """
    u = x / scale
    polynomials = [torch.ones_like(u), u]
    for n in range(1, max_order):
        polynomials.append(u * polynomials[n] - n * polynomials[n - 1])
    return torch.stack(polynomials[: max_order + 1]) * torch.exp(-(u**2) / 2) / scale


def pixel_centres(size: int) -> Tensor:
    """Positions of `size` pixels in pixels, the middle one at 0. Shape (size,), float64."""
    return torch.arange(size, dtype=torch.float64) - size // 2


def varying_order(size: int, scale: float | Tensor, max_order: int) -> Tensor:
    """All products psi_m psi_n with m, n <= max_order at one scale.

    Returns:
        Shape ((max_order + 1)^2, size, size); the order along the rows of the image changes fastest.
    """
    psi = hermite_functions(pixel_centres(size), scale, max_order)
    return torch.einsum("mx,ny->nmxy", psi, psi).reshape(-1, size, size)


def varying_scale(size: int, scale: float | Tensor, max_order: int, mult: float, num_funcs: int) -> Tensor:
    """Products psi_m psi_n with m + n <= max_order at the scales s, s / mult, s / mult^2, ...

    Returns:
        Shape (num_funcs, size, size): scale after scale, until there are enough functions.
    """
    blocks: list[Tensor] = []
    for orders in triangles(max_order, num_funcs):
        psi = hermite_functions(pixel_centres(size), scale / mult ** len(blocks), max_order)
        columns, rows = orders.unbind(1)
        blocks.append(psi[rows, :, None] * psi[columns, None, :])
    return torch.cat(blocks)


def triangles(max_order: int, num_funcs: int) -> Iterator[Tensor]:
    """The orders (m, n) with m + n <= max_order, shape (k, 2), again and again until there are `num_funcs`."""
    triangle = torch.tensor([(m, n) for m in range(max_order + 1) for n in range(max_order + 1 - m)])
    for start in range(0, num_funcs, len(triangle)):
        yield triangle[: num_funcs - start]


def hermite_a(size: int, scales: Sequence[float], effective_size: int, *, smallest_scale: float = 1.0) -> Tensor:
    """Hermite basis A: one scale, all orders.

    Args:
        size: side of the kernel in pixels, odd.
        scales: widths of the envelopes in pixels, ascending, at least `smallest_scale`.
        effective_size: side of the ordinary kernel with as many weights.
        smallest_scale: the least width that is accepted; SESN's networks for STL-10 begin at 0.9.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_arguments(size, scales, effective_size, smallest_scale=smallest_scale)
    return normalize_by_min_scale(
        stack_scales(size, scales, lambda side, scale: varying_order(side, scale, effective_size - 1))
    )


def hermite_b(
    size: int, scales: Sequence[float], effective_size: int, *, mult: float = 1.5, max_order: int = 4
) -> Tensor:
    """Hermite basis B: several scales, low orders.

    Args:
        size: side of the kernel in pixels, odd.
        scales: widths of the widest envelopes in pixels, ascending, at least 1.
        effective_size: side of the ordinary kernel with as many weights.
        mult: ratio of one envelope to the next narrower one, above 1.
        max_order: the highest total order m + n.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_arguments(size, scales, effective_size, smallest_scale=1.0)
    check_mixture(mult, max_order)
    return normalize_by_min_scale(
        stack_scales(size, scales, lambda side, scale: varying_scale(side, scale, max_order, mult, effective_size**2))
    )


def check_mixture(mult: float, max_order: int) -> None:
    """Refuse a mixture of scales that is none.

    Raises:
        InvalidArgument: `mult` is not above 1, or `max_order` is negative.
    """
    if not mult > 1:
        raise InvalidArgument(f"mult must be above 1, not {mult:g}.")
    if max_order < 0:
        raise InvalidArgument(f"the maximum order must be at least 0, not {max_order}.")
