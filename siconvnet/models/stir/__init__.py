"""The networks for STIR, one a file: two convolutions with 16 and 32 channels, global maximum, a linear layer."""

from __future__ import annotations

from typing import Any

from siconvnet.models import papers
from siconvnet.models.info import ModelInfo
from siconvnet.models.papers import Paper
from siconvnet.scale_starts import Start

STUDY = "stir"
_STAGES: dict[str, Any] = {"stages": ("act1", "act2")}
_POOLS: dict[str, Any] = {**_STAGES, "scale_pools": ("conv1", "conv2")}


def _model(name: str, factory: str, label: str, family: str, paper: Paper, **known: Any) -> ModelInfo:
    return ModelInfo(name, f"{__name__}.{factory}", label, family, *paper, studies=(STUDY,), **known)


def _scale_pool(pool: str) -> ModelInfo:
    label = f"{pool.capitalize()} pool"
    options = {"pool": pool}
    return _model(
        f"{pool}_pool", "scale_pool:ScalePoolNet", label, "rescaled kernels", papers.ALTSTIDL, options=options, **_POOLS
    )


def _sacnn(kind: str, short: str, **options: Any) -> ModelInfo:
    name, label = f"sacnn_{kind}_{short}", f"SACNN-{kind.upper()}-{short.upper()}"
    return _model(name, "sacnn:Sacnn", label, "rescaled kernels", papers.AFTER_ALTSTIDL, options=options, **_POOLS)


def _gaussian_derivatives(name: str, label: str, paper: Paper, *, pool: str) -> ModelInfo:
    known = {"stages": ("act1", "act2", "act3"), "scale_pools": ("scale_pool",) if pool == "max" else ()}
    factory = "gaussian_derivatives:GaussianDerivativeNet"
    return _model(name, factory, label, "scale channels", paper, options={"pool": pool}, **known)


def _foveated(name: str, label: str, *, pool: str) -> ModelInfo:
    return _model(name, "foveated:FoveatedNet", label, "scale channels", papers.JANSSON, options={"pool": pool})


MODELS = (
    _model("standard", "standard:Standard", "Standard", "baseline", papers.ALTSTIDL, **_STAGES),
    _scale_pool("pixel"),
    _scale_pool("slice"),
    _scale_pool("energy"),
    _model("conv3d", "conv3d:Conv3dNet", "Conv3d", "rescaled kernels", papers.ALTSTIDL),
    _model("ensemble", "ensemble:Ensemble", "Ensemble", "baseline", papers.ALTSTIDL),
    _model("spatial_transform", "spatial_transform:SpatialTransform", "Spatial transf.", "baseline", papers.JADERBERG),
    _model("xu", "xu:Xu", "Xu", "rescaled kernels", papers.XU),
    _model("kanazawa", "kanazawa:Kanazawa", "Kanazawa", "rescaled inputs", papers.KANAZAWA, **_STAGES),
    _model("hermite", "hermite:Hermite", "Hermite", "steerable", papers.SESN, **_STAGES),
    _model("disco", "disco:Disco", "DISCO", "steerable", papers.DISCO, **_STAGES),
    _model("sesn", "sesn:SESN", "SESN", "steerable", papers.SESN, scale_pools=("project1", "project2"), **_STAGES),
    _model(
        "ses_learned",
        "ses_learned:SESLearned",
        "SESN learned",
        "steerable",
        papers.BASTING,
        learned_scales=Start(1.5, 2.0, side=64),
        **_STAGES,
    ),
    _sacnn("s", "mp", num_bases=1, select="max"),
    _sacnn("s", "at", num_bases=1, select="attention"),
    _sacnn("m", "mp", num_bases=2, select="max"),
    _sacnn("m", "at", num_bases=2, select="attention"),
    _gaussian_derivatives("gauss_der", "Gauss. deriv.", papers.LINDEBERG, pool="max"),
    _gaussian_derivatives("gauss_der_avg", "Gauss. deriv. avg", papers.PERZANOWSKI, pool="mean"),
    _model("log_polar", "log_polar:LogPolarNet", "Log-polar", "rescaled inputs", papers.ESTEVES),
    _foveated("fov_max", "Foveated max", pool="max"),
    _foveated("fov_avg", "Foveated avg", pool="mean"),
)
"""In the order of tables."""
