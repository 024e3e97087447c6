"""Where the responses of each scale lie: everything about a scale convolution but the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from siconvnet.functional.constants import cached_constant


@dataclass(frozen=True)
class Span:
    """The outputs of one scale along one axis.

    Attributes:
        start, stop: where they lie in the frame of aligned outputs; outside is zero padding.
        first: the input pixel that the kernel starts at for output `start`; negative in the zeros before the input.
    """

    start: int
    stop: int
    first: int

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Geometry:
    """The sizes of a scale convolution.

    Attributes:
        height, width: of the input in pixels, without the zeros that `padding` adds.
        kernel_size: k; scale s has a kernel of side k + 2 s.
        num_scales: S.
        mode: interpolation.
        padding: zeros on each side of the input, enough for the largest kernel; 0 for valid responses, which are
            zero-padded themselves.
        stride: which of the aligned outputs are kept.
    """

    height: int
    width: int
    kernel_size: int
    num_scales: int
    mode: str
    padding: int
    stride: int

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the aligned outputs."""
        rows, columns = self.spans(0)
        return rows.count, columns.count

    def size(self, scale: int) -> int:
        return self.kernel_size + 2 * scale

    def margin(self, scale: int) -> int:
        """How many zeros on each side of the input the kernels of `scale` reach into."""
        return self.size(scale) // 2 if self.padding else 0

    def spans(self, scale: int) -> tuple[Span, Span]:
        """The outputs of `scale` along rows and columns."""
        return self._span(self.height, scale), self._span(self.width, scale)

    def _span(self, side: int, scale: int) -> Span:
        if self.padding:
            return Span(0, -(-side // self.stride), -(self.size(scale) // 2))
        # A kernel two pixels larger reaches one pixel less far at either end, and starts one pixel earlier.
        start = -(-scale // self.stride)
        stop = -(-(side - self.kernel_size + 1 - scale) // self.stride)
        return Span(start, max(start, stop), start * self.stride - scale)

    def inside(self, scale: int) -> tuple[slice, slice]:
        """The part of the frame that `scale` has responses in."""
        rows, columns = self.spans(scale)
        return rows.slice, columns.slice

    def depth(self, device: torch.device) -> Tensor:
        """How many scales, from the smallest, have a response at each pixel of the frame: ``[H', W']``."""
        return _depth(self, device)


@cached_constant
def _depth(geometry: Geometry, device: torch.device) -> Tensor:
    depth = torch.zeros(geometry.frame, dtype=torch.int16, device=device)
    for scale in range(geometry.num_scales):
        depth[geometry.inside(scale)] += 1
    return depth
