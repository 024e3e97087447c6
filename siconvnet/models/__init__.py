"""All models by name: those of this package, published for a study and listed in its folder, and those of others.

Listing names, or asking what is known of a model of this package, imports none of them; `create_model` imports the one
that is asked for. Wherever a name is accepted, so is ``package.module:Class``: any `torch.nn.Module` that maps images
to logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.models import mnist_range, mnist_scale, stir, stl10
from siconvnet.models.info import ModelInfo, build_model, check_logits, describe_model
from siconvnet.names import IMAGE_SIZE, INTERPOLATION, INTERPOLATIONS, KERNEL_SIZE
from siconvnet.registry import Registry, load_target
from siconvnet.scale_starts import Start

if TYPE_CHECKING:
    from torch import nn

    Factory = TypeVar("Factory", bound=Callable[..., nn.Module])

__all__ = [
    "IMAGE_SIZE",
    "INTERPOLATIONS",
    "LEARNERS",
    "PUBLISHED",
    "ModelInfo",
    "check_model_arguments",
    "create_model",
    "is_target",
    "list_models",
    "model_info",
    "register_model",
]

PUBLISHED: Mapping[str, ModelInfo] = MappingProxyType(
    {info.name: info for study in (stir, mnist_scale, mnist_range, stl10) for info in study.MODELS}
)
"""The models of this package, by name."""

LEARNERS: Mapping[str, Start] = MappingProxyType(
    {name: info.learned_scales for name, info in PUBLISHED.items() if info.learned_scales}
)
"""Those whose scales are learned, and where these start."""

_registry: Registry[ModelInfo] = Registry("model", PUBLISHED, "siconvnet.models", adapt=describe_model)


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
    """Class decorator that makes a model known by name, for any study. See `ModelInfo` for the arguments.

    Raises:
        InvalidArgument: the name is taken by another factory.
    """

    def register(factory: Factory) -> Factory:
        info = ModelInfo(name, factory, label, family, paper, url, stages, scale_pools)
        _registry.register(name, info)
        return factory

    return register


def list_models(pattern: str = "*", *, study: str | None = None) -> list[str]:
    """Names of all models that match a shell pattern such as ``"*pool"``. Imports none of them.

    Args:
        study: only those that can be trained in this study: published for it, as "stir", "mnist-scale",
            "mnist-range" and "stl10" have some, or of another package, whose models are built for any study.
    """
    names = _registry.names(pattern)
    if study is None:
        return names
    return [name for name in names if name not in PUBLISHED or study in PUBLISHED[name].studies]


def is_target(name: str) -> bool:
    """Whether `name` is meant as ``package.module:Class``; registered names have no colon."""
    return ":" in name


def model_info(name: str) -> ModelInfo:
    """What is known of the model `name`, registered or written as ``package.module:Class`` (see `describe_model`).

    Raises:
        UnknownName: no such model; the message suggests the nearest.
        InvalidArgument: a class that cannot be imported, or is not a model, or a file of that name where one of its
            classes was to be named.
    """
    if not is_target(name):
        try:
            return _registry[name]
        except UnknownName as error:
            module = name.removesuffix(".py")
            if not (module.isidentifier() and Path(f"{module}.py").is_file()):
                raise
            raise InvalidArgument(f"{error} A class in your {module}.py is named as {module}:Class.") from None
    model = load_target(name)
    # A class of ours, or one that its own file registers under another name, is described there.
    for info in _registry.loaded():
        if info.factory in (name, model) and not info.options:
            return replace(info, name=name, factory=model, studies=())
    return describe_model(name, model)


def create_model(
    name: str,
    *,
    num_channels: int,
    num_classes: int,
    kernel_size: int = KERNEL_SIZE,
    interpolation: str = INTERPOLATION,
    image_size: int | None = None,
    **options: object,
) -> nn.Module:
    """Build the model `name`, freshly initialised from torch's global random state.

    It maps images ``[B, num_channels, image_size, image_size]``, in 0..1 or as its study normalises them, to logits
    ``[B, num_classes]``.

    Args:
        name: a registered model, or ``package.module:Class``.
        kernel_size: side of the trained kernels in pixels, odd; a model whose kernels are fixed ignores it.
        interpolation: how kernels are rescaled, where the model does so.
        image_size: side of the images in pixels; if not given, the one that the model is made for, or 64.
        options: passed on to the model, in place of its own.

    Raises:
        UnknownName: no such model, interpolation or option.
        InvalidArgument: a number out of range, a model that cannot take it, or a class that is not such a model.
    """
    info = model_info(name)
    side = info.image_size if image_size is None else image_size
    check_model_arguments(num_channels, num_classes, kernel_size, interpolation, side)
    model = build_model(
        info,
        num_channels=num_channels,
        num_classes=num_classes,
        kernel_size=kernel_size,
        interpolation=interpolation,
        image_size=side,
        **options,
    )
    # The published ones are tested; others may not fit these images.
    if not info.studies:
        check_logits(model, name, num_channels, num_classes, side)
    return model


def check_model_arguments(
    num_channels: int, num_classes: int, kernel_size: int, interpolation: str, image_size: int = IMAGE_SIZE
) -> None:
    """Raise what `create_model` would, without building anything."""
    if num_channels < 1 or num_classes < 2:
        raise InvalidArgument(
            f"{num_channels} channels and {num_classes} classes: at least 1 channel and 2 classes are needed."
        )
    if image_size < 5:
        raise InvalidArgument(f"images of {image_size} pixels are not accepted: at least 5.")
    if kernel_size < 3 or kernel_size % 2 == 0 or 2 * (kernel_size - 1) >= image_size:
        half = (image_size + 1) // 2
        raise InvalidArgument(
            f"kernel size {kernel_size} does not fit: it must be odd, at least 3 and at most {half - 1 + half % 2}, "
            f"so that two unpadded convolutions leave something of a {image_size}x{image_size} image."
        )
    if interpolation not in INTERPOLATIONS:
        raise UnknownName("interpolation", interpolation, INTERPOLATIONS)
