"""Deep scale-spaces: convolution of an image at several levels of blur (Worrall, Welling 2019, as compared in SESN).

An image is lifted to levels by blurring it more and more; each level is convolved with the same kernel, dilated with
the level, so that it sees the same part of a coarser and coarser image.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument
from siconvnet.layers.checks import check_maps


def discrete_gaussian(variance: float) -> Tensor:
    """Lindeberg's discrete Gaussian exp(-t) I_x(t) with variance t in pixels, normalised: (taps,)."""
    import scipy.special  # the only thing in these layers that needs it

    reach = 4 * math.ceil(math.sqrt(variance))
    taps = torch.from_numpy(scipy.special.ive(abs(np.arange(-reach, reach + 1)), variance))
    return (taps / taps.sum()).to(torch.get_default_device(), torch.get_default_dtype())


class DssLift(nn.Module):
    """Blur to every level: ``[B, C, H, W] -> [B, C, S, H, W]``; the first level is the image itself.

    Level l has the blur of an image that was shrunk by 2^l.

    Args:
        levels: S.
        zero_scale: blur that images come with, in pixels.

    The kernel of each further level is a buffer: ``kernel`` where there is one, else ``kernel1``, ``kernel2``, ...
    """

    def __init__(self, levels: int, zero_scale: float):
        super().__init__()
        if levels < 2:
            raise InvalidArgument(f"levels must be at least 2, not {levels}.")
        self.names = ["kernel"] if levels == 2 else [f"kernel{level}" for level in range(1, levels)]
        for level, name in enumerate(self.names, start=1):
            self.register_buffer(name, discrete_gaussian(zero_scale**2 * (4**level - 1)))

    def forward(self, x: Tensor) -> Tensor:
        planes, levels = x.flatten(0, 1)[:, None], [x]
        for name in self.names:
            kernel = self.get_buffer(name)
            reach = len(kernel) // 2
            blurred = F.conv2d(planes, kernel[None, None, None], padding=(0, reach))
            levels.append(F.conv2d(blurred, kernel[None, None, :, None], padding=(reach, 0)).view_as(x))
        return torch.stack(levels, dim=2)


class DssConv2d(nn.Module):
    """One kernel at every level, dilated with it: ``[B, C, S, H, W] -> [B, C', levels, H', W']``.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: side of the kernel in pixels before it is dilated, odd.
        levels: levels of the output, the finest of the input.
        window: levels that the kernel spans, from its own to coarser ones; beyond `levels` there is nothing. None: its
            own, and the weight has no axis for it.
        stride: step in pixels; H' = (H - 1) // stride + 1.
        identity: start as nearly the identity (`delta_weight`) in place of normally distributed weights.

    Shapes: ``weight [C', C, window, k, k]``, or ``[C', C, k, k]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        levels: int,
        *,
        window: int | None = None,
        stride: int = 1,
        identity: bool = False,
    ):
        super().__init__()
        if kernel_size % 2 == 0 or min(levels, window or 1, stride) < 1:
            raise InvalidArgument(
                f"kernel size {kernel_size}, levels {levels}, window {window}, stride {stride}: the size must be odd, "
                "the others at least 1."
            )
        self.levels, self.stride = levels, stride
        if identity:
            start = delta_weight(out_channels, in_channels, window or 1, kernel_size)
        else:
            start = torch.empty(out_channels, in_channels, window or 1, kernel_size, kernel_size)
            nn.init.normal_(start, std=math.sqrt(2 / start[0].numel()))
        self.weight = nn.Parameter(start if window else start.squeeze(2))

    def forward(self, x: Tensor) -> Tensor:
        check_maps(x, self.weight.shape[1], self.weight)
        kernel = self.weight if self.weight.ndim == 5 else self.weight.unsqueeze(2)
        window, size = kernel.shape[2:4]
        planes = []
        for level in range(self.levels):
            seen = slice(level, min(level + window, self.levels))
            weight = kernel[:, :, : seen.stop - level].flatten(1, 2)
            dilation = 2**level
            padding = size // 2 * dilation
            planes.append(F.conv2d(x[:, :, seen].flatten(1, 2), weight, None, self.stride, padding, dilation))
        return torch.stack(planes, dim=2)


def delta_weight(out_channels: int, in_channels: int, window: int, size: int) -> Tensor:
    """Nearly the identity: small uniform noise, and the middle of the kernels between channels of one of C blocks set
    to C / C', where C is the greatest common divisor of the channels: (C', C, window, size, size)."""
    weight = torch.empty(out_channels, in_channels, window, size, size).uniform_(-0.01, 0.01)
    blocks = math.gcd(in_channels, out_channels)
    rows, columns = (torch.arange(n) * blocks // n for n in (out_channels, in_channels))
    same = rows[:, None] == columns
    weight[..., size // 2, size // 2][same] = blocks / out_channels
    return weight
