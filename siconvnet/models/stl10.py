"""The networks that SESN and DISCO were compared with others by on STL-10, by name.

All are one wide residual network, WRN-16-8, with another convolution in it; Sosnovik, Szmaja, Smeulders,
"Scale-Equivariant Steerable Networks", ICLR 2020, section 6.2, and Sosnovik, Moskalev, Smeulders, "DISCO: accurate
Discrete Scale Convolutions", BMVC 2021. They map images [B, 3, 96, 96], normalised as `siconvnet.datasets.stl10` says,
to logits [B, 10]. Listing names imports nothing.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from siconvnet.errors import UnknownName
from siconvnet.models.mnist_scale import Variant, build_variant

if TYPE_CHECKING:
    from torch import nn

EACH, PROJECTED, NEIGHBOURS = "each", "projected", "neighbours"
"""What the first convolution of a group sees: each scale for itself, the largest response over the scales, or each
scale with the next larger one."""


def _ses(label: str, smallest: float, entries: tuple[str, str, str]) -> Variant:
    scales = tuple(smallest * 1.41**i for i in range(3))
    basis = {"basis_type": "hermite_a", "smallest_scale": smallest}
    return Variant("siconvnet.models.stl_ses:Ses", label, {"size": 7, "scales": scales, "entries": entries, **basis})


VARIANTS: dict[str, Variant] = {
    "wrn_16_8": Variant("siconvnet.models.stl_wrn:Wrn", "WRN"),
    "wrn_16_8_kanazawa": Variant("siconvnet.models.stl_kanazawa:Kanazawa", "SI-ConvNet"),
    "wrn_16_8_xu": Variant("siconvnet.models.stl_xu:Xu", "SiCNN"),
    "wrn_16_8_ss": Variant("siconvnet.models.stl_ss:ScaleSteerable", "SS-CNN"),
    "wrn_16_8_dss": Variant("siconvnet.models.stl_dss:Dss", "DSS"),
    "wrn_16_8_ses_a": _ses("SESN-A", 0.9, (EACH, EACH, EACH)),
    "wrn_16_8_ses_b": _ses("SESN-B", 0.9, (EACH, PROJECTED, PROJECTED)),
    "wrn_16_8_ses_c": _ses("SESN-C", 1.1, (NEIGHBOURS, EACH, EACH)),
    "wrn_16_8_disco": Variant(
        "siconvnet.models.stl_ses:Ses",
        "DISCO",
        {
            "size": 5,
            "scales": (1.0, 1.41, 2.0),
            "entries": (EACH, PROJECTED, PROJECTED),
            "pooled": True,
            "basis_type": "disco_a",
            "min_scale": 0.9,
        },
    ),
}
"""Name -> network."""


def list_stl10_models(pattern: str = "*") -> list[str]:
    """The names that match a shell pattern such as ``"*_ses_*"``."""
    return [name for name in VARIANTS if fnmatchcase(name, pattern)]


def create_stl10_model(name: str, **changes: Any) -> nn.Module:
    """Build the network `name`, freshly initialised from torch's global random state.

    Args:
        changes: options other than the published ones, for example ``widen=1`` for a narrow network.

    Raises:
        UnknownName: no such network or option; the message suggests the nearest.
    """
    if name not in VARIANTS:
        raise UnknownName("STL-10 model", name, VARIANTS)
    return build_variant(name, VARIANTS[name], changes)
