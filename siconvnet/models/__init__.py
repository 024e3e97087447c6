"""The methods under comparison, one a file. Each file ends in its registration.

Listing names imports none of them; `create_model` and `model_info` import the one that is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    Factory = TypeVar("Factory", bound=Callable[..., nn.Module])

__all__ = ["INTERPOLATIONS", "ModelInfo", "create_model", "list_models", "model_info", "register_model"]

IMAGE_SIZE = 64
"""Side in pixels of the images that all models are built for."""

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area")


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a method without building it.

    Attributes:
        name: the name it is registered and asked for by.
        factory: called with those of `num_channels`, `num_classes`, `kernel_size` and `interpolation` that
            it takes.
        label: its name in figures and tables.
        family: what it has in common with others ("baseline", "rescaled kernels", "steerable", ...).
        paper: short citation.
        url: where the paper is.
        stages: submodules whose output is the feature map after the activation, first stage first; empty
            where there is none that is one map in image coordinates. Metrics hook them.
        scale_pools: submodules with a method ``scale_indices(x)`` that, given the submodule's input, returns
            the index of the scale that won the pooling.
    """

    name: str
    factory: Callable[..., nn.Module]
    label: str
    family: str
    paper: str
    url: str
    stages: tuple[str, ...] = ()
    scale_pools: tuple[str, ...] = ()

    def _takes(self, argument: str) -> bool:
        return argument in inspect.signature(self.factory).parameters

    @property
    def uses_kernel_size(self) -> bool:
        return self._takes("kernel_size")

    @property
    def uses_interpolation(self) -> bool:
        return self._takes("interpolation")


_BUILTIN = {
    "standard": "siconvnet.models.standard",
    "pixel_pool": "siconvnet.models.scale_pool",
    "slice_pool": "siconvnet.models.scale_pool",
    "energy_pool": "siconvnet.models.scale_pool",
    "conv3d": "siconvnet.models.conv3d",
    "ensemble": "siconvnet.models.ensemble",
    "spatial_transform": "siconvnet.models.spatial_transform",
    "xu": "siconvnet.models.xu",
    "kanazawa": "siconvnet.models.kanazawa",
    "hermite": "siconvnet.models.hermite",
    "sesn": "siconvnet.models.sesn",
}

_registry: Registry[ModelInfo] = Registry("model", _BUILTIN, entry_points="siconvnet.models")


def register_model(
    name: str,
    *,
    label: str,
    family: str,
    paper: str,
    url: str = "",
    stages: tuple[str, ...] = (),
    scale_pools: tuple[str, ...] = (),
) -> Callable[[Factory], Factory]:
    """Class decorator that makes a method known by name. See `ModelInfo` for the arguments.

    Raises:
        InvalidArgument: the name is taken by another factory.
    """

    def register(factory: Factory) -> Factory:
        info = ModelInfo(name, factory, label, family, paper, url, stages, scale_pools)
        _registry.register(name, info)
        return factory

    return register


def list_models(pattern: str = "*") -> list[str]:
    """Names of all registered methods that match a shell pattern such as ``"*pool"``."""
    return _registry.names(pattern)


def model_info(name: str) -> ModelInfo:
    """What is known of the method `name`.

    Raises:
        UnknownName: no such method; the message suggests the nearest.
    """
    return _registry[name]


def create_model(
    name: str,
    *,
    num_channels: int,
    num_classes: int,
    kernel_size: int = 7,
    interpolation: str = "bicubic",
    **options: object,
) -> nn.Module:
    """Build the method `name`, freshly initialised from torch's global random state.

    The model maps images ``[B, num_channels, 64, 64]`` in 0..1 to logits ``[B, num_classes]``.

    Args:
        kernel_size: side of the trained kernels in pixels; odd.
        interpolation: how kernels are rescaled, where the method does so.
        options: passed on to the method.

    Raises:
        UnknownName: no such method or interpolation.
        InvalidArgument: a number out of range, or a method that cannot take it.
    """
    info = model_info(name)
    check_model_arguments(num_channels, num_classes, kernel_size, interpolation)
    shared = {"kernel_size": kernel_size, "interpolation": interpolation}
    taken = {key: value for key, value in shared.items() if info._takes(key)}
    return info.factory(num_channels=num_channels, num_classes=num_classes, **taken, **options)


def check_model_arguments(num_channels: int, num_classes: int, kernel_size: int, interpolation: str) -> None:
    """Raise what `create_model` would, without building anything."""
    if num_channels < 1 or num_classes < 2:
        raise InvalidArgument(
            f"{num_channels} channels and {num_classes} classes: at least 1 channel and 2 classes are needed."
        )
    if kernel_size < 3 or kernel_size % 2 == 0 or 2 * (kernel_size - 1) >= IMAGE_SIZE:
        raise InvalidArgument(
            f"kernel size {kernel_size} does not fit: it must be odd, at least 3 and at most {IMAGE_SIZE // 2 - 1}, "
            f"so that two unpadded convolutions leave something of a {IMAGE_SIZE}x{IMAGE_SIZE} image."
        )
    if interpolation not in INTERPOLATIONS:
        raise UnknownName("interpolation", interpolation, INTERPOLATIONS)
