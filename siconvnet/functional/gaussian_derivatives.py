"""Scale-normalised Gaussian derivatives of images, and their learned mixture in several scale channels.

Smoothing is by the discrete analogue of the Gaussian, ``T(n, t) = exp(-t) I_n(t)`` with t = sigma^2 and the modified
Bessel functions I_n, and derivatives are central differences of the smoothed image: x along columns, y *up*, each of
order n multiplied by sigma^n.

Beyond its border an image either goes on with its outermost pixels ("replicate"), or is zero, as its smoothed version
is when differences are taken ("zeros", the border of the reference implementation). Zeros turn a constant, such as what
a bias leaves of a black background, into an edge along the border, which a maximum over the image may pick.

Sources: Lindeberg 1990, "Scale-space for discrete signals"; Lindeberg 2022 (arXiv 2011.14759).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.conv import conv2d
from siconvnet.functional.dispatch import outside_graphs, plain_requested

TRUNCATION = 1e-3
"""How much of the kernel's sum may lie beyond its ends."""

# Central differences by order, as taps of a cross-correlation.
_DIFFERENCES = ((1.0,), (-0.5, 0.0, 0.5), (1.0, -2.0, 1.0), (-0.5, 1.0, 0.0, -1.0, 0.5))


@cached_constant
def gaussian_kernel(sigma: float) -> Tensor:
    """The discrete analogue of the Gaussian, ``[2 h + 1]``, float64: the smallest h that leaves out at most
    `TRUNCATION`. What is left out is not made up for. The tensor is shared and must not be written to.
    """
    half = _half_kernel(sigma)
    return torch.tensor((*half[:0:-1], *half), dtype=torch.float64)


# Its length depends on its values, which no graph can express.
@torch.compiler.assume_constant_result
def _half_kernel(sigma: float) -> tuple[float, ...]:
    # T is the Fourier series of exp(t (cos w - 1)). With so many samples none of its coefficients folds back.
    samples = 64 + 2 * int(20 * sigma)
    frequencies = np.arange(samples // 2 + 1) * (2 * np.pi / samples)
    half = np.fft.irfft(np.exp(sigma**2 * (np.cos(frequencies) - 1)), samples)[: samples // 2]
    covered = 2 * half.cumsum() - half[0]
    return tuple(half[: int((covered < 1 - TRUNCATION).sum()) + 1].tolist())


def derivative_orders(order: int) -> tuple[tuple[int, int], ...]:
    """The D derivatives up to `order`, 1 to 3, as orders in x and y: x, y, xx, xy, yy, xxx, ..."""
    return tuple((total - y, y) for total in range(1, order + 1) for y in range(total + 1))


def gaussian_derivatives(x: Tensor, sigma: float, order: int = 2, border: str = "replicate") -> Tensor:
    """All scale-normalised derivatives up to `order` at one scale: ``[B, C, H, W] -> [B, C, D, H, W]``.

    L_(x^a y^b) = sigma^(a + b) D_x^a D_y^b (T * x), in the order of `derivative_orders`.

    Args:
        border: "replicate" or "zeros".
    """
    kernel, channels = gaussian_kernel(sigma).to(x), x.shape[1]
    masks = _masks((sigma,), order)[0].to(x)
    reach, margin = len(kernel) // 2, masks.shape[-1] // 2
    x = F.pad(x, 4 * (reach,)) if border == "zeros" else F.pad(x, 4 * (reach + margin,), mode="replicate")
    x = F.conv2d(x, kernel.expand(channels, 1, 1, -1), groups=channels)
    x = F.conv2d(x, kernel[:, None].expand(channels, 1, -1, 1), groups=channels)
    x = F.pad(x, 4 * (margin,)) if border == "zeros" else x
    return F.conv2d(x, masks[:, None].repeat(channels, 1, 1, 1), groups=channels).unflatten(1, (channels, -1))


@outside_graphs
def gaussian_derivative_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sigmas: tuple[float, ...],
    order: int = 2,
    border: str = "replicate",
) -> Tensor:
    """Mix derivatives by weights that all scale channels share: ``[B, C, H, W] -> [B, C', S, H, W]``.

    out_(o, s) = bias_o + sum over c, d of weight_(o, c, d) L_d(x_(c, s); sigma_s)

    Args:
        x: an image, which every channel sees, or one map for each channel, ``[B, C, S, H, W]``.
        weight: ``[C', C, D]``, derivatives in the order of `derivative_orders`.
        bias: ``[C']`` or none.
        sigmas: of each of the S channels, in pixels.
        border: "replicate" or "zeros".
    """
    if plain_requested():
        maps = x[:, :, None].expand(-1, -1, len(sigmas), -1, -1) if x.ndim == 4 else x
        each = [gaussian_derivatives(maps[:, :, s], sigma, order, border) for s, sigma in enumerate(sigmas)]
        out = torch.einsum("bcdshw,ocd->boshw", torch.stack(each, 3), weight)
        return out if bias is None else out + bias[:, None, None, None]
    # Differences are linear, so that those of one scale and their mixture are one convolution with a small kernel. In
    # memory scales come before feature channels, so that all scales are groups of one convolution.
    count, masks = len(sigmas), _masks(sigmas, order)
    kernels = torch.einsum("ocd,sdij->socij", weight, masks.to(weight)).flatten(0, 1)
    biases = None if bias is None else bias.repeat(count)
    smoothed = _smooth(x[:, None] if x.ndim == 4 else x.transpose(1, 2), sigmas, masks.shape[-1] // 2, border)
    return conv2d(smoothed.flatten(1, 2), kernels, biases, groups=count).unflatten(1, (count, -1)).transpose(1, 2)


def _smooth(x: Tensor, sigmas: tuple[float, ...], margin: int, border: str) -> Tensor:
    """Smooth map s by sigma_s: ``[B, S or 1, C, H, W] -> [B, S, C, H + 2 margin, W + 2 margin]``.

    By products with matrices, which for maps of this size are quicker than convolutions along each axis, and give the
    margin that the differences need without a copy.
    """
    channels, height, width = x.shape[2:]
    rows, columns = (smoothing_matrices(sigmas, side, margin, border).to(x) for side in (height, width))
    x = (x.flatten(2, 3) @ columns.mT).unflatten(2, (channels, height))
    return rows[:, None] @ x


@cached_constant
def smoothing_matrices(sigmas: tuple[float, ...], side: int, margin: int, border: str) -> Tensor:
    """Smoothing along an axis of `side` pixels, with `margin` pixels more at either end of the result.

    Returns:
        ``[S, side + 2 margin, side]``, float64. It is shared and must not be written to.
    """
    targets = torch.arange(-margin, side + margin)
    inside = (targets >= 0) & (targets < side)
    matrices = []
    for sigma in sigmas:
        kernel = gaussian_kernel(sigma)
        reach = len(kernel) // 2
        # Row by row the pixels under the kernel.
        sources = targets[:, None] + torch.arange(-reach, reach + 1)
        weights = kernel.expand(len(targets), -1)
        if border == "zeros":
            weights = weights * (inside[:, None] & (sources >= 0) & (sources < side))
        matrix = torch.zeros(len(targets), side, dtype=torch.float64)
        matrices.append(matrix.scatter_add_(1, sources.clamp(0, side - 1), weights))
    return torch.stack(matrices)


@cached_constant
def _masks(sigmas: tuple[float, ...], order: int) -> Tensor:
    """The normalised differences as kernels of cross-correlations, ``[S, D, n, n]``, n = 3, or 5 at order 3."""
    side = max(3, len(_DIFFERENCES[order]))
    taps = torch.zeros(order + 1, side, dtype=torch.float64)
    for row, given in zip(taps, _DIFFERENCES, strict=False):
        start = (side - len(given)) // 2
        row[start : start + len(given)] = torch.tensor(given, dtype=torch.float64)
    terms = derivative_orders(order)
    # Rows count downwards, y upwards.
    masks = torch.stack([torch.outer(taps[y].flip(0), taps[x]) for x, y in terms])
    degrees = torch.tensor([x + y for x, y in terms], dtype=torch.float64)
    return torch.tensor(sigmas, dtype=torch.float64)[:, None, None, None] ** degrees[:, None, None] * masks
