"""The network for MNIST-range, the toy study of learned scales."""

from __future__ import annotations

from siconvnet.models import papers
from siconvnet.models.info import ModelInfo
from siconvnet.scale_starts import Start

STUDY = "mnist-range"

MODELS = (
    ModelInfo(
        "scale_probe",
        f"{__name__}.scale_probe:ScaleProbe",
        "Scale probe",
        "steerable",
        *papers.BASTING,
        stages=("act",),
        scale_pools=("project",),
        studies=(STUDY,),
        learned_scales=Start(2.0, 3.0),
    ),
)
