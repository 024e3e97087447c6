"""The plan that the networks for STL-10 share, a wide residual network, and the plain one.

Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016: a convolution, three groups of pre-activation blocks, of
which the second and the third halve the image, and a linear layer on the mean over the pixels. WRN-16-8 has two blocks
a group and is eight times as wide as the narrowest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (1, 2, 2)
"""Of the first block of each group."""

Convolution = TypeVar("Convolution", bound=nn.Module)
Builder = Callable[[int, int, int], nn.Module]
"""Makes a layer of (channels in, channels out, stride)."""


@dataclass(frozen=True)
class Parts:
    """What a variant puts into a block.

    Attributes:
        norm: of so many channels.
        entry: the block's first convolution, which takes the stride.
        conv: the second.
        shortcut: between different numbers of channels.
    """

    norm: Callable[[int], nn.Module]
    entry: Builder
    conv: Builder
    shortcut: Builder

    def after(self, entry: Builder) -> Parts:
        """The same with another entry."""
        return replace(self, entry=entry)


class WideBlock(nn.Module):
    """Two convolutions, each behind a normalisation and a ReLU, beside a shortcut.

    Where the channels change, the shortcut starts behind the first ReLU; else it is the identity.
    """

    def __init__(self, parts: Parts, inputs: int, outputs: int, stride: int, dropout: float):
        super().__init__()
        self.norm1, self.conv1 = parts.norm(inputs), parts.entry(inputs, outputs, stride)
        self.norm2, self.conv2 = parts.norm(outputs), parts.conv(outputs, outputs, 1)
        self.shortcut = None if inputs == outputs else parts.shortcut(inputs, outputs, stride)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(x))
        beside = x if self.shortcut is None else self.shortcut(y)
        y = F.relu(self.norm2(self.conv1(y)))
        return beside + self.conv2(F.dropout(y, self.dropout, self.training))


class WideResNet(nn.Module):
    """The skeleton: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        num_classes: of the objects.
        widths: channels behind the stem and behind each group.
        stem: ``[B, C, H, W]`` to ``[B, widths[0], ...]``.
        groups: for each group, what its first block is made of, and its second.
        neck: what follows the groups, up to the means over the pixels ``[B, widths[-1]]``.
        dropout: probability between the convolutions of a block.
    """

    def __init__(
        self,
        num_classes: int,
        widths: Sequence[int],
        stem: nn.Module,
        groups: Sequence[tuple[Parts, Parts]],
        neck: nn.Module,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.stem = stem
        blocks = []
        for inputs, outputs, stride, (first, second) in zip(widths, widths[1:], STRIDES, groups, strict=False):
            blocks.append(WideBlock(first, inputs, outputs, stride, dropout))
            blocks.append(WideBlock(second, outputs, outputs, 1, dropout))
        self.blocks = nn.Sequential(*blocks)
        self.neck = neck
        self.classifier = nn.Linear(widths[-1], num_classes)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.neck(self.blocks(self.stem(x))))


def channel_counts(widen: int, base: int = 16) -> tuple[int, int, int, int]:
    """Channels behind the stem and behind each group, of which each is twice as wide as the one before."""
    return base, base * widen, 2 * base * widen, 4 * base * widen


def he_by_outputs(conv: Convolution) -> Convolution:
    """Draw the weights ``[C', C, ...]`` from a normal distribution of variance 2 / (weights of one input channel)."""
    weight = conv.weight
    assert isinstance(weight, Tensor)
    nn.init.normal_(weight, std=math.sqrt(2 * weight.shape[1] / weight.numel()))
    return conv


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return he_by_outputs(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False))


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return he_by_outputs(nn.Conv2d(inputs, outputs, 1, stride, bias=False))


def mean_of_pixels() -> list[nn.Module]:
    """``[B, C, H, W] -> [B, C]``, the end of each neck."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class Wrn(WideResNet):
    """WRN-16-8 as it is.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, num_channels: int, num_classes: int, widen: int = 8):
        widths = channel_counts(widen)
        parts = Parts(nn.BatchNorm2d, conv3x3, conv3x3, conv1x1)
        neck = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), *mean_of_pixels())
        super().__init__(num_classes, widths, conv3x3(num_channels, widths[0]), 3 * [(parts, parts)], neck)
