"""Looking at a model without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Inside this context the model is in evaluation mode; after it each module is in its own mode again.

    The modes of submodules may differ from the model's, as where a batch norm is frozen in training.
    """
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def as_input(model: nn.Module, images: Tensor) -> Tensor:
    """The images on the device and in the precision of the model's first parameter; as they are if it has none."""
    like = next((p for p in model.parameters() if p.is_floating_point()), images)
    return images.to(like.device, like.dtype)
