"""Scale-adaptive convolution: shared kernels at several scales in parallel, and one chosen for each output channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import ScaleCandidates, outside_graphs
from siconvnet.layers.checks import check_images
from siconvnet.names import INTERPOLATIONS

SELECTIONS = ("max", "attention")
GAIN = 10.0
"""Of the attention at first. The largest responses of fresh kernels differ by a tenth, so that with a gain of 1 the
weights begin all but equal: a mean over the scales, from which learning is slow to get away."""


def odd_size(kernel_size: int, factor: float) -> int:
    """The odd side nearest to `kernel_size` times `factor`; of two equally near the larger."""
    return 2 * math.floor(kernel_size * factor / 2) + 1


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
        self.sides = tuple(odd_size(kernel_size, factor) for factor in factors)
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

    @outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        candidates = self._candidates(x)
        if self.attention is None:
            return candidates.choose(candidates.peaks.argmax(2))
        return candidates.mix(self.attention(candidates.peaks).softmax(2))

    def scale_indices(self, x: Tensor) -> Tensor:
        """The chosen scale of each channel, or the one with the largest weight, as an index of `factors`: ``[B, C']``.

        Of equals the earlier base kernel wins, then the earlier scale. Which base kernel it was is not told.
        """
        scores = self._candidates(x).peaks
        scores = scores if self.attention is None else self.attention(scores)
        return scores.argmax(2) % len(self.factors)

    def _candidates(self, x: Tensor) -> ScaleCandidates:
        check_images(x, self.weight.shape[2], self.weight)
        mixed = self.attention is not None
        return ScaleCandidates(x, self.weight, self.bias, self.sides, self.interp_mode, mixed=mixed)

    def extra_repr(self) -> str:
        out_channels, num_bases, in_channels = self.weight.shape[:3]
        return (
            f"{in_channels}, {out_channels}, kernel_size={self.kernel_size}, factors={self.factors}, "
            f"num_bases={num_bases}, interp_mode={self.interp_mode!r}"
        )
