"""Layers of Gaussian derivative networks (Lindeberg 2022; Perzanowski and Lindeberg 2025), in scale channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional.gaussian_derivatives import derivative_orders, gaussian_derivative_conv2d
from siconvnet.layers.checks import check_images, check_maps, check_scale_axis

_SCALE_POOLS, _SPATIAL_POOLS = ("max", "mean"), ("max", "centre")
_BORDERS = ("replicate", "zeros")


class GaussianDerivativeConv2d(nn.Module):
    """Learned mixture of scale-normalised Gaussian derivatives, in S scale channels: ``-> [B, C', S, H, W]``.

    out_(o, s) = bias_o + sum over c and derivatives d of weight_(o, c, d) sigma_s^|d| d(T(sigma_s) * x_(c, s))

    The input is an image ``[B, C, H, W]``, which every channel sees, or the maps of the layer before, with one map for
    each channel, ``[B, C, S, H, W]``. All channels share weights and bias.

    Args:
        in_channels: C.
        out_channels: C'.
        sigmas: of each scale channel in pixels.
        order: highest order of the derivatives, 1 to 3.
        border: "replicate", which continues the image by its outermost pixels, or "zeros".

    Raises:
        InvalidArgument: no sigma, or one that is not a positive number; another order; another shape or precision of
            the input.
        UnknownName: another border.

    Source: Lindeberg 2022 (arXiv 2011.14759). The smoothed image itself is not mixed in. Weights start as those of
    `torch.nn.Linear` with the derivatives of all input channels as its features, which the papers leave open.
    """

    def __init__(
        self, in_channels: int, out_channels: int, sigmas: Sequence[float], order: int = 2, border: str = "replicate"
    ):
        super().__init__()
        if border not in _BORDERS:
            raise UnknownName("border", border, _BORDERS)
        if not sigmas or not all(0 < sigma < math.inf for sigma in sigmas):
            raise InvalidArgument(f"sigmas are {list(sigmas)}: at least one positive number of pixels is needed.")
        if order not in (1, 2, 3):
            raise InvalidArgument(f"order must be 1, 2 or 3, got {order}.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.order, self.border = order, border
        self.sigmas = tuple(float(sigma) for sigma in sigmas)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, len(derivative_orders(order))))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        sigmas = ", ".join(f"{sigma:.4g}" for sigma in self.sigmas)
        return f"{self.in_channels}, {self.out_channels}, sigmas=({sigmas}), order={self.order}, border={self.border!r}"

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            check_images(x, self.in_channels, self.weight)
        else:
            check_maps(x, self.in_channels, self.weight, len(self.sigmas))
        return gaussian_derivative_conv2d(x, self.weight, self.bias, self.sigmas, self.order, self.border)


class ScaleChannelBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all scale channels together: ``[B, C, S, H, W]``, shape kept.

    Statistics of each channel for itself would not be shared, and so break the covariance.

    Raises:
        InvalidArgument: another shape or precision of the input.
    """

    def forward(self, input: Tensor) -> Tensor:
        check_maps(input, self.num_features, self.weight)
        # The layers keep scales before feature channels in memory, so that this copies nothing.
        scales_first = input.transpose(1, 2)
        return super().forward(scales_first.flatten(0, 1)).unflatten(0, scales_first.shape[:2]).transpose(1, 2)


class ScaleChannelSpatialPool(nn.Module):
    """Pool over space in each scale channel: ``[B, C, S, H, W] -> [B, C, S]``.

    Args:
        pool: "max" over the image, or "centre", the central pixel (of an even side the one right of or below the
            centre), for objects that are known to be there.

    Raises:
        UnknownName: another pooling.
        InvalidArgument: an input without a scale axis.
    """

    def __init__(self, pool: str = "max"):
        super().__init__()
        if pool not in _SPATIAL_POOLS:
            raise UnknownName("spatial pooling", pool, _SPATIAL_POOLS)
        self.pool = pool

    def extra_repr(self) -> str:
        return f"pool={self.pool!r}"

    def forward(self, x: Tensor) -> Tensor:
        check_scale_axis(x)
        if self.pool == "centre":
            return x[..., x.shape[-2] // 2, x.shape[-1] // 2]
        return x.flatten(3).max(3).values


class ScaleChannelPool(nn.Module):
    """Pool over scale channels: ``[B, C, S] -> [B, C]``.

    Args:
        pool: "max" or "mean".
        dropout: scale-channel dropout. In training each scale channel of each image is left out of the pooling with
            this probability; one always remains. The maximum and the mean are those of the channels that remain, so
            that nothing has to be rescaled.

    Raises:
        UnknownName: another pooling.
        InvalidArgument: a probability outside 0 <= p < 1, or an input of another shape.

    Source: Perzanowski and Lindeberg 2025 (arXiv 2409.11140). That channels are dropped for each image on its own, and
    that dropped ones are excluded instead of set to zero, is settled here.
    """

    def __init__(self, pool: str = "max", dropout: float = 0.0):
        super().__init__()
        if pool not in _SCALE_POOLS:
            raise UnknownName("pooling over scale channels", pool, _SCALE_POOLS)
        if not 0 <= dropout < 1:
            raise InvalidArgument(f"dropout must be at least 0 and less than 1, got {dropout}.")
        self.pool, self.dropout = pool, dropout

    def extra_repr(self) -> str:
        return f"pool={self.pool!r}, dropout={self.dropout:g}"

    def scale_indices(self, x: Tensor) -> Tensor:
        """The scale channel with the largest value, of all that there are: ``[B, C, S] -> [B, C]``."""
        return x.argmax(2)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise InvalidArgument(f"expected an input [B, C, S], got {list(x.shape)}.")
        if self.training and self.dropout:
            draws = torch.rand(x.shape[0], 1, x.shape[2], device=x.device)
            kept = (draws >= self.dropout) | (draws == draws.amax(2, keepdim=True))
            if self.pool == "mean":
                return (x * kept).sum(2) / kept.sum(2)
            x = x.masked_fill(~kept, -torch.inf)
        return x.mean(2) if self.pool == "mean" else x.max(2).values
