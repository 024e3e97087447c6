"""The standard network on log-polar images, as in Esteves et al. 2018 and Tai et al. 2019.

Scaling about the centre becomes a shift, which the global maximum does not see. It is exact for objects at the centre
alone: the objects of STIR lie anywhere, so this shows what the method does without a prediction of the origin. What
the papers leave open, or what is done otherwise:

* The origin is the centre of the image. The papers also predict it, or a rescaling, with a network of its own.
* There are as many angles and radii as the image has pixels along an axis, radii from one pixel to the corners.
* Angles wrap around in front of each convolution, so that it commutes with rotations too. Along radii, convolutions are
  unpadded, as in the standard network.
"""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import Conv2d, GlobalMaxPool, LogPolar, WrapAngles
from siconvnet.names import IMAGE_SIZE


class LogPolarNet(nn.Module):
    """Log-polar resampling, then two convolutions and a global maximum: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        image_size: the number of angles and of radii.
    """

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7, image_size: int = IMAGE_SIZE):
        super().__init__()
        self.resample = LogPolar(image_size, image_size)
        self.wrap = WrapAngles(kernel_size // 2)
        self.conv1 = Conv2d(num_channels, 16, kernel_size)
        self.act1 = nn.ReLU()
        self.conv2 = Conv2d(16, 32, kernel_size)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(self.wrap(self.resample(x))))
        x = self.act2(self.conv2(self.wrap(x)))
        return self.lin(self.pool(x))
