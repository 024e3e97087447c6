"""The plan that the networks for MNIST-Scale share: what is convolved at which size, and how it is classified."""

from __future__ import annotations

from torch import Tensor, nn


class MnistScaleNet(nn.Module):
    """Blocks, then a classifier: ``[B, 1, 28, 28] -> [B, 10]``.

    Args:
        blocks: maps ``[B, 1, H, H]`` to ``[B, channels, 2, 2]``, H = 28, or 56 if `upsample`.
        channels: of the last block.
        upsample: double the image first (nearest).
        hidden_bias: give the hidden units a bias in front of their normalisation, as some are published.
    """

    def __init__(self, blocks: nn.Module, channels: int, *, upsample: bool, hidden_bias: bool = False):
        super().__init__()
        self.resize = nn.Upsample(scale_factor=2) if upsample else nn.Identity()
        self.blocks = blocks
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(4 * channels, 256, bias=hidden_bias),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Dropout(0.7),
            nn.Linear(256, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(self.resize(x)))


def last_pool(upsample: bool) -> nn.MaxPool2d:
    """The pooling that leaves 2 x 2 pixels of a quarter of the image."""
    return nn.MaxPool2d(8 if upsample else 4, padding=2)
