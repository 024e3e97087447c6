"""For authors of methods: is it equivariant, and does it do what training and measuring ask of a model?

    >>> from siconvnet import testing
    >>> testing.equivariance_error(MyLayer(1, 8))            # numbers: factor -> relative error
    >>> testing.assert_equivariant(MyLayer(1, 8), tolerance=0.05)
    >>> testing.assert_conforms(MyNet)                       # or a name, package.module:MyNet, or a built module

Functions that give numbers or results come first; the assertions are thin shells over them. In a test suite of one's
own, parametrize over `CHECKS` and call `run_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.conformance.checks import CHECKS
from siconvnet.conformance.running import Result, run_check, run_checks
from siconvnet.conformance.subject import Subject, subject_of
from siconvnet.cost import Cost, training_cost
from siconvnet.errors import InvalidArgument
from siconvnet.evaluation_mode import as_input, evaluation_mode
from siconvnet.metrics.delta import delta

__all__ = [
    "CHECKS",
    "Cost",
    "Result",
    "Subject",
    "assert_conforms",
    "assert_equivariant",
    "conformance",
    "equivariance_error",
    "run_check",
    "run_checks",
    "smooth_images",
    "subject_of",
    "training_cost",
]

FACTORS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""By what images are shrunk unless said otherwise."""


def smooth_images(count: int, num_channels: int = 1, *, side: int = 64, seed: int = 0) -> Tensor:
    """Random blobs on black, ``[count, num_channels, side, side]``, float64, 0 to 1; the same for the same seed.

    They fade out towards the rim and have no detail finer than about an eighth of the side, so that shrinking them by
    half neither folds frequencies nor meets the border: what error remains is the method's.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, num_channels, 8, 8, generator=generator, dtype=torch.float64)
    window = torch.hann_window(side, periodic=False, dtype=torch.float64)
    smooth = F.interpolate(noise, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1)
    return smooth * window[:, None] * window


def equivariance_error(
    function: Callable[[Tensor], Tensor],
    images: Tensor | None = None,
    *,
    num_channels: int = 1,
    factors: Sequence[float] = FACTORS,
    shift: int = 0,
    border: int = 0,
) -> dict[float, float]:
    """How far "shrink, then apply" is from "apply, then shrink": factor -> relative error, 0 for an equivariant one.

    The error is SESN's Delta = ||L_s Phi(f) - Phi(L_s f)||^2 / ||L_s Phi(f)||^2, the mean over images; see
    `siconvnet.metrics.delta`. Of vectors it measures invariance.

    Args:
        function: Phi, a layer, a stage or a whole model; maps images ``[B, C, H, W]`` to maps ``[B, C', H', W']``,
            maps with a scale axis ``[B, C', S, H', W']`` or vectors ``[B, K]``. A module is evaluated without
            gradients, in evaluation mode, in its own precision and on its own device.
        images: f; eight of `smooth_images` where none are given.
        num_channels: of those eight.
        factors: s, 0 < s <= 1 each.
        shift: by how many steps of a scale axis the maps move.
        border: pixels at the rim of the shrunk map that do not count, where Phi sees beyond the image.

    Raises:
        InvalidArgument: no factors, images of another shape, a negative border, or what
            `siconvnet.metrics.delta.delta` refuses.

    Source: Sosnovik et al. 2020 (arXiv 1910.11093), section 5.1.
    """
    if not factors:
        raise InvalidArgument("no factors: at least one is needed, as in factors=(0.5,).")
    images = smooth_images(8, num_channels) if images is None else images
    if not (isinstance(images, Tensor) and images.ndim == 4 and images.numel() and images.is_floating_point()):
        found = f"{list(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise InvalidArgument(f"images are {found}, not a tensor [B, C, H, W] of floats.")
    if border < 0:
        raise InvalidArgument(f"border must be 0 or more pixels, got {border}.")
    if not isinstance(function, nn.Module):
        return _errors(function, images, factors, shift, border)
    with evaluation_mode(function):
        return _errors(function, as_input(function, images), factors, shift, border)


def _errors(
    function: Callable[[Tensor], Tensor], images: Tensor, factors: Sequence[float], shift: int, border: int
) -> dict[float, float]:
    return {
        factor: float(delta(cast("nn.Module", function), images, factor, shift=shift, border=border).mean())
        for factor in factors
    }


def assert_equivariant(
    function: Callable[[Tensor], Tensor], images: Tensor | None = None, *, tolerance: float = 0.05, **options: Any
) -> None:
    """Assert that `equivariance_error` is at most `tolerance` at every factor.

    Args:
        options: those of `equivariance_error`.

    Raises:
        AssertionError: it is larger somewhere (or is no number); the message gives the error of every factor.
    """
    errors = equivariance_error(function, images, **options)
    if not all(error <= tolerance for error in errors.values()):
        found = ", ".join(f"{factor:g}: {error:.4g}" for factor, error in errors.items())
        raise AssertionError(f"equivariance error above {tolerance:g} (factor: error): {found}")


def conformance(
    model: str | nn.Module | Callable[..., nn.Module], *, checks: Iterable[str] = tuple(CHECKS), **options: Any
) -> list[Result]:
    """Run the checks that every method must pass; what each found, in their order.

    Args:
        model: a registered name, ``package.module:Class``, a class or function that builds a model when it is called
            with those of `num_channels`, `num_classes`, `kernel_size` and `interpolation` that it names, or a built
            module (checks of its initialisation are skipped then).
        checks: keys of `CHECKS`.
        options: `stages` and `scale_pools` instead of those that the model declares, and what the model is built with.

    Raises:
        UnknownName: no such model or check.
        InvalidArgument: it is not a model.
    """
    return run_checks(subject_of(model, **options), checks)


def assert_conforms(model: str | nn.Module | Callable[..., nn.Module], **options: Any) -> None:
    """Assert that no check of `conformance` fails.

    Raises:
        AssertionError: some fail; the message has a line for each.
    """
    results = conformance(model, **options)
    failed = [result for result in results if result.status == "failed"]
    if failed:
        lines = "\n".join(f"  {result.check}: {result.detail}" for result in failed)
        raise AssertionError(f"{len(failed)} of {len(results)} checks failed:\n{lines}")
