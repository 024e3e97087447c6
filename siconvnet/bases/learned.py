"""Hermite bases whose scales are learned: values and gradients from tables of one-dimensional functions.

Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional
Networks", VISAPP 2024. Each basis function is a product psi_m(x; s) psi_n(y; s), divided by its norm at the smallest
scale. Its derivative by s is one of the same kind,

    d psi_n / ds = (u psi_{n+1} - psi_n) / s,    u = x / s,

so that the gradient of a scale needs two tables along one axis and no graph. The tables follow from the values of the
scales alone. They are kept for the last few values: layers that share their scales share one basis in a step, scales
that did not change are not sampled again, and no module holds any of it.

The side of a kernel follows its largest scale in steps, 2 ceil(4 sigma) + 1, and so does the support of each smaller
scale. Between two steps a basis is smooth in its scales; at a step a ring of pixels joins it at four standard
deviations, which the gradient does not see. That ring holds less than
0.2 % of the energy of any function up to order six.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments, support_size
from siconvnet.bases.hermite import (
    check_mixture,
    hermite_functions,
    pixel_centres,
    triangles,
    varying_order,
    varying_scale,
)
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional.constants import cached_constant

RADIUS = 4.0
"""Half the side of a kernel, in standard deviations of its largest scale (k0 of the paper)."""

LEARNABLE = ("hermite_a", "hermite_b")
"""The bases that follow their scales."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"hermite_a": {}, "hermite_b": {"mult": 1.5, "max_order": 4}}


def check_learnable(name: str, effective_size: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a basis that can follow its scales, complete.

    Raises:
        InvalidArgument: the basis is none of `LEARNABLE`, or an option is not accepted.
    """
    if name not in LEARNABLE:
        raise InvalidArgument(f"the basis {name!r} cannot follow learned scales; use {' or '.join(LEARNABLE)}.")
    defaults = _DEFAULTS[name]
    for option in options:
        if option not in defaults:
            raise UnknownName(f"option of {name}", option, defaults)
    found = {**defaults, **options}
    if found:
        check_mixture(found["mult"], found["max_order"])
    check_arguments(max(effective_size, 1) | 1, [1.0], effective_size)
    return found


def kernel_side(largest: float, effective_size: int, ceiling: int) -> int:
    """The odd side in pixels of kernels whose largest scale is `largest`: 2 ceil(4 sigma) + 1, at most `ceiling`."""
    return min(max(_side(largest), effective_size | 1), ceiling)


def _side(largest: float) -> int:
    # What float32 adds to a scale such as 3 must not cost two more rows and columns.
    return 2 * math.ceil(RADIUS * largest - 1e-4) + 1


def supports_at(scales: Sequence[float], side: int) -> tuple[int, ...]:
    """For each scale the odd side in pixels beyond which its functions are cut off.

    Where a ceiling keeps kernels at `side`, it cuts off what is larger, and leaves smaller scales as they are.
    """
    largest = max(scales)
    whole = max(side, _side(largest))
    return tuple(min(support_size(whole, scale, largest), side) for scale in scales)


def learned_basis(
    scales: Tensor,
    name: str,
    side: int,
    effective_size: int,
    options: Mapping[str, Any],
    *,
    values: Sequence[float] | None = None,
) -> Tensor:
    """A basis at learned scales; gradients reach them.

    Args:
        scales: shape (S,), positive and ascending; see `siconvnet.layers.LearnableScales`.
        name: one of `LEARNABLE`.
        side: of the kernels in pixels, odd.
        effective_size: side of the ordinary kernel with as many weights.
        options: of `check_learnable`.
        values: the scales as numbers, where the caller has them: asking a GPU for them takes time.

    Returns:
        Shape (effective_size^2, S, side, side), of the type and on the device of `scales`. Nobody may write to it.

    Raises:
        InvalidArgument: a function vanishes at the smallest scale.
    """
    setting = (name, side, effective_size, tuple(sorted(options.items())))
    numbers = tuple(scales.tolist() if values is None else values)
    tables = _tables(numbers, *setting, scales.dtype, scales.device)
    return _LearnedBasis.apply(scales, tables, setting)


def plain_basis(
    scales: Tensor,
    name: str,
    side: int,
    effective_size: int,
    options: Mapping[str, Any],
    *,
    follow: bool = False,
) -> Tensor:
    """What `learned_basis` gives, written down as the definition says and left to autograd.

    No decision depends on what `scales` hold, so that it can be recorded, and batched by `torch.func.vmap`; a function
    that vanishes at the smallest scale goes unnoticed.

    Args:
        side: of the kernels in pixels, odd.
        follow: for scales that are not known as numbers. `side` is then the ceiling of `kernel_side`: kernels have the
            side that follows from the largest scale, and are surrounded by zeros.
    """

    def sample(scale: Tensor) -> Tensor:
        if name == "hermite_a":
            return varying_order(side, scale, effective_size - 1)
        return varying_scale(side, scale, options["max_order"], options["mult"], effective_size**2)

    exact = scales.double()
    basis = torch.stack([sample(scale) for scale in exact.unbind()], dim=1)
    distance = pixel_centres(side).to(scales.device).abs()
    inside = distance <= _reaches(exact.detach(), side, effective_size, follow)[:, None]
    basis = basis * (inside[:, :, None] & inside[:, None, :])
    return (basis / torch.linalg.vector_norm(basis[:, :1], dim=(2, 3), keepdim=True)).to(scales.dtype)


def _reaches(scales: Tensor, side: int, effective_size: int, follow: bool) -> Tensor:
    """Half of each of `supports_at`, from tensors alone; shape (S,)."""
    largest = scales.max()
    wanted = 2 * (RADIUS * largest - 1e-4).ceil() + 1
    sides = wanted.clamp(effective_size | 1, side) if follow else torch.full_like(wanted, side)
    supports = torch.maximum(sides, wanted) * scales / largest
    return torch.minimum(supports.floor(), sides).div(2, rounding_mode="floor")


@dataclass(frozen=True)
class Tables:
    """A basis and what its gradient is made of.

    Attributes:
        basis: shape (F, S, side, side).
        axes: the functions along rows and along columns, each of unit norm at the smallest scale: two of (F, S, side).
        slopes: their derivatives by their own scale, before the norm follows: two of (F, S, side).
        norm_slope: derivative of the logarithm of each function's norm by the smallest scale, shape (F,).
    """

    basis: Tensor
    axes: tuple[Tensor, Tensor]
    slopes: tuple[Tensor, Tensor]
    norm_slope: Tensor


def _sample(
    scales: tuple[float, ...],
    name: str,
    side: int,
    effective_size: int,
    options: tuple[tuple[str, Any], ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Tables:
    given = dict(options)
    row_orders, column_orders, divisors = _functions(name, effective_size, given)
    sigma = torch.tensor(scales, dtype=torch.float64)
    x = pixel_centres(side)
    levels, level_of = divisors.unique(return_inverse=True)
    widths = (sigma[:, None] / levels)[..., None]
    highest = int(max(row_orders.max(), column_orders.max()))
    psi = hermite_functions(x, widths, highest + 1)
    slope = (x / widths * psi[1:] - psi[:-1]) / widths / levels[:, None]
    inside = x.abs() <= torch.tensor(supports_at(scales, side))[:, None] // 2
    psi, slope = psi[:-1] * inside[:, None], slope * inside[:, None]
    axes, slopes, norm_slope = [], [], torch.zeros(len(divisors), dtype=torch.float64)
    norms = torch.ones(len(divisors), dtype=torch.float64)
    for order in (row_orders, column_orders):
        values, change = psi[order, :, level_of], slope[order, :, level_of]
        square = values[:, 0].square().sum(1)
        norms *= square.sqrt()
        norm_slope += (values[:, 0] * change[:, 0]).sum(1) / square
        axes.append(values / square.sqrt()[:, None, None])
        slopes.append(change / square.sqrt()[:, None, None])
    if bool((norms <= 1e-6 * norms.max()).any()):
        listed = ", ".join(f"{scale:.3g}" for scale in scales)
        raise InvalidArgument(f"basis functions vanish at the smallest of the internal scales {listed}.")
    rows, columns = (table.to(device, dtype) for table in axes)
    return Tables(
        rows[..., :, None] * columns[..., None, :],
        (rows, columns),
        (slopes[0].to(device, dtype), slopes[1].to(device, dtype)),
        norm_slope.to(device, dtype),
    )


# A step of a network with scales of its own in each layer needs as many, a change between training and validation none.
_tables = partial(cached_constant, kept=8)(_sample)


def _functions(name: str, effective_size: int, options: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each function: its order along rows and along columns, and by how much its envelope is narrower."""
    if name == "hermite_a":
        index = torch.arange(effective_size**2)
        return index % effective_size, index // effective_size, torch.ones(len(index), dtype=torch.float64)
    blocks = list(triangles(options["max_order"], effective_size**2))
    columns, rows = torch.cat(blocks).unbind(1)
    levels = torch.cat([torch.full((len(block),), float(n)) for n, block in enumerate(blocks)])
    return rows, columns, options["mult"] ** levels.double()


class _LearnedBasis(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scales: Tensor, tables: Tables, setting: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(scales)
        ctx.tables, ctx.setting = tables, setting
        # An alias: each caller gets a node of its own in the graph, and none writes its gradient into the cache.
        return tables.basis.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (scales,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            name, side, effective_size, options = ctx.setting
            basis = plain_basis(scales, name, side, effective_size, dict(options))
            return torch.autograd.grad(basis, scales, gradient, create_graph=True)[0], None, None
        tables: Tables = ctx.tables
        (rows, columns), (row_slopes, column_slopes) = tables.axes, tables.slopes
        # (F, S, side, 2): the gradient summed along columns against the functions and against their slopes.
        summed = gradient @ torch.stack([columns, column_slopes], dim=-1)
        values, slopes = summed.unbind(-1)
        grad = (row_slopes * values + rows * slopes).sum((0, 2))
        through_norm = ((rows * values).sum((1, 2)) * tables.norm_slope).sum()
        grad[0] -= through_norm
        return grad, None, None
