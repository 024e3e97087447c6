"""The networks that SESN and DISCO were compared with each other by on MNIST-Scale.

All share one plan (`plan`): three convolutional blocks of about 32, 63 and 95 channels with effective size 7, then a
classifier of 256 hidden units. They map images [B, C, 28, 28], normalised as `siconvnet.datasets.mnist_scale` does, to
logits. A name ends in 28, or in 56 where the network first doubles the image; "p" marks the scales chosen for training
with random rescaling (the papers' "+").
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from siconvnet.models import papers
from siconvnet.models.info import ModelInfo
from siconvnet.models.papers import Paper
from siconvnet.scale_starts import Start

if TYPE_CHECKING:
    from torch import nn

STUDY = "mnist-scale"
IMAGE_SIZES = (28,)


def geometric(count: int, factor: float, smallest: float) -> tuple[float, ...]:
    """`count` scales from `smallest` to `factor` times that, evenly spaced in their logarithm, to two decimals."""
    return tuple(round(smallest * factor ** (i / (count - 1)), 2) for i in range(count))


def _model(name: str, factory: str, label: str, family: str, paper: Paper, stage: str = "", **known: Any) -> ModelInfo:
    # Behind the first activation a map is as large as the image, unless that was doubled.
    stages = (stage,) if stage and not known["options"]["upsample"] else ()
    known |= {"stages": stages, "studies": (STUDY,), "image_sizes": IMAGE_SIZES}
    return ModelInfo(name, f"{__name__}.{factory}", label, family, *paper, **known)


def _both_sizes(
    name: str,
    factory: str,
    label: str,
    family: str,
    paper: Paper,
    *,
    options: Mapping[int, Mapping[str, Any]] | None = None,
    **known: Any,
) -> Iterator[ModelInfo]:
    for side in (28, 56):
        own = {"upsample": side == 56, **(options or {}).get(side, {})}
        yield _model(f"{name}_{side}", factory, label, family, paper, options=own, **known)


def _ses(name: str, size: int, scales: tuple[float, ...], mult: float) -> ModelInfo:
    kind = name.split("_")[1]
    options = {"upsample": "56" in name, "size": size, "scales": scales}
    options |= {"basis_type": "hermite_b", "mult": mult, "max_order": 4}
    inside: dict[str, dict[str, Any]] = {
        "scalar": {"stage": "blocks.2", "scale_pools": ("blocks.1", "blocks.6", "blocks.11")},
        "vector": {"stage": "blocks.1", "scale_pools": ("blocks.9",)},
    }
    factory = f"ses:Ses{kind.capitalize()}"
    return _model(name, factory, f"SESN {kind}", "steerable", papers.SESN, options=options, **inside[kind])


def _basis(
    name: str, basis_type: str, label: str, paper: Paper, smallest: float, factory: str = "SesVector", **basis: float
) -> ModelInfo:
    options = {"upsample": True, "size": 15, "scales": geometric(4, 2.0, smallest), "basis_type": basis_type, **basis}
    return _model(name, f"ses:{factory}", label, "steerable", paper, options=options, scale_pools=("blocks.9",))


def _disco(name: str, mult: float) -> ModelInfo:
    mixture = {"mult": mult, "max_order": 4, "min_scale": 1.9}
    return _basis(name, "disco_b", "DISCO", papers.DISCO, 1.0, "DiscoVector", **mixture)


def _learned(name: str, num_scales: int, start: Start, mult: float) -> ModelInfo:
    options = {"upsample": start.side == 56, "num_scales": num_scales, "mult": mult}
    inside: dict[str, Any] = {"stage": "blocks.1", "scale_pools": ("blocks.9",), "learned_scales": start}
    return _model(name, "ses:SesLearned", "SESN learned", "steerable", papers.BASTING, options=options, **inside)


MODELS = (
    # SESN's comparison.
    *_both_sizes("cnn", "cnn:Cnn", "CNN", "baseline", papers.SESN, stage="blocks.1"),
    *_both_sizes("kanazawa", "kanazawa:Kanazawa", "SI-ConvNet", "rescaled inputs", papers.KANAZAWA, stage="blocks.1"),
    *_both_sizes("xu", "xu:Xu", "SiCNN", "rescaled kernels", papers.XU, scale_pools=("blocks.12",)),
    *_both_sizes(
        "ss",
        "scale_steerable:ScaleSteerable",
        "SS-CNN",
        "steerable",
        papers.GHOSH,
        stage="blocks.0",
        options={28: {"sizes": (5, 7, 9, 11, 13)}, 56: {"sizes": (7, 9, 11, 13, 15, 17)}},
    ),
    *_both_sizes("sevf_scalar", "sevf:SevfScalar", "SEVF scalar", "rescaled inputs", papers.MARCOS, stage="blocks.1"),
    *_both_sizes("sevf_vector", "sevf:SevfVector", "SEVF vector", "rescaled inputs", papers.MARCOS),
    *_both_sizes(
        "dss_scalar",
        "dss:DssScalar",
        "DSS scalar",
        "scale space",
        papers.WORRALL,
        stage="blocks.3",
        scale_pools=("blocks.2", "blocks.8", "blocks.14"),
    ),
    *_both_sizes(
        "dss_vector",
        "dss:DssVector",
        "DSS vector",
        "scale space",
        papers.WORRALL,
        stage="blocks.2",
        scale_pools=("blocks.13",),
    ),
    _ses("ses_scalar_28", 15, geometric(4, 3.0, 1.7), 1.5),
    _ses("ses_scalar_28p", 13, geometric(4, 3.0, 1.5), 1.4),
    _ses("ses_scalar_56", 15, geometric(3, 2.0, 2.0), 1.4),
    _ses("ses_scalar_56p", 17, geometric(3, 3.0, 1.0), 1.4),
    _ses("ses_vector_28", 13, geometric(3, 3.0, 1.5), 1.5),
    _ses("ses_vector_28p", 15, geometric(3, 3.0, 1.5), 1.4),
    _ses("ses_vector_56", 15, geometric(4, 2.0, 2.0), 1.5),
    _ses("ses_vector_56p", 13, geometric(4, 2.0, 1.5), 1.4),
    # DISCO's, of the bases.
    _basis("hermite_56", "hermite_b", "Hermite", papers.SESN, 1.5, mult=1.4, max_order=4),
    _basis("hermite_56p", "hermite_b", "Hermite", papers.SESN, 1.7, mult=1.5, max_order=4),
    _basis(
        "lr_harmonics_56", "lr_harmonics", "LR harmonics", papers.GHOSH, 0.1, max_order=3, num_rotations=11, sigma=0.2
    ),
    _basis(
        "lr_harmonics_56p", "lr_harmonics", "LR harmonics", papers.GHOSH, 0.5, max_order=3, num_rotations=10, sigma=0.3
    ),
    _basis("bspline_56", "bspline", "B-spline", papers.BEKKERS, 0.6, mult=2.0, max_order=2),
    _basis("bspline_56p", "bspline", "B-spline", papers.BEKKERS, 0.6, mult=3.0, max_order=1),
    _basis("fourier_bessel_56", "fourier_bessel", "Fourier-Bessel", papers.ZHU, 0.88),
    _basis("fourier_bessel_56p", "fourier_bessel", "Fourier-Bessel", papers.ZHU, 0.6),
    _disco("disco_56", 1.5),
    _disco("disco_56p", 1.9),
    # Learned scales.
    _learned("ses_learned_28", 3, Start(1.5, 3.0, side=28), 1.5),
    _learned("ses_learned_56", 4, Start(1.5, 2.0, side=56), 1.4),
)


def list_mnist_scale_models(pattern: str = "*") -> list[str]:
    """Deprecated: use ``siconvnet.list_models(pattern, study="mnist-scale")``."""
    from siconvnet.models import list_models

    warnings.warn(
        "list_mnist_scale_models is deprecated; use siconvnet.list_models(pattern, study='mnist-scale').",
        DeprecationWarning,
        stacklevel=2,
    )
    return list_models(pattern, study=STUDY)


def create_mnist_scale_model(name: str, **options: Any) -> nn.Module:
    """Deprecated: use ``siconvnet.create_model(name, num_channels=1, num_classes=10)``."""
    from siconvnet.models import create_model

    warnings.warn(
        "create_mnist_scale_model is deprecated; use siconvnet.create_model(name, num_channels=1, num_classes=10).",
        DeprecationWarning,
        stacklevel=2,
    )
    return create_model(name, num_channels=1, num_classes=10, **options)
