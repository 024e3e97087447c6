"""SESN and DISCO for MNIST-Scale (Sosnovik, Szmaja, Smeulders 2020; Sosnovik, Moskalev, Smeulders 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from siconvnet.layers import LearnableScales
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H, SESMaxProjection
from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, MnistScaleNet, last_pool, scalar_blocks
from siconvnet.scale_starts import ceiling

_C1, _C2, _C3 = CHANNELS


class SesScalar(MnistScaleNet):
    """Each block lifts to scales and keeps the largest response: ``[B, C, 28, 28] -> [B, num_classes]``.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(
        self, num_channels: int, num_classes: int, upsample: bool, size: int, scales: Sequence[float], **basis: Any
    ):
        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            conv = SESConv_Z2_H(inputs, outputs, size, EFFECTIVE_SIZE, scales, padding=size // 2, bias=True, **basis)
            return [conv, SESMaxProjection(), nn.ReLU()]

        super().__init__(scalar_blocks(layers, num_channels, upsample=upsample), _C3, num_classes, upsample=upsample)


class SesVector(MnistScaleNet):
    """The first block lifts to scales, the last keeps the largest response: ``[B, C, 28, 28] -> [B, num_classes]``.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(
        self, num_channels: int, num_classes: int, upsample: bool, size: int, scales: Sequence[float], **basis: Any
    ):
        head = [SESMaxProjection(), nn.ReLU(), last_pool(upsample), nn.BatchNorm2d(_C3)]
        blocks = [*_vector_blocks(num_channels, size, scales, nn.MaxPool3d, basis), *head]
        super().__init__(nn.Sequential(*blocks), _C3, num_classes, upsample=upsample)


class DiscoVector(MnistScaleNet):
    """As `SesVector`, with pooling that commutes better with rescaling: averages, and a dense maximum at the end.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(
        self, num_channels: int, num_classes: int, upsample: bool, size: int, scales: Sequence[float], **basis: Any
    ):
        dense = nn.MaxPool2d(7 if upsample else 3, stride=1)
        head = [SESMaxProjection(), nn.ReLU(), dense, nn.AvgPool2d(2, stride=4), nn.BatchNorm2d(_C3)]
        blocks = [*_vector_blocks(num_channels, size, scales, nn.AvgPool3d, basis), *head]
        super().__init__(nn.Sequential(*blocks), _C3, num_classes, upsample=upsample)


class SesLearned(MnistScaleNet):
    """`SesVector` with learned scales, one set for all layers: ``[B, C, 28, 28] -> [B, num_classes]``.

    Basting et al., "Scale Learning in Scale-Equivariant Convolutional Networks", VISAPP 2024, section 4. The kernels
    are as large as their scales ask for.

    Args:
        upsample: double the image first.
        num_scales: how many.
        mult: of Hermite basis B.
        scale_parameterisation, sigma, isr, learn_sigma: see `siconvnet.layers.LearnableScales`.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        upsample: bool,
        num_scales: int,
        mult: float,
        sigma: float,
        isr: float,
        scale_parameterisation: str = "isr",
        learn_sigma: bool | None = None,
    ):
        scales = LearnableScales(num_scales, scale_parameterisation, sigma, isr, learn_sigma)
        size = ceiling(56 if upsample else 28)
        basis = {"basis_type": "hermite_b", "mult": mult, "max_order": 4}
        head = [SESMaxProjection(), nn.ReLU(), last_pool(upsample), nn.BatchNorm2d(_C3)]
        blocks = [*_vector_blocks(num_channels, size, scales, nn.MaxPool3d, basis), *head]
        super().__init__(nn.Sequential(*blocks), _C3, num_classes, upsample=upsample)


def _vector_blocks(
    num_channels: int,
    size: int,
    scales: Sequence[float] | LearnableScales,
    pool: type[nn.Module],
    basis: dict[str, Any],
) -> list[nn.Module]:
    shared: dict[str, Any] = {"scales": scales, "padding": size // 2, "bias": True, **basis}
    return [
        SESConv_Z2_H(num_channels, _C1, size, EFFECTIVE_SIZE, **shared),
        nn.ReLU(),
        pool((1, 2, 2)),
        nn.BatchNorm3d(_C1),
        SESConv_H_H(_C1, _C2, 1, size, EFFECTIVE_SIZE, **shared),
        nn.ReLU(),
        pool((1, 2, 2)),
        nn.BatchNorm3d(_C2),
        SESConv_H_H(_C2, _C3, 1, size, EFFECTIVE_SIZE, **shared),
    ]
