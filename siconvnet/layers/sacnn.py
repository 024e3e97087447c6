"""Scale-adaptive convolution: shared kernels at several scales in parallel, and one chosen for each output channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import plain
from siconvnet.layers.checks import check_images
from siconvnet.names import INTERPOLATIONS

SELECTIONS = ("max", "attention")
GAIN = 10.0
"""Of the attention at first. The largest responses of fresh kernels differ by a tenth, so that with a gain of 1 the
weights begin all but equal: a mean over the scales, from which learning is slow to get away."""


def odd_size(kernel_size: int, factor: float) -> int:
    """The odd side nearest to `kernel_size` times `factor`; of two equally near the larger."""
    return 2 * math.floor(kernel_size * factor / 2) + 1


def candidate_responses(x: Tensor, weight: Tensor, bias: Tensor, factors: tuple[float, ...], mode: str) -> Tensor:
    """The responses to all kernels that can be chosen: ``[B, C, H, W] -> [B, C', M S, H, W]``, scales running fastest.

    Base kernel m is resized to the side `odd_size` (k, f) for each factor f, multiplied by k^2 / side^2, so that the
    responses at all scales are comparable, and correlated with the zero-padded input.

    Args:
        weight: ``[C', M, C, k, k]``.
        bias: ``[C', M]``, the same at all scales.
        factors: S numbers.
        mode: "nearest", "bilinear", "bicubic" or "area".
    """
    kernels, k = weight.flatten(0, 1), weight.shape[-1]
    sides = [odd_size(k, factor) for factor in factors]
    responses = [
        functional.conv2d(x, plain.rescale_kernel(kernels, side, mode), bias.flatten(), padding=side // 2)
        for side in sides
    ]
    return torch.stack(responses, 2).unflatten(1, weight.shape[:2]).flatten(2, 3)


def peaks(responses: Tensor) -> Tensor:
    """The largest response of each candidate: ``[B, C', N, H, W] -> [B, C', N]``."""
    return responses.flatten(3).max(3).values


def choose(responses: Tensor, candidate: Tensor) -> Tensor:
    """The map of one candidate for each image and channel: ``[B, C', N, H, W], [B, C'] -> [B, C', H, W]``."""
    index = candidate[:, :, None, None, None].expand(-1, -1, 1, *responses.shape[3:])
    return responses.gather(2, index).squeeze(2)


class SacnnConv2d(nn.Module):
    """Convolution that chooses its kernel's scale for each image and channel: ``[B, C, H, W] -> [B, C', H, W]``.

    M base kernels for each pair of channels are rescaled by S factors, which makes M S candidates for each output
    channel. Each candidate is judged by its largest response p over the whole map. "max" passes on the map of the one
    with the largest p. "attention" passes on the mean of all maps weighted by softmax(A p + a), with a learned square
    matrix A and vector a that all channels share; they start as `GAIN` times the identity and zero, so that attention
    starts as the soft form of "max".

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k, side of the base kernels in pixels; odd.
        factors: by what they are rescaled; S positive numbers.
        num_bases: M.
        interp_mode: "nearest", "bilinear", "bicubic" or "area".
        select: "max" or "attention".

    Shapes of the parameters: ``weight [C', M, C, k, k]``, ``bias [C', M]``, both uniform in +-1/sqrt(C k^2) at first;
    with attention ``attention.weight [M S, M S]`` and ``attention.bias [M S]``.

    Raises:
        InvalidArgument: an even kernel, a number below 1, or no factors or one that is not a positive
            number.
        UnknownName: another interpolation or selection.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        factors: tuple[float, ...],
        num_bases: int = 1,
        interp_mode: str = "bicubic",
        select: str = "max",
    ):
        super().__init__()
        if interp_mode not in INTERPOLATIONS:
            raise UnknownName("interpolation", interp_mode, INTERPOLATIONS)
        if select not in SELECTIONS:
            raise UnknownName("selection", select, SELECTIONS)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InvalidArgument(f"kernel_size is {kernel_size}: it must be odd, so that all scales share a centre.")
        if min(in_channels, out_channels, num_bases) < 1:
            raise InvalidArgument("in_channels, out_channels and num_bases must be at least 1.")
        if not factors or not all(0 < factor < math.inf for factor in factors):
            raise InvalidArgument(f"factors are {factors}: at least one positive number is needed.")
        self.kernel_size, self.factors, self.interp_mode = kernel_size, tuple(factors), interp_mode
        bound = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.empty(out_channels, num_bases, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels, num_bases))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.attention: nn.Linear | None = None
        if select == "attention":
            self.attention = nn.Linear(num_bases * len(factors), num_bases * len(factors))
            nn.init.eye_(self.attention.weight)
            with torch.no_grad():
                self.attention.weight.mul_(GAIN)
            nn.init.zeros_(self.attention.bias)

    def forward(self, x: Tensor) -> Tensor:
        responses = self._responses(x)
        if self.attention is None:
            return choose(responses, peaks(responses).argmax(2))
        weights = self.attention(peaks(responses)).softmax(2)
        return torch.einsum("bcnhw,bcn->bchw", responses, weights)

    def scale_indices(self, x: Tensor) -> Tensor:
        """The chosen scale of each channel, or the one with the largest weight, as an index of `factors`: ``[B, C']``.

        Of equals the earlier base kernel wins, then the earlier scale. Which base kernel it was is not told.
        """
        scores = peaks(self._responses(x))
        scores = scores if self.attention is None else self.attention(scores)
        return scores.argmax(2) % len(self.factors)

    def _responses(self, x: Tensor) -> Tensor:
        check_images(x, self.weight.shape[2], self.weight)
        return candidate_responses(x, self.weight, self.bias, self.factors, self.interp_mode)

    def extra_repr(self) -> str:
        out_channels, num_bases, in_channels = self.weight.shape[:3]
        return (
            f"{in_channels}, {out_channels}, kernel_size={self.kernel_size}, factors={self.factors}, "
            f"num_bases={num_bases}, interp_mode={self.interp_mode!r}"
        )
