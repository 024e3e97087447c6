"""Whatever evaluates a model leaves each of its modules in the mode it was in."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from siconvnet import testing
from siconvnet.evaluation_mode import as_input, evaluation_mode
from siconvnet.metrics.equivariance import equivariance_errors
from siconvnet.metrics.generalization import predict
from siconvnet.metrics.indices import scale_indices
from siconvnet.models.info import check_logits


class Pool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def scale_indices(self, x: torch.Tensor) -> torch.Tensor:
        return x.long()


class PartlyFrozen(nn.Module):
    """In training, but for its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.pool, self.drop = nn.BatchNorm2d(1), Pool(), nn.Dropout(0.5)
        self.norm.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.drop.training
        return self.drop(self.pool(self.norm(x))).mean((2, 3)).repeat(1, 2)


class Images:
    num_classes = num_instances = 1

    def select(self, split: str, scales: list[int]) -> SimpleNamespace:
        return SimpleNamespace(images=IMAGES[:1], positions=np.zeros((1, 2), dtype=np.int64))


IMAGES = np.ones((2, 1, 64, 64), dtype=np.float32)
EVALUATIONS: dict[str, Callable[[nn.Module], object]] = {
    "predict": lambda model: predict(model, IMAGES),
    "scale_indices": lambda model: list(scale_indices(model, IMAGES, ["pool"])),
    "equivariance_errors": lambda model: equivariance_errors(model, Images(), ["norm"]),  # type: ignore[arg-type]
    "equivariance_error": lambda model: testing.equivariance_error(model, factors=(0.5,)),
    "subject_of": testing.subject_of,
    "check_logits": lambda model: check_logits(model, "it", 1, 2, 64),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_each_module_keeps_its_mode(name: str) -> None:
    model = PartlyFrozen()
    EVALUATIONS[name](model)
    assert [module.training for module in model.modules()] == [True, False, True, True]


def test_modes_come_back_after_an_error() -> None:
    model = PartlyFrozen()
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == [True, False, True, True]


def test_images_follow_the_first_parameter() -> None:
    images = torch.zeros(1)
    assert as_input(nn.Linear(1, 1).double(), images).dtype == torch.float64
    assert as_input(nn.ReLU(), images) is images
