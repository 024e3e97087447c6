"""What is known of a model without building it, and how it is built and checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.evaluation_mode import evaluation_mode
from siconvnet.names import IMAGE_SIZE
from siconvnet.registry import load_target, reason_of
from siconvnet.scale_starts import Start

if TYPE_CHECKING:
    from torch import nn

SHARED = ("num_channels", "num_classes", "kernel_size", "interpolation", "image_size")
"""What every model is offered; a factory is called with those that its signature names."""

_TEXTS = ("label", "family", "paper", "url")
_SUBMODULES = ("stages", "scale_pools")


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without building it.

    Attributes:
        name: the name it is registered and asked for by.
        factory: what builds it: a class or function, or its ``package.module:Class``, imported when first needed.
            Called with those of `SHARED` that its signature names, and with `options`.
        label: its name in figures and tables.
        family: what it has in common with others ("baseline", "rescaled kernels", "steerable", ...).
        paper: short citation.
        url: where the paper is.
        stages: submodules whose output is the feature map after the activation, first stage first; empty
            where there is none in image coordinates. Metrics hook them; of maps with a scale axis
            ``[B, C, S, H, W]`` the equivariance error is that of their maximum over it.
        scale_pools: submodules with a method ``scale_indices(x)`` that, given the submodule's input, returns
            the index of the scale that won the pooling.
        studies: the studies it was published for, by name; it is trained in these alone. Empty: in any.
        image_sizes: sides in pixels of the images it can be built for; empty: any.
        options: what the factory is called with besides.
        learned_scales: where its internal scales start, if they are learned; the factory then takes
            `scale_parameterisation`, `learn_sigma`, `sigma` and `isr` as well.
    """

    name: str
    factory: Callable[..., nn.Module] | str
    label: str
    family: str
    paper: str
    url: str
    stages: tuple[str, ...] = ()
    scale_pools: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    image_sizes: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    learned_scales: Start | None = None

    def load(self) -> Callable[..., nn.Module]:
        """The factory, imported if it is given by its target.

        Raises:
            InvalidArgument: it cannot be imported.
        """
        if isinstance(self.factory, str):
            return load_target(self.factory)
        return self.factory

    def takes(self, argument: str) -> bool:
        """Whether the factory can be called with `argument`."""
        return argument in inspect.signature(self.load()).parameters

    @property
    def image_size(self) -> int:
        """The side in pixels of the images it is built for where none is given."""
        return self.image_sizes[0] if self.image_sizes else IMAGE_SIZE

    @property
    def uses_kernel_size(self) -> bool:
        return self.takes("kernel_size")

    @property
    def uses_interpolation(self) -> bool:
        return self.takes("interpolation")


def describe_model(name: str, model: object) -> ModelInfo:
    """Describe a class that is not registered by what it says of itself.

    Class attributes are taken as they are: ``stages`` and ``scale_pools`` (tuples of names of submodules), ``label``,
    ``family``, ``paper`` and ``url`` (text); see `ModelInfo`. All are optional.

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
        raise InvalidArgument(
            f"{name!r} is not a model: the class {model.__name__} is not a subclass of torch.nn.Module."
        )
    if isinstance(model, nn.Module) or not callable(model):
        raise InvalidArgument(
            f"{name!r} is not a model but an object of {type(model).__name__}; name a subclass of torch.nn.Module, "
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
    """Call a model's factory.

    Args:
        arguments: those of `SHARED` that the factory does not name are left out; all others are passed on, and take
            the place of the model's own options.

    Raises:
        UnknownName: the factory takes no such option; the message suggests the nearest.
        InvalidArgument: images of a size that the model is not made for, or the factory fails, or returns no module.
    """
    from torch import nn

    factory = info.load()
    accepted = inspect.signature(factory).parameters
    size = arguments.get("image_size")
    if size is not None and info.image_sizes and size not in info.image_sizes:
        sizes = " or ".join(map(str, info.image_sizes))
        raise InvalidArgument(f"{info.name!r} is made for images of {sizes} pixels, not of {size}.")
    start = info.learned_scales
    own = {**info.options, **({"sigma": start.sigma, "isr": start.isr} if start else {})}
    given = own | {key: value for key, value in arguments.items() if key not in SHARED or key in accepted}
    # What a factory with **options takes is checked where these are used.
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        for option in given:
            if option not in accepted:
                raise UnknownName(f"option of {info.name}", option, accepted)
    try:
        model = factory(**given)
    except SiconvnetError:
        raise
    except Exception as error:
        call = ", ".join(f"{key}={value!r}" for key, value in given.items())
        raise InvalidArgument(f"{info.name}({call}) cannot be built: {reason_of(error)}") from error
    if not isinstance(model, nn.Module):
        raise InvalidArgument(f"{info.name!r} returns an object of {type(model).__name__}, not a torch.nn.Module.")
    return model


def check_logits(model: nn.Module, name: str, num_channels: int, num_classes: int, image_size: int) -> None:
    """Refuse a module that does not map images to logits, before hours are spent on it.

    Raises:
        InvalidArgument: it fails on two black images, or gives something else than ``[2, num_classes]``.
    """
    import torch

    shape = [2, num_channels, image_size, image_size]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluation_mode(model):
            logits = model(torch.zeros(shape))
    except Exception as error:
        raise InvalidArgument(f"{name!r} fails on images {shape}: {reason_of(error)}") from error
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [2, num_classes]:
        raise InvalidArgument(f"{name!r} gives {found} for 2 images of {num_classes} classes, not [2, {num_classes}].")
