"""SESN and DISCO for MNIST-Scale (Sosnovik, Szmaja, Smeulders 2020; Sosnovik, Moskalev, Smeulders 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from siconvnet.layers import LearnableScales
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H, SESMaxProjection
from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE
from siconvnet.scale_starts import ceiling

_C1, _C2, _C3 = CHANNELS


class SesScalar(MnistScaleNet):
    """Each block lifts to scales and keeps the largest response: ``[B, 1, 28, 28] -> [B, 10]``.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(self, upsample: bool, size: int, scales: Sequence[float], **basis: Any):
        pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
        layers: list[nn.Module] = []
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            conv = SESConv_Z2_H(inputs, outputs, size, EFFECTIVE_SIZE, scales, padding=size // 2, bias=True, **basis)
            layers += [conv, SESMaxProjection(), nn.ReLU(), pool, nn.BatchNorm2d(outputs)]
        super().__init__(nn.Sequential(*layers), _C3, upsample=upsample)


class SesVector(MnistScaleNet):
    """The first block lifts to scales, the last keeps the largest response: ``[B, 1, 28, 28] -> [B, 10]``.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(self, upsample: bool, size: int, scales: Sequence[float], **basis: Any):
        head = [SESMaxProjection(), nn.ReLU(), last_pool(upsample), nn.BatchNorm2d(_C3)]
        blocks = [*_vector_blocks(size, scales, nn.MaxPool3d, basis), *head]
        super().__init__(nn.Sequential(*blocks), _C3, upsample=upsample)


class DiscoVector(MnistScaleNet):
    """As `SesVector`, with pooling that commutes better with rescaling: averages, and a dense maximum at the end.

    Args:
        upsample: double the image first.
        size: side of the kernels in pixels.
        scales: scales of the basis.
        basis: the basis by name, and its options.
    """

    def __init__(self, upsample: bool, size: int, scales: Sequence[float], **basis: Any):
        dense = nn.MaxPool2d(7 if upsample else 3, stride=1)
        head = [SESMaxProjection(), nn.ReLU(), dense, nn.AvgPool2d(2, stride=4), nn.BatchNorm2d(_C3)]
        blocks = [*_vector_blocks(size, scales, nn.AvgPool3d, basis), *head]
        super().__init__(nn.Sequential(*blocks), _C3, upsample=upsample)


class SesLearned(MnistScaleNet):
    """`SesVector` with learned scales, one set for all layers: ``[B, 1, 28, 28] -> [B, 10]``.

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
        super().__init__(
            nn.Sequential(*_vector_blocks(size, scales, nn.MaxPool3d, basis), *head), _C3, upsample=upsample
        )


def _vector_blocks(
    size: int, scales: Sequence[float] | LearnableScales, pool: type[nn.Module], basis: dict[str, Any]
) -> list[nn.Module]:
    shared: dict[str, Any] = {"scales": scales, "padding": size // 2, "bias": True, **basis}
    return [
        SESConv_Z2_H(1, _C1, size, EFFECTIVE_SIZE, **shared),
        nn.ReLU(),
        pool((1, 2, 2)),
        nn.BatchNorm3d(_C1),
        SESConv_H_H(_C1, _C2, 1, size, EFFECTIVE_SIZE, **shared),
        nn.ReLU(),
        pool((1, 2, 2)),
        nn.BatchNorm3d(_C2),
        SESConv_H_H(_C2, _C3, 1, size, EFFECTIVE_SIZE, **shared),
    ]
