"""Layers recorded by `torch.jit.trace`, and transformed by `torch.func`."""

from __future__ import annotations

import pytest
import torch
from layer_cases import CASES, learned
from torch import nn

from siconvnet.functional import clear_caches
from siconvnet.layers import SESConv_Z2_H

# Checks of shapes are Python, and hold for all inputs of the shape that was traced.
pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning"),
]


@pytest.mark.parametrize("name", CASES)
def test_a_traced_layer_takes_other_batches(name):
    build, shape = CASES[name]
    torch.manual_seed(0)
    layer = build()
    clear_caches()
    traced = torch.jit.trace(layer, torch.rand(shape))
    x = torch.rand(3, *shape[1:])
    torch.testing.assert_close(traced(x), layer(x), atol=1e-5, rtol=1e-5)


@pytest.fixture
def layer() -> nn.Module:
    torch.manual_seed(0)
    return SESConv_Z2_H(1, 2, 19, 3, learned(), padding=9).double()


def test_gradients_of_learned_scales_by_torch_func(layer):
    x = torch.rand(2, 1, 9, 9).double()

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(layer, parameters, (x,)).square().sum()

    parameters = dict(layer.named_parameters())
    expected = torch.autograd.grad(loss(parameters), list(parameters.values()))
    found = torch.func.grad(loss)(parameters)
    torch.testing.assert_close([found[name] for name in parameters], list(expected))


def test_learned_scales_may_differ_along_a_batch_of_vmap(layer):
    x = torch.rand(2, 1, 9, 9).double()

    def respond(sigma: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"learned.sigma": sigma}, (x,))

    # Kernels of different sides, one of them larger than the map is wide.
    sigmas = torch.tensor([0.6, 0.9, 1.3]).double()
    torch.testing.assert_close(torch.func.vmap(respond)(sigmas), torch.stack([respond(sigma) for sigma in sigmas]))
