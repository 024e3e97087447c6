"""Scale-equivariant CNNs with vector fields, for MNIST-Scale (Marcos, Kellenberger, Lobry, Tuia 2018, as in SESN)."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import FieldBatchNorm, FieldLength, FieldMaxPool, FieldToField, ScalarToField
from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, MnistScaleNet, last_pool

_VECTOR_CHANNELS = (23, 45, 68)


class SevfScalar(MnistScaleNet):
    """Each block keeps the length of its field alone: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        c1, c2, c3 = CHANNELS
        blocks = nn.Sequential(
            ScalarToField(num_channels, c1, EFFECTIVE_SIZE), FieldLength(), nn.MaxPool2d(2), nn.BatchNorm2d(c1),
            ScalarToField(c1, c2, EFFECTIVE_SIZE), FieldLength(), nn.MaxPool2d(2), nn.BatchNorm2d(c2),
            ScalarToField(c2, c3, EFFECTIVE_SIZE), FieldLength(), last_pool(upsample),
        )  # fmt: skip
        super().__init__(blocks, c3, num_classes, upsample=upsample, hidden_bias=True)


class SevfVector(MnistScaleNet):
    """Fields throughout, their length at the end: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        c1, c2, c3 = _VECTOR_CHANNELS
        blocks = nn.Sequential(
            ScalarToField(num_channels, c1, EFFECTIVE_SIZE), FieldMaxPool(2), FieldBatchNorm(c1),
            FieldToField(c1, c2, EFFECTIVE_SIZE), FieldMaxPool(2), FieldBatchNorm(c2),
            FieldToField(c2, c3, EFFECTIVE_SIZE), FieldMaxPool(8 if upsample else 4, padding=2), FieldLength(),
        )  # fmt: skip
        super().__init__(blocks, c3, num_classes, upsample=upsample, hidden_bias=True)
