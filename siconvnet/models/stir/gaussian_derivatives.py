"""Gaussian derivative networks (Lindeberg 2022; Perzanowski and Lindeberg 2025), at the size of STIR's networks.

The network runs in S scale channels, which share all weights. In the channel of sigma_0, layer k mixes Gaussian
derivatives at the scale sigma_k = sigma_0 r^(k - 1). If an image is enlarged by the ratio of two channels, the maps of
one become those of the other, enlarged. In each channel the maximum over the image gives logits, and these are pooled
over the channels.

What the papers leave open, or what is done otherwise to fit STIR:

* There are three layers, with 16, 24 and 32 channels, and a linear layer gives the logits, as in all networks of STIR.
  The papers' networks are deeper, and their last layer of derivatives has a map for each class.
* Channels have sigma_0 = 2^(-1/2), 1, 2^(1/2), 2 and 2^(3/2) pixels. They span a factor of 4, as STIR's objects do (17
  to 64 pixels). Finer ones would fall below the pixels, and coarser ones see mostly the border. With r = 2 a feature of
  the third layer sees about an object's side in the channel that fits it.
* Maps go on beyond their border with their outermost pixels, not with zeros.
* Batch normalisation and ReLU follow the first two layers, and ReLU the third. Statistics are shared by all channels,
  like all else that is learned.
* Scale-channel dropout is an option, off unless asked for, as is the central pixel in place of the spatial maximum:
  STIR's objects are not centred.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from siconvnet.layers import (
    GaussianDerivativeConv2d,
    ScaleChannelBatchNorm,
    ScaleChannelPool,
    ScaleChannelSpatialPool,
)

_SIGMAS = tuple(2 ** (step / 2) for step in range(-1, 4))


class GaussianDerivativeNet(nn.Module):
    """Three layers of Gaussian derivatives in five scale channels: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        pool: "max" or "mean" over scale channels.
        order: highest order of the derivatives, 1 to 3.
        sigmas: sigma_0 of each scale channel in pixels, in geometric progression.
        ratio: r, by which scales grow from layer to layer.
        spatial: "max" over the image, or "centre", the central pixel.
        scale_dropout: the share of scale channels that the pooling leaves out in training.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        *,
        pool: str,
        order: int = 2,
        sigmas: Sequence[float] = _SIGMAS,
        ratio: float = 2.0,
        spatial: str = "max",
        scale_dropout: float = 0.0,
    ):
        super().__init__()
        scales = [[sigma * ratio**depth for sigma in sigmas] for depth in range(3)]
        self.conv1 = GaussianDerivativeConv2d(num_channels, 16, scales[0], order)
        self.norm1 = ScaleChannelBatchNorm(16)
        self.act1 = nn.ReLU()
        self.conv2 = GaussianDerivativeConv2d(16, 24, scales[1], order)
        self.norm2 = ScaleChannelBatchNorm(24)
        self.act2 = nn.ReLU()
        self.conv3 = GaussianDerivativeConv2d(24, 32, scales[2], order)
        self.act3 = nn.ReLU()
        self.spatial_pool = ScaleChannelSpatialPool(spatial)
        self.lin = nn.Linear(32, num_classes)
        self.scale_pool = ScaleChannelPool(pool, scale_dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.norm1(self.conv1(x)))
        x = self.act2(self.norm2(self.conv2(x)))
        x = self.act3(self.conv3(x))
        logits = self.lin(self.spatial_pool(x).transpose(1, 2))
        return self.scale_pool(logits.transpose(1, 2))
