"""A seed gives the initial weights of the original implementation, bit for bit.

The parameters in `tests/golden` are the original's after ``torch.manual_seed(7)``. Those that start at a constant, and
the bias of most classifiers, were replaced by noise before the golden values were computed, so that they count.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_golden import GOLDEN, MODELS, ours

import siconvnet

SEED = 7
STARTS_CONSTANT = {
    "disco": {"conv1.bias", "conv2.bias"},
    "hermite": {"conv1.bias", "conv2.bias"},
    "spatial_transform": {"theta.weight", "theta.bias"},
}
CLASSIFIER_KEPT = {"ensemble", "spatial_transform"}


def differing(name: str, seed: int) -> set[str]:
    """The parameters whose initial values differ from the original's, in one bit or more."""
    torch.manual_seed(seed)
    model = siconvnet.create_model(name, num_channels=1, num_classes=36)
    found = {key: value.detach().numpy() for key, value in model.named_parameters()}
    golden = np.load(GOLDEN / f"{name}.npz")
    expected = {ours(name, key.removeprefix("param_")): golden[key] for key in golden if key.startswith("param_")}
    assert found.keys() == expected.keys()
    return {key for key, value in found.items() if value.tobytes() != expected[key].tobytes()}


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_gives_the_originals_weights(name: str) -> None:
    replaced = STARTS_CONSTANT.get(name, set()) | (set() if name in CLASSIFIER_KEPT else {"lin.bias"})
    assert differing(name, SEED) == replaced


@pytest.mark.parametrize("name", MODELS)
def test_another_seed_does_not(name: str) -> None:
    assert "conv1.weight" in differing(name, SEED + 1)
