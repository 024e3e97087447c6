"""What a convolution costs, computed directly and in the frequency domain.

The unit is a multiply-add of a direct convolution at its full rate. Costs are counts of operations and of numbers that
are moved, times measured rates. The rates are fitted to 180 convolutions of 1 to 128 images, 1 to 256 channels, 28 to
224 pixels and kernels of 3 to 61 pixels, in float32 on one thread of an x86 CPU with AVX-512, where the full rate was
55 billion a second. `scripts/measure_paths.py` measures whether the choice still holds.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from siconvnet.functional import spectral


class Convolution(NamedTuple):
    """The sizes of a convolution with square kernels, ``[B, C, H, W] -> [B, C', H', W']``.

    Attributes:
        batch, in_channels, out_channels, groups: as in `torch.nn.functional.conv2d`.
        height, width: of the input in pixels, without padding.
        side: of the kernels in pixels.
        padding: zeros on each side of the input.
        stride: step in pixels.
        taps: how many numbers along each axis the kernels are made from; fewer than `side` if they are rescaled.
        reach: by how many pixels a transform has to be longer than the input.
        sharing: how many convolutions share the transforms of one input.
    """

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    height: int
    width: int
    side: int
    padding: int
    stride: int
    taps: int
    reach: int
    sharing: int

    @property
    def pairs(self) -> int:
        """How many kernels there are: one for each pair of channels in a group."""
        return self.in_channels * self.out_channels // self.groups

    @property
    def outputs(self) -> tuple[int, int]:
        """H' and W'."""
        height, width = (
            (pixels + 2 * self.padding - self.side) // self.stride + 1 for pixels in (self.height, self.width)
        )
        return height, width


class Rates(NamedTuple):
    """What the parts of a spectral convolution cost.

    Attributes:
        call: the fixed cost.
        frequency: what each frequency costs besides.
        mixing: a real multiply-add of the products with the kernels' spectra, and of the transform back.
        making: a real multiply-add in the making of these spectra.
        map: a complex number in the spectra of the input and the output.
        kernel: a complex number in the spectra of the kernels.
        excess: a complex number more in a tensor beyond `CACHED` numbers.
    """

    call: float
    frequency: float
    mixing: float
    making: float
    map: float
    kernel: float
    excess: float


FORWARD = Rates(call=15e6, frequency=8000, mixing=2.0, making=3.5, map=390, kernel=70, excess=390)
BACKWARD = Rates(call=10e6, frequency=2000, mixing=2.8, making=2.8, map=410, kernel=330, excess=1100)
CACHED = 4_000_000
"""Complex numbers. Larger tensors are slow: they fit into no cache, and their memory is new each time."""
MARGIN = 1.3
"""How many times as dear a direct convolution has to be, as the fitted costs are somewhat off."""

# Direct convolutions compute so many output channels at a time, whether there are so many or not. Their backward pass
# is slow with few input channels as well.
_ROWS, _FEW = 16, 12

# From these sizes on a direct convolution is a product of matrices with a row for each output channel, and runs at half
# the full rate with this many rows.
_LARGE_PADDING, _LARGE_SIDE, _HALF_RATE = 10, 15, 64

# What a product costs with a group for each channel, forward and backward.
_DEPTHWISE_FORWARD, _DEPTHWISE_BACKWARD = 4, 100

# What calls in Python cost: a convolution more; and choosing a way, once and for each convolution.
_CALL, _CHOICE, _CHOICES = 5e7, 5e7, 1e7

# What a number of the output costs.
_OUTPUT = 100


@functools.lru_cache(maxsize=1024)
def gains_by_parts(whole: Convolution, sides: tuple[int, ...]) -> bool:
    """Whether a direct convolution costs more than one for each of its parts, each by its cheaper way.

    Args:
        whole: its output channels, or its groups where it has several, are the parts.
        sides: of each part's kernels the odd side of the middle square beyond which they are zero, in pixels.
    """
    total = 0.0
    for side in sides:
        padding = max(whole.padding - (whole.side - side) // 2, 0)
        part = whole._replace(
            in_channels=whole.in_channels // whole.groups, out_channels=whole.out_channels // len(sides), groups=1,
            side=side, taps=side, padding=padding, reach=padding,
        )  # fmt: skip
        # In the frequency domain the places that no tap meets are found by a direct convolution of one channel.
        places = _direct_forward(part._replace(in_channels=1, out_channels=1))
        total += _CALL + min(_direct_forward(part), _spectral(part, FORWARD) + places)
        total += min(_direct_backward(part), _spectral(part, BACKWARD))
    return total < _direct_forward(whole) + _direct_backward(whole)


@functools.lru_cache(maxsize=4096)
def is_small(*convolutions: Convolution) -> bool:
    """Whether direct convolutions take less time than choosing another way for them."""
    costs = (
        _direct_forward(c) + _direct_backward(c) + _OUTPUT * c.batch * c.out_channels * math.prod(c.outputs)
        for c in convolutions
    )
    return sum(costs) < _CHOICE + _CHOICES * len(convolutions)


@functools.lru_cache(maxsize=4096)
def prefers_spectral(convolution: Convolution, *, backward: bool = False) -> bool:
    """Whether the frequency domain is clearly the faster way, for the forward pass or for both gradients."""
    direct = _direct_backward(convolution) if backward else _direct_forward(convolution)
    return MARGIN * _spectral(convolution, BACKWARD if backward else FORWARD) < direct


def _direct_forward(c: Convolution) -> float:
    rows = c.out_channels // c.groups
    if _is_depthwise(c):
        return _products(c) * _DEPTHWISE_FORWARD
    if c.padding >= _LARGE_PADDING and c.in_channels // c.groups > _FEW:
        return _products(c) * (1 + _HALF_RATE / rows)
    return _products(c) * max(1, _ROWS / rows)


def _direct_backward(c: Convolution) -> float:
    rows, columns = c.out_channels // c.groups, c.in_channels // c.groups
    if _is_depthwise(c):
        return _products(c) * _DEPTHWISE_BACKWARD
    if c.side >= _LARGE_SIDE:
        return 2 * _products(c) * (1 + _HALF_RATE / rows)
    return 2 * _products(c) * max(1, _ROWS / rows, _FEW / (columns + 1))


def _is_depthwise(c: Convolution) -> bool:
    return c.groups > 1 and c.in_channels == c.out_channels == c.groups


def _products(c: Convolution) -> float:
    """How many products a direct convolution computes. It leaves out the taps that fall on padding: of a 13 x 13 kernel
    on a 7 x 7 map all but 29 %."""
    return c.batch * c.pairs * _taps(c.height, c.side, c.padding) * _taps(c.width, c.side, c.padding) / c.stride**2


@functools.lru_cache(maxsize=1024)
def _taps(length: int, kernel_size: int, padding: int) -> int:
    """How many taps of all outputs along an axis fall on the input and not on its padding."""
    firsts = range(-padding, length + padding - kernel_size + 1)
    return sum(min(first + kernel_size, length) - max(first, 0) for first in firsts)


def _spectral(c: Convolution, rates: Rates) -> float:
    rows, columns = (spectral.transform_length(side + c.reach) for side in (c.height, c.width))
    half = columns // 2 + 1
    height, width = c.outputs
    inputs, outputs = rows * half * c.batch * c.in_channels, rows * half * c.batch * c.out_channels
    kernels = rows * half * c.pairs
    # Complex multiply-adds count as four: mixing of channels, kernels' spectra, and the transform back.
    mixing = kernels * c.batch
    making = c.taps * (c.taps + half) * rows * c.pairs
    back = spectral.maps_cost(height, width, rows, columns, c.stride) * c.batch * c.out_channels
    excess = sum(max(0, numbers - CACHED) for numbers in (inputs, outputs, kernels))
    return (
        rates.call
        + rates.frequency * rows * half
        + rates.mixing * 4 * (mixing + back)
        + rates.making * 4 * making
        + rates.map * (inputs / c.sharing + outputs)
        + rates.kernel * kernels
        + rates.excess * excess
    )
