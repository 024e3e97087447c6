"""Scale-invariant CNN in columns (Xu et al. 2014, as used in STIR, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, XuConv2d

_SIZES = [3, 5, 7, 9, 11]


class Xu(nn.Module):
    """Five columns of padded convolutions, joined by a maximum: ``[B, C, H, W] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = XuConv2d(num_channels, 16, kernel_size, _SIZES, initial=True)
        self.act1 = nn.ReLU()
        self.conv2 = XuConv2d(16, 32, kernel_size, _SIZES)
        self.pool = GlobalMaxPool()
        self.act2 = nn.ReLU()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        columns = self.conv2(x).unflatten(1, (len(_SIZES), -1))
        # The published order is ReLU, maximum; they can change places.
        return self.lin(self.act2(self.pool(columns.transpose(1, 2))))
