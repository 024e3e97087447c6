"""The plan that the networks for MNIST-Scale share: what is convolved at which size, and how it is classified.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

CHANNELS = (32, 63, 95)
"""Of the three blocks, where a method has no numbers of its own to come to the same count of parameters."""

EFFECTIVE_SIZE = 7
"""Side in pixels of the ordinary kernel with as many weights as each kernel has."""

SCALES = (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33)
"""Factors of the methods that rescale images or kernels."""


class MnistScaleNet(nn.Module):
    """Blocks, then a classifier: ``[B, C, 28, 28] -> [B, num_classes]``.

    Args:
        blocks: maps ``[B, C, H, H]`` to ``[B, channels, 2, 2]``, H = 28, or 56 if `upsample`.
        channels: of the last block.
        num_classes: of the objects.
        upsample: double the image first (nearest).
        hidden_bias: give the hidden units a bias in front of their normalisation, as some are published.
    """

    def __init__(
        self, blocks: nn.Module, channels: int, num_classes: int, *, upsample: bool, hidden_bias: bool = False
    ):
        super().__init__()
        self.resize = nn.Upsample(scale_factor=2) if upsample else nn.Identity()
        self.blocks = blocks
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(4 * channels, 256, bias=hidden_bias),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Dropout(0.7),
            nn.Linear(256, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(self.resize(x)))


def scalar_blocks(
    layers: Callable[[int, int], Sequence[nn.Module]],
    num_channels: int,
    *,
    upsample: bool,
    channels: Sequence[int] = CHANNELS,
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
) -> nn.Sequential:
    """Three blocks of maps without a scale axis: layers, pooling, normalisation.

    Args:
        layers: what a block does before its pooling, of (channels in, channels out).
        channels: of the blocks.
        norm: of so many channels.
    """
    blocks: list[nn.Module] = []
    pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
    for inputs, outputs, pool in zip((num_channels, *channels), channels, pools, strict=False):
        blocks += [*layers(inputs, outputs), pool, norm(outputs)]
    return nn.Sequential(*blocks)


def last_pool(upsample: bool) -> nn.MaxPool2d:
    """The pooling that leaves 2 x 2 pixels of a quarter of the image."""
    return nn.MaxPool2d(8 if upsample else 4, padding=2)
