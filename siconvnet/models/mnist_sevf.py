"""Scale-equivariant CNNs with vector fields, for MNIST-Scale (Marcos, Kellenberger, Lobry, Tuia 2018, as in SESN).

A response is a vector: its length is the largest response over the scales, its angle says which scale that was.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE

VECTOR_CHANNELS = (23, 45, 68)
_STEPS = range(-4, 4)
SCALES = tuple(1.26**step for step in _STEPS)
ANGLES = tuple(step * (2 * math.pi / 3) / 7 for step in _STEPS)


def rescaled_conv(x: Tensor, weight: Tensor, scale: float) -> Tensor:
    """Convolve the image at another size, and bring the response back: ``[B, C, H, H] -> [B, C', H, H]``."""
    side = x.shape[-1]
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
    """Lifting convolution: ``[B, C, H, W] -> [2, B, C', H, W]``."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, EFFECTIVE_SIZE, EFFECTIVE_SIZE))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return to_field([rescaled_conv(x, self.weight, scale) for scale in SCALES])


class FieldToField(nn.Module):
    """Convolution of fields with kernels that turn with the scale: ``[2, B, C, H, W] -> [2, B, C', H, W]``."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        shape = (out_channels, in_channels, EFFECTIVE_SIZE, EFFECTIVE_SIZE)
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


class SevfScalar(MnistScaleNet):
    """Each block keeps the length of its field alone: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        c1, c2, c3 = CHANNELS
        blocks = nn.Sequential(
            ScalarToField(1, c1), FieldLength(), nn.MaxPool2d(2), nn.BatchNorm2d(c1),
            ScalarToField(c1, c2), FieldLength(), nn.MaxPool2d(2), nn.BatchNorm2d(c2),
            ScalarToField(c2, c3), FieldLength(), last_pool(upsample),
        )  # fmt: skip
        super().__init__(blocks, c3, upsample=upsample, hidden_bias=True)


class SevfVector(MnistScaleNet):
    """Fields throughout, their length at the end: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        c1, c2, c3 = VECTOR_CHANNELS
        blocks = nn.Sequential(
            ScalarToField(1, c1), FieldMaxPool(2), FieldBatchNorm(c1),
            FieldToField(c1, c2), FieldMaxPool(2), FieldBatchNorm(c2),
            FieldToField(c2, c3), FieldMaxPool(8 if upsample else 4, padding=2), FieldLength(),
        )  # fmt: skip
        super().__init__(blocks, c3, upsample=upsample, hidden_bias=True)
