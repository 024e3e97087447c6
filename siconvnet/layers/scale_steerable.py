"""Scale-steerable convolution (Ghosh, Gupta 2019, as compared in SESN).

Kernels are sums of log-radial harmonics; turning the phase of each steers a kernel to another scale, and each scale
cuts its own size out of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ORDERS = (0.5, 1.0, 2.0)
NUM_AXES = 9
WEDGE = math.pi / 16
REFERENCE_SIZE = 11
"""Side of the kernel whose phases are those of the weights."""


def harmonics(size: int, orders: Sequence[float] = ORDERS) -> tuple[Tensor, Tensor]:
    """Cosine and sine functions on the disc that fits a kernel, of unit norm.

    Returns:
        Each of shape (orders, axes, size, size), and the angular frequency of each order in log r is
        2 pi order / log(half diagonal).
    """
    pixels = torch.arange(size, dtype=torch.float64) - size // 2
    up, right = torch.meshgrid(-pixels, pixels, indexing="ij")
    distance = torch.hypot(up, right)
    radius = torch.where(distance == 0, 1.0, distance)
    angle = torch.atan2(right, up)
    axes = torch.linspace(0, math.pi, NUM_AXES, dtype=torch.float64)[:, None, None]
    apart = (angle - axes + math.pi / 2).remainder(math.pi) - math.pi / 2
    wedge = torch.exp(-(apart**2) / (2 * WEDGE**2)) / radius * (distance <= size // 2)
    wave = frequencies(size, orders)[:, None, None, None] * radius.log() - math.pi / 4
    functions = wedge * torch.stack([wave.cos(), wave.sin()])
    cosine, sine = functions / torch.linalg.vector_norm(functions, dim=(-2, -1), keepdim=True)
    return cosine, sine


def frequencies(size: int, orders: Sequence[float] = ORDERS) -> Tensor:
    """Angular frequency of each order in log r: (orders,)."""
    return 2 * math.pi * torch.tensor(orders, dtype=torch.float64) / math.log(math.sqrt(2) * (size // 2))


class ScaleSteerableConv2d(nn.Module):
    """Largest response over kernels steered to several sizes: ``[B, C, H, W] -> [B, C', H', W']``.

    Args:
        in_channels: C.
        out_channels: C'.
        sizes: sides of the kernels in pixels, odd and ascending.
        orders: of the waves.
        reference_size: side of the kernel whose phases are those of the weights.
        stride: step in pixels.
        rectify: set negative responses to zero.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sizes: Sequence[int],
        *,
        orders: Sequence[float] = ORDERS,
        reference_size: int = REFERENCE_SIZE,
        stride: int = 1,
        rectify: bool = True,
    ):
        super().__init__()
        self.sizes, self.stride, self.rectify = tuple(sizes), stride, rectify
        shape = (len(orders), out_channels, in_channels, NUM_AXES)
        self.real, self.imaginary = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape))
        bound = math.sqrt(2 / (NUM_AXES * in_channels * out_channels))
        nn.init.uniform_(self.real, -bound, bound)
        nn.init.uniform_(self.imaginary, -bound, bound)
        with torch.device("cpu"):
            cosine, sine = harmonics(self.sizes[-1], orders)
            steps = torch.log(torch.tensor(self.sizes, dtype=torch.float64) / reference_size)
            self.phases = (steps[:, None] * frequencies(self.sizes[-1], orders)).tolist()
        self.register_buffer("cosine", cosine.to(self.real))
        self.register_buffer("sine", sine.to(self.real))

    def kernel(self, size: int, phases: Sequence[float]) -> Tensor:
        """The kernel at one size: (C', C, size, size)."""
        margin = (self.sizes[-1] - size) // 2
        inner = slice(margin, margin + size)
        cos = self.real.new_tensor([math.cos(phase) for phase in phases])[:, None, None, None]
        sin = self.real.new_tensor([math.sin(phase) for phase in phases])[:, None, None, None]
        real, imaginary = self.real * cos + self.imaginary * sin, self.imaginary * cos - self.real * sin
        return torch.einsum("koia,kahw->oihw", real, self.cosine[..., inner, inner]) - torch.einsum(
            "koia,kahw->oihw", imaginary, self.sine[..., inner, inner]
        )

    def forward(self, x: Tensor) -> Tensor:
        responses = [
            F.conv2d(x, self.kernel(size, phases), stride=self.stride, padding=size // 2)
            for size, phases in zip(self.sizes, self.phases, strict=True)
        ]
        largest = torch.stack(responses).max(dim=0).values if len(responses) > 1 else responses[0]
        return F.relu(largest) if self.rectify else largest
