"""Convolutions of vector fields over scales (Marcos, Kellenberger, Lobry, Tuia 2018, as compared in SESN).

A response is a vector: its length is the largest response over the scales, its angle says which scale that was.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEPS = range(-4, 4)
SCALES = tuple(1.26**step for step in _STEPS)
ANGLES = tuple(step * (2 * math.pi / 3) / 7 for step in _STEPS)


def rescaled_conv(x: Tensor, weight: Tensor, scale: float) -> Tensor:
    """Convolve the image at another size, and bring the response back: ``[B, C, H, H] -> [B, C', H, H]``."""
    side = int(x.shape[-1])  # where a network is traced, sizes are tensors
    x = F.interpolate(x, size=round(side * scale), mode="bilinear", align_corners=False)
    x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    return F.interpolate(x, size=side, mode="bilinear", align_corners=False)


def to_field(responses: list[Tensor]) -> Tensor:
    """Responses of the scales, each ``[B, C, H, W]``, to a field ``[2, B, C, H, W]``."""
    largest, which = torch.stack(responses).max(dim=0)
    angle = largest.new_tensor(ANGLES)[which]
    return F.relu(largest) * torch.stack([angle.cos(), angle.sin()])


def length(field: Tensor) -> Tensor:
    """The length of the vectors: ``[2, B, C, H, W] -> [B, C, H, W]``; its gradient is zero at zero."""
    return torch.linalg.vector_norm(field, dim=0)


class ScalarToField(nn.Module):
    """Lifting convolution: ``[B, C, H, H] -> [2, B, C', H, H]``.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: side of the kernel in pixels, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return to_field([rescaled_conv(x, self.weight, scale) for scale in SCALES])


class FieldToField(nn.Module):
    """Convolution of fields with kernels that turn with the scale: ``[2, B, C, H, H] -> [2, B, C', H, H]``.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: side of the kernels in pixels, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight_u, self.weight_v = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape))
        nn.init.kaiming_uniform_(self.weight_u, a=5**0.5)
        nn.init.kaiming_uniform_(self.weight_v, a=5**0.5)

    def forward(self, field: Tensor) -> Tensor:
        both = torch.cat([field[0], field[1]], dim=1)
        responses = []
        for scale, angle in zip(SCALES, ANGLES, strict=True):
            turned_u = math.cos(angle) * self.weight_u + math.sin(angle) * self.weight_v
            turned_v = math.cos(angle) * self.weight_v - math.sin(angle) * self.weight_u
            responses.append(rescaled_conv(both, torch.cat([turned_u, turned_v], dim=1), scale))
        return to_field(responses)


class FieldMaxPool(nn.Module):
    """The longest vector of each window: ``[2, B, C, H, W] -> [2, B, C, H', W']``."""

    def __init__(self, kernel_size: int, padding: int = 0):
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding

    def forward(self, field: Tensor) -> Tensor:
        _, where = F.max_pool2d(length(field), self.kernel_size, padding=self.padding, return_indices=True)
        chosen = where.flatten(2).expand(2, -1, -1, -1)
        return field.flatten(3).gather(3, chosen).unflatten(3, where.shape[2:])


class FieldBatchNorm(nn.Module):
    """Divide by the standard deviation of the lengths, for each channel: ``[2, B, C, H, W]`` kept."""

    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.5):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, field: Tensor) -> Tensor:
        if not self.training:
            return field / (self.eps + self.running_var[:, None, None]).sqrt()
        variance, count = length(field).var((0, 2, 3), correction=0), field[0, :, 0].numel()
        with torch.no_grad():
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        return field / (self.eps + variance[:, None, None]).sqrt()


class FieldLength(nn.Module):
    """`length` as a module."""

    def forward(self, field: Tensor) -> Tensor:
        return length(field)
