"""What is to be checked: a model by its name, target, class, factory, or a built module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument
from siconvnet.evaluation_mode import evaluation_mode
from siconvnet.models import model_info
from siconvnet.models.info import ModelInfo, build_model, describe_model
from siconvnet.names import IMAGE_SIZE, INTERPOLATION, KERNEL_SIZE
from siconvnet.registry import reason_of

SETTINGS = {"gray": (1, 10), "colour": (3, 4)}
"""Name -> channels and classes that a model is built for. They differ in both, so that neither can be built in."""


@dataclass(frozen=True)
class Subject:
    """A model to be checked.

    Attributes:
        name: what it is called in messages.
        build: gives a fresh module for ``(num_channels, num_classes)``, drawn from torch's global random state.
        stages, scale_pools: submodules that it declares; see `siconvnet.ModelInfo`.
        settings: those of `SETTINGS` that it can be built for.
        fixed: it is one built module, so that there is only one initialisation to look at.
        untold: those of `num_channels` and `num_classes` that it is not built with, as its signature lacks them.
        image_size: side in pixels of the images that it is checked with.
    """

    name: str
    build: Callable[[int, int], nn.Module]
    stages: tuple[str, ...] = ()
    scale_pools: tuple[str, ...] = ()
    settings: Mapping[str, tuple[int, int]] = field(default_factory=lambda: SETTINGS)
    fixed: bool = False
    untold: tuple[str, ...] = ()
    image_size: int = IMAGE_SIZE

    def module(self, seed: int = 0, setting: str = "") -> nn.Module:
        """A fresh module in evaluation mode."""
        torch.manual_seed(seed)
        return self.build(*self._numbers(setting)).eval()

    def images(self, count: int = 2, setting: str = "") -> Tensor:
        """Noise in 0..1, the same at each call: ``[count, C, H, H]``."""
        generator = torch.Generator().manual_seed(1)
        shape = count, self._numbers(setting)[0], self.image_size, self.image_size
        return torch.rand(shape, generator=generator, dtype=torch.float32)

    @property
    def num_classes(self) -> int:
        return self._numbers("")[1]

    def _numbers(self, setting: str) -> tuple[int, int]:
        return self.settings[setting or next(iter(self.settings))]


def subject_of(
    model: str | ModelInfo | nn.Module | Callable[..., nn.Module],
    *,
    stages: Iterable[str] | None = None,
    scale_pools: Iterable[str] | None = None,
    image_size: int | None = None,
    **arguments: Any,
) -> Subject:
    """What is to be checked, from a name, ``package.module:Class``, a class or function, or a built module.

    Args:
        stages, scale_pools: instead of those that the model declares.
        image_size: side in pixels of the images to check with; if not given, the one that the model is made for, or 64.
        arguments: `kernel_size`, `interpolation` and what else the factory is called with.

    Raises:
        UnknownName: no such method.
        InvalidArgument: no model, or a built module that takes neither gray nor colour images.
    """
    if isinstance(model, nn.Module):
        info, build = describe_model(type(model).__name__, type(model)), lambda *_: copy.deepcopy(model)
        side = image_size or IMAGE_SIZE
        settings: Mapping[str, tuple[int, int]] = _settings_of(model, side)
        untold = []
    else:
        if isinstance(model, str):
            info = model_info(model)
        else:
            info = describe_model(str(getattr(model, "name", getattr(model, "__name__", "the model"))), model)
        side = image_size or info.image_size
        defaults = {"kernel_size": KERNEL_SIZE, "interpolation": INTERPOLATION, "image_size": side, **arguments}
        settings = SETTINGS
        untold = [key for key in ("num_channels", "num_classes") if not info.takes(key)]

        def build(num_channels: int, num_classes: int) -> nn.Module:
            return build_model(info, num_channels=num_channels, num_classes=num_classes, **defaults)

    declared = {"stages": info.stages, "scale_pools": info.scale_pools}
    given = {"stages": stages, "scale_pools": scale_pools}
    names = {key: declared[key] if value is None else as_tuple(value) for key, value in given.items()}
    fixed = isinstance(model, nn.Module)
    return Subject(info.name, build, names["stages"], names["scale_pools"], settings, fixed, tuple(untold), side)


def as_tuple(names: Iterable[str]) -> tuple[str, ...]:
    """A single name is one, and not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def _settings_of(module: nn.Module, side: int) -> dict[str, tuple[int, int]]:
    reason = ""
    for setting, (num_channels, _) in SETTINGS.items():
        try:
            with torch.no_grad(), evaluation_mode(module):
                logits = module(torch.zeros(2, num_channels, side, side))
            return {setting: (num_channels, logits.shape[-1])}
        except Exception as error:
            reason = reason or reason_of(error)
    raise InvalidArgument(f"{type(module).__name__} takes neither gray nor colour images of {side} pixels: {reason}")
