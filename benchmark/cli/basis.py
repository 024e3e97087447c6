"""`benchmark basis`: build a steerable basis and say how well it commutes with rescaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from siconvnet.bases import list_bases
from siconvnet.errors import InvalidArgument, UnknownName

if TYPE_CHECKING:
    from torch import Tensor


NAMES = ["disco", *list_bases()]


@click.command(short_help="Build a steerable basis and show its equivariance error.")
@click.argument("name")
@click.option("--size", default=15, show_default=True, help="Side of the kernel in pixels, odd.")
@click.option(
    "--effective-size", default=7, show_default=True, help="Side of the ordinary kernel with as many weights."
)
@click.option("--scales", default="1,1.26,1.59,2", show_default=True, help="Ascending, separated by commas.")
@click.option(
    "-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="What the basis takes besides: mult=1.5"
)
def basis(name: str, size: int, effective_size: int, scales: str, options: tuple[str, ...]) -> None:
    """Build the basis NAME and show its equivariance error beside the plain choices.

    NAME is disco, hermite_a, hermite_b, disco_a, disco_b, bspline, fourier_bessel or lr_harmonics. The error
    of a pair of scales is the share of the signal, over random images and random kernels of the basis, by
    which "convolve, then downscale" differs from "downscale, then convolve". `disco` is the solved delta
    basis that disco_a and disco_b mix; it is solved once and kept.
    """
    from siconvnet.bases import make_basis
    from siconvnet.bases.common import ranks
    from siconvnet.bases.dilation import MODES, dilated_basis
    from siconvnet.bases.disco import delta_basis

    if name not in NAMES:
        raise UnknownName("basis", name, NAMES)
    numbers = _numbers(scales)
    extra = dict(_option(text) for text in options)
    if name == "disco":
        if extra:
            raise InvalidArgument(f"disco takes no options, not {', '.join(extra)}; disco_a and disco_b do.")
        built = {name: delta_basis(size, numbers, effective_size)}
    else:
        built = {name: make_basis(name, size, numbers, effective_size, **extra)}
    click.echo(f"{name}: {len(built[name])} functions, {size} x {size} pixels, rank at each scale {ranks(built[name])}")
    if name.startswith("disco"):
        _echo_kept(size, numbers, effective_size)
    for mode in MODES:
        built[f"dilated, {mode}"] = dilated_basis(size, numbers, effective_size, mode=mode)
    if len(numbers) > 1:
        _echo_errors(built, numbers)


def _echo_kept(size: int, scales: list[float], effective_size: int) -> None:
    from siconvnet.bases.cache import cache_path
    from siconvnet.bases.disco import cache_key

    path = cache_path(cache_key(size, scales, effective_size))
    click.echo(f"kept in {path}" if path.exists() else f"not kept: {path.parent} cannot be written.")


def _echo_errors(bases: dict[str, Tensor], scales: list[float]) -> None:
    from siconvnet.bases.rescaling import basis_equivariance_error, scale_pairs

    pairs = scale_pairs(len(scales))
    width = max(map(len, bases)) + 2
    header = "".join(f"{f'{scales[i]:g}-{scales[j]:g}':>12}" for i, j in pairs)
    click.echo(f"\n{'equivariance error':<{max(width, 20)}}{header}{'mean':>12}")
    for label, tensor in bases.items():
        errors = basis_equivariance_error(tensor, scales)
        row = [errors[i, j].item() for i, j in pairs]
        cells = "".join(f"{value:12.5f}" for value in [*row, sum(row) / len(row)])
        click.echo(f"{label:<{max(width, 20)}}{cells}")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidArgument(
            f"--scales takes numbers separated by commas, as in 1,1.26,1.59,2, not {text!r}."
        ) from None


def _option(text: str) -> tuple[str, int | float]:
    key, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not (key and equals) or number != number:
        raise InvalidArgument(f"--option takes KEY=NUMBER, as in mult=1.5, not {text!r}.")
    return key.replace("-", "_"), int(number) if number.is_integer() else number
