"""Scale-adaptive convolutional networks (SACNN): kernels at several scales in parallel, one chosen for each channel.

They come from a summary of the STIR paper, not from the paper itself, whose pseudo code leaves the following open:

* The factors are 1, sqrt 2, 2, 2 sqrt 2 and 4, which spans the objects of STIR (17 to 64 pixels, a factor of 3.8); at
  k = 7 the kernels have 7, 9, 15, 19 and 29 pixels.
* Kernels are resized as in the other methods (bicubic unless said otherwise) and multiplied by k^2 / side^2: without
  that the largest kernel would nearly always win.
* "M" has two base kernels for each pair of channels; any of them at any scale can be chosen.
* What is chosen is one kernel for each image and output channel, not for each pixel, by its largest response. The
  linear map of the attention sees these largest responses, one a candidate, so that it does not depend on the image's
  size. It starts as ten times the identity: near the choice by the largest response, not near the mean of all.
* The network is the one of all methods here: 16 and 32 channels, ReLU, global maximum, a linear layer, and logits
  where the summary has probabilities. Convolutions keep the side of their input ("same" padding).
"""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, SacnnConv2d

_FACTORS = tuple(2 ** (step / 2) for step in range(5))


class Sacnn(nn.Module):
    """Two scale-adaptive convolutions: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        num_bases: base kernels for each pair of channels.
        select: "max" or "attention".
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        interpolation: str = "bicubic",
        *,
        num_bases: int,
        select: str,
    ):
        super().__init__()
        self.conv1 = SacnnConv2d(num_channels, 16, kernel_size, _FACTORS, num_bases, interpolation, select)
        self.act1 = nn.ReLU()
        self.conv2 = SacnnConv2d(16, 32, kernel_size, _FACTORS, num_bases, interpolation, select)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
