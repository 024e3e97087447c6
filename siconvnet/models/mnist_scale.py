"""The networks that SESN and DISCO were compared with each other by on MNIST-Scale, by name.

All share one plan, from Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1:
three convolutional blocks of about 32, 63 and 95 channels with effective size 7, then a classifier of 256 hidden units.
They map images [B, 1, 28, 28], normalised as `siconvnet.datasets.mnist_scale` does, to logits [B, 10]. A name ends in
28, or in 56 where the network first doubles the image; "p" marks the scales chosen for training with random rescaling
(the papers' "+"). Listing names imports nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from siconvnet.errors import UnknownName
from siconvnet.registry import load_target

if TYPE_CHECKING:
    from torch import nn

CHANNELS = (32, 63, 95)
EFFECTIVE_SIZE = 7


@dataclass(frozen=True)
class Variant:
    """One network.

    Attributes:
        target: ``module:class`` that builds it.
        label: its name in tables.
        options: what the class is called with.
    """

    target: str
    label: str
    options: dict[str, Any] = field(default_factory=dict)


def geometric(count: int, factor: float, smallest: float) -> tuple[float, ...]:
    """`count` scales from `smallest` to `factor` times that, evenly spaced in their logarithm, to two decimals."""
    return tuple(round(smallest * factor ** (i / (count - 1)), 2) for i in range(count))


def _both_sizes(
    name: str, target: str, label: str, sizes: dict[int, dict[str, Any]] | None = None
) -> dict[str, Variant]:
    return {
        f"{name}_{side}": Variant(target, label, {"upsample": side == 56, **(sizes or {}).get(side, {})})
        for side in (28, 56)
    }


def _ses(kind: str, upsample: bool, size: int, scales: tuple[float, ...], mult: float) -> Variant:
    options = {"upsample": upsample, "size": size, "scales": scales, "mult": mult, "max_order": 4}
    target = "SesScalar" if kind == "scalar" else "SesVector"
    return Variant(f"siconvnet.models.mnist_ses:{target}", f"SESN {kind}", {"basis_type": "hermite_b", **options})


def _basis(basis_type: str, label: str, smallest: float, **options: float) -> Variant:
    shape = {"upsample": True, "size": 15, "scales": geometric(4, 2.0, smallest)}
    return Variant("siconvnet.models.mnist_ses:SesVector", label, {**shape, "basis_type": basis_type, **options})


def _disco(mult: float) -> Variant:
    options = {"upsample": True, "size": 15, "scales": geometric(4, 2.0, 1.0), "basis_type": "disco_b"}
    mixture = {"mult": mult, "max_order": 4, "min_scale": 1.9}
    return Variant("siconvnet.models.mnist_ses:DiscoVector", "DISCO", options | mixture)


def _learned(upsample: bool, num_scales: int, isr: float, mult: float) -> Variant:
    options = {"upsample": upsample, "num_scales": num_scales, "sigma": 1.5, "isr": isr, "mult": mult}
    return Variant("siconvnet.models.mnist_ses:SesLearned", "SESN learned", options)


VARIANTS: dict[str, Variant] = {
    **_both_sizes("cnn", "siconvnet.models.mnist_cnn:Cnn", "CNN"),
    **_both_sizes("kanazawa", "siconvnet.models.mnist_kanazawa:Kanazawa", "SI-ConvNet"),
    **_both_sizes("xu", "siconvnet.models.mnist_xu:Xu", "SiCNN"),
    **_both_sizes(
        "ss",
        "siconvnet.models.mnist_ss:ScaleSteerable",
        "SS-CNN",
        {28: {"sizes": (5, 7, 9, 11, 13)}, 56: {"sizes": (7, 9, 11, 13, 15, 17)}},
    ),
    **_both_sizes("sevf_scalar", "siconvnet.models.mnist_sevf:SevfScalar", "SEVF scalar"),
    **_both_sizes("sevf_vector", "siconvnet.models.mnist_sevf:SevfVector", "SEVF vector"),
    **_both_sizes("dss_scalar", "siconvnet.models.mnist_dss:DssScalar", "DSS scalar"),
    **_both_sizes("dss_vector", "siconvnet.models.mnist_dss:DssVector", "DSS vector"),
    "ses_scalar_28": _ses("scalar", False, 15, geometric(4, 3.0, 1.7), 1.5),
    "ses_scalar_28p": _ses("scalar", False, 13, geometric(4, 3.0, 1.5), 1.4),
    "ses_scalar_56": _ses("scalar", True, 15, geometric(3, 2.0, 2.0), 1.4),
    "ses_scalar_56p": _ses("scalar", True, 17, geometric(3, 3.0, 1.0), 1.4),
    "ses_vector_28": _ses("vector", False, 13, geometric(3, 3.0, 1.5), 1.5),
    "ses_vector_28p": _ses("vector", False, 15, geometric(3, 3.0, 1.5), 1.4),
    "ses_vector_56": _ses("vector", True, 15, geometric(4, 2.0, 2.0), 1.5),
    "ses_vector_56p": _ses("vector", True, 13, geometric(4, 2.0, 1.5), 1.4),
    "hermite_56": _basis("hermite_b", "Hermite", 1.5, mult=1.4, max_order=4),
    "hermite_56p": _basis("hermite_b", "Hermite", 1.7, mult=1.5, max_order=4),
    "lr_harmonics_56": _basis("lr_harmonics", "LR harmonics", 0.1, max_order=3, num_rotations=11, sigma=0.2),
    "lr_harmonics_56p": _basis("lr_harmonics", "LR harmonics", 0.5, max_order=3, num_rotations=10, sigma=0.3),
    "bspline_56": _basis("bspline", "B-spline", 0.6, mult=2.0, max_order=2),
    "bspline_56p": _basis("bspline", "B-spline", 0.6, mult=3.0, max_order=1),
    "fourier_bessel_56": _basis("fourier_bessel", "Fourier-Bessel", 0.88),
    "fourier_bessel_56p": _basis("fourier_bessel", "Fourier-Bessel", 0.6),
    "disco_56": _disco(1.5),
    "disco_56p": _disco(1.9),
    "ses_learned_28": _learned(False, 3, 3.0, 1.5),
    "ses_learned_56": _learned(True, 4, 2.0, 1.4),
}
"""Name -> network: SESN's comparison, then DISCO's of the bases, then learned scales."""


def list_mnist_scale_models(pattern: str = "*") -> list[str]:
    """The names that match a shell pattern such as ``"ses_*"``."""
    return [name for name in VARIANTS if fnmatchcase(name, pattern)]


def create_mnist_scale_model(name: str, **options: Any) -> nn.Module:
    """Build the network `name`, freshly initialised from torch's global random state.

    Args:
        options: of a network whose scales are learned: `scale_parameterisation`, `learn_sigma`, `sigma`, `isr`.

    Raises:
        UnknownName: no such network or option; the message suggests the nearest.
        InvalidArgument: scales that cannot be.
    """
    if name not in VARIANTS:
        raise UnknownName("MNIST-Scale model", name, VARIANTS)
    return build_variant(name, VARIANTS[name], options)


def build_variant(name: str, variant: Variant, changes: Mapping[str, Any]) -> nn.Module:
    """Build the network `name`, with `changes` to its options.

    Raises:
        UnknownName: it has no such option.
    """
    build = load_target(variant.target)
    accepted = inspect.signature(build).parameters
    # What a basis takes besides is checked where the basis is made.
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        for option in changes:
            if option not in accepted:
                raise UnknownName(f"option of {name}", option, accepted)
    return build(**{**variant.options, **changes})  # type: ignore[return-value]
