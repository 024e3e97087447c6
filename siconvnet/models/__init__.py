"""The methods under comparison, one a file. Each file of a STIR model ends in its registration; the networks of
MNIST-Scale (`mnist_scale`) and STL-10 (`stl10`), which are built for other images, are listed in tables of their own.

Listing names imports none of them; `create_model` and `model_info` import the one that is asked for. Wherever a name
is, ``package.module:Class`` can be: any `torch.nn.Module` that maps images to logits, of anybody's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.models.info import IMAGE_SIZE, ModelInfo, build_model, check_logits, describe_model
from siconvnet.names import INTERPOLATIONS
from siconvnet.registry import Registry, load_target

if TYPE_CHECKING:
    from torch import nn

    Factory = TypeVar("Factory", bound=Callable[..., nn.Module])

__all__ = [
    "IMAGE_SIZE",
    "INTERPOLATIONS",
    "ModelInfo",
    "check_model_arguments",
    "create_model",
    "is_target",
    "list_models",
    "model_info",
    "register_model",
]


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
    "disco": "siconvnet.models.disco",
    "sesn": "siconvnet.models.sesn",
    "ses_learned": "siconvnet.models.ses_learned",
    "sacnn_s_mp": "siconvnet.models.sacnn",
    "sacnn_s_at": "siconvnet.models.sacnn",
    "sacnn_m_mp": "siconvnet.models.sacnn",
    "sacnn_m_at": "siconvnet.models.sacnn",
}

_registry: Registry[ModelInfo] = Registry("model", _BUILTIN, "siconvnet.models", adapt=describe_model)


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


def is_target(name: str) -> bool:
    """Whether `name` is meant as ``package.module:Class``; registered names have no colon."""
    return ":" in name


def model_info(name: str) -> ModelInfo:
    """What is known of the method `name`, registered or written as ``package.module:Class`` (see `describe_model`).

    Raises:
        UnknownName: no such method; the message suggests the nearest.
        InvalidArgument: a class that cannot be imported, or is no model, or a file of that name where one of its
            classes was to be named.
    """
    if not is_target(name):
        try:
            return _registry[name]
        except UnknownName as error:
            if elsewhere := _of_another_study(name):
                raise InvalidArgument(f"{name!r} is {elsewhere}") from None
            module = name.removesuffix(".py")
            if not (module.isidentifier() and Path(f"{module}.py").is_file()):
                raise
            raise InvalidArgument(f"{error} A class in your {module}.py is named as {module}:Class.") from None
    model = load_target(name)
    # Its own file may have registered it under a name that nobody but who imports the file can know.
    registered = next((info for info in _registry.loaded() if info.factory is model), None)
    return describe_model(name, registered or model)


def _of_another_study(name: str) -> str:
    """Which network of another benchmark has this name, and what makes it; empty if none."""
    from siconvnet.models import mnist_scale, stl10

    if name in mnist_scale.VARIANTS:
        return f"a network of MNIST-Scale: siconvnet.models.mnist_scale.create_mnist_scale_model({name!r}) makes it."
    if name in stl10.VARIANTS:
        return f"a network of STL-10: siconvnet.models.stl10.create_stl10_model({name!r}) makes it."
    return "a network of MNIST-range: siconvnet.models.scale_probe.ScaleProbe." if name == "scale_probe" else ""


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
        name: a registered method, or ``package.module:Class``.
        kernel_size: side of the trained kernels in pixels; odd.
        interpolation: how kernels are rescaled, where the method does so.
        options: passed on to the method.

    Raises:
        UnknownName: no such method or interpolation.
        InvalidArgument: a number out of range, a method that cannot take it, or a class that is no such model.
    """
    info = model_info(name)
    check_model_arguments(num_channels, num_classes, kernel_size, interpolation)
    model = build_model(
        info,
        num_channels=num_channels,
        num_classes=num_classes,
        kernel_size=kernel_size,
        interpolation=interpolation,
        **options,
    )
    if is_target(name):
        check_logits(model, name, num_channels, num_classes)
    return model


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
