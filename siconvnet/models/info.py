"""What is known of a method, also of one that nobody registered, and how it is built and looked over."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from siconvnet.errors import InvalidArgument, SiconvnetError
from siconvnet.evaluation_mode import evaluation_mode
from siconvnet.registry import reason_of

if TYPE_CHECKING:
    from torch import nn

IMAGE_SIZE = 64
"""Side in pixels of the images that all models are built for."""

_TEXTS = ("label", "family", "paper", "url")
_SUBMODULES = ("stages", "scale_pools")


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a method without building it.

    Attributes:
        name: the name it is registered and asked for by.
        factory: called with those of `num_channels`, `num_classes`, `kernel_size` and `interpolation` that
            its signature names.
        label: its name in figures and tables.
        family: what it has in common with others ("baseline", "rescaled kernels", "steerable", ...).
        paper: short citation.
        url: where the paper is.
        stages: submodules whose output is the feature map after the activation, first stage first; empty
            where there is none in image coordinates. Metrics hook them; of maps with a scale axis
            ``[B, C, S, H, W]`` the equivariance error is that of their maximum over it.
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

    def takes(self, argument: str) -> bool:
        """Whether the factory can be called with `argument`."""
        return argument in inspect.signature(self.factory).parameters

    @property
    def uses_kernel_size(self) -> bool:
        return self.takes("kernel_size")

    @property
    def uses_interpolation(self) -> bool:
        return self.takes("interpolation")


def describe_model(name: str, model: object) -> ModelInfo:
    """What a class that nobody registered says of itself.

    Class attributes are taken as they are: ``stages`` and ``scale_pools`` (tuples of names of submodules), ``label``,
    ``family``, ``paper`` and ``url`` (text); see `ModelInfo`. None of them is needed.

    Args:
        name: what it is asked for by.
        model: a subclass of `torch.nn.Module`, or a function that returns a module.

    Raises:
        InvalidArgument: it is neither, or an attribute is of another kind.
    """
    from torch import nn

    if isinstance(model, ModelInfo):
        return replace(model, name=name)
    if isinstance(model, type) and not issubclass(model, nn.Module):
        raise InvalidArgument(f"{name!r} is no model: the class {model.__name__} is no subclass of torch.nn.Module.")
    if isinstance(model, nn.Module) or not callable(model):
        raise InvalidArgument(
            f"{name!r} is no model but an object of {type(model).__name__}; name a subclass of torch.nn.Module, "
            "or a function that returns a module."
        )
    said: dict[str, Any] = {"label": getattr(model, "__name__", name), "family": "own", "paper": "", "url": ""}
    said |= {key: getattr(model, key) for key in (*_TEXTS, *_SUBMODULES) if hasattr(model, key)}
    for key in _TEXTS:
        if not isinstance(said[key], str):
            raise InvalidArgument(f"{key!r} of {name!r} is {said[key]!r}: it must be text.")
    for key in _SUBMODULES:
        value = said.setdefault(key, ())
        if not (isinstance(value, (tuple, list)) and all(isinstance(part, str) for part in value)):
            raise InvalidArgument(
                f"{key!r} of {name!r} is {value!r}: it must be a tuple of names of submodules, as in ('act1', 'act2')."
            )
        said[key] = tuple(value)
    return ModelInfo(name, model, **said)


def build_model(info: ModelInfo, **arguments: Any) -> nn.Module:
    """Call a method's factory.

    Args:
        arguments: those of `num_channels`, `num_classes`, `kernel_size` and `interpolation` that the factory does not
            name are left out; all others are passed on.

    Raises:
        InvalidArgument: the factory fails, or returns no module.
    """
    from torch import nn

    shared = ("num_channels", "num_classes", "kernel_size", "interpolation")
    given = {key: value for key, value in arguments.items() if key not in shared or info.takes(key)}
    try:
        model = info.factory(**given)
    except SiconvnetError:
        raise
    except Exception as error:
        call = ", ".join(f"{key}={value!r}" for key, value in given.items())
        raise InvalidArgument(f"{info.name}({call}) cannot be built: {reason_of(error)}") from error
    if not isinstance(model, nn.Module):
        raise InvalidArgument(f"{info.name!r} returns an object of {type(model).__name__}, not a torch.nn.Module.")
    return model


def check_logits(model: nn.Module, name: str, num_channels: int, num_classes: int) -> None:
    """Refuse a module that does not map images to logits, before hours are spent on it.

    Raises:
        InvalidArgument: it fails on two black images, or gives something else than ``[2, num_classes]``.
    """
    import torch

    shape = [2, num_channels, IMAGE_SIZE, IMAGE_SIZE]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluation_mode(model):
            logits = model(torch.zeros(shape))
    except Exception as error:
        raise InvalidArgument(f"{name!r} fails on images {shape}: {reason_of(error)}") from error
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [2, num_classes]:
        raise InvalidArgument(f"{name!r} gives {found} for 2 images of {num_classes} classes, not [2, {num_classes}].")
