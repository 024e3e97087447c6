"""The networks that SESN and DISCO were compared with others by on STL-10.

All are one wide residual network, WRN-16-8 (`plan`), with another convolution in it; Sosnovik, Szmaja, Smeulders,
"Scale-Equivariant Steerable Networks", ICLR 2020, section 6.2, and Sosnovik, Moskalev, Smeulders, "DISCO: accurate
Discrete Scale Convolutions", BMVC 2021. They map images [B, C, H, W], as published [B, 3, 96, 96] and normalised as
`siconvnet.datasets.stl10` says, to logits.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from siconvnet.models import papers
from siconvnet.models.info import ModelInfo
from siconvnet.models.papers import Paper

if TYPE_CHECKING:
    from torch import nn

STUDY = "stl10"

EACH, PROJECTED, NEIGHBOURS = "each", "projected", "neighbours"
"""What the first convolution of a group sees: each scale for itself, the largest response over the scales, or each
scale with the next larger one."""


def _model(kind: str, factory: str, label: str, family: str, paper: Paper, **known: Any) -> ModelInfo:
    name = f"wrn_16_8{kind and '_'}{kind}"
    return ModelInfo(name, f"{__name__}.{factory}", label, family, *paper, studies=(STUDY,), **known)


def _ses(kind: str, label: str, paper: Paper, entries: tuple[str, str, str], **options: Any) -> ModelInfo:
    projections = [f"blocks.{2 * group}.conv1.0" for group, entry in enumerate(entries) if entry == PROJECTED]
    options |= {"entries": entries}
    return _model(kind, "ses:Ses", label, "steerable", paper, options=options, scale_pools=(*projections, "neck.0"))


def _hermite(kind: str, label: str, smallest: float, entries: tuple[str, str, str]) -> ModelInfo:
    basis = {"basis_type": "hermite_a", "smallest_scale": smallest}
    scales = tuple(smallest * 1.41**i for i in range(3))
    return _ses(kind, label, papers.SESN, entries, size=7, scales=scales, **basis)


MODELS = (
    _model("", "plan:Wrn", "WRN", "baseline", papers.ZAGORUYKO),
    _model("kanazawa", "kanazawa:Kanazawa", "SI-ConvNet", "rescaled inputs", papers.KANAZAWA),
    _model("xu", "xu:Xu", "SiCNN", "rescaled kernels", papers.XU, scale_pools=("neck.4",)),
    _model("ss", "scale_steerable:ScaleSteerable", "SS-CNN", "steerable", papers.GHOSH),
    _model("dss", "dss:Dss", "DSS", "scale space", papers.WORRALL, scale_pools=("neck.2",)),
    _hermite("ses_a", "SESN-A", 0.9, (EACH, EACH, EACH)),
    _hermite("ses_b", "SESN-B", 0.9, (EACH, PROJECTED, PROJECTED)),
    _hermite("ses_c", "SESN-C", 1.1, (NEIGHBOURS, EACH, EACH)),
    _ses(
        "disco",
        "DISCO",
        papers.DISCO,
        (EACH, PROJECTED, PROJECTED),
        size=5,
        scales=(1.0, 1.41, 2.0),
        pooled=True,
        basis_type="disco_a",
        min_scale=0.9,
    ),
)


def list_stl10_models(pattern: str = "*") -> list[str]:
    """Deprecated: use ``siconvnet.list_models(pattern, study="stl10")``."""
    from siconvnet.models import list_models

    warnings.warn(
        "list_stl10_models is deprecated; use siconvnet.list_models(pattern, study='stl10').",
        DeprecationWarning,
        stacklevel=2,
    )
    return list_models(pattern, study=STUDY)


def create_stl10_model(name: str, **changes: Any) -> nn.Module:
    """Deprecated: use ``siconvnet.create_model(name, num_channels=3, num_classes=10)``."""
    from siconvnet.models import create_model

    warnings.warn(
        "create_stl10_model is deprecated; use siconvnet.create_model(name, num_channels=3, num_classes=10).",
        DeprecationWarning,
        stacklevel=2,
    )
    return create_model(name, num_channels=3, num_classes=10, **changes)
