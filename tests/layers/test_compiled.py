"""Layers under `torch.compile`: the values of eager mode, one graph break a layer at most, and none in plain math."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from layer_cases import CASES
from torch import nn
from torch._dynamo.backends.registry import lookup_backend

from siconvnet import layers
from siconvnet.functional import clear_caches, plain_math

BACKEND = "aot_eager"
"""Traces forward and backward as inductor does, and needs no C++ compiler."""


class CountingBackend:
    """`BACKEND`, counting graphs."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.count += 1
        return lookup_backend(BACKEND)(graph, inputs)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor]:
    """A layer between two operations that belong in graphs, and an input; nothing has been computed before."""
    build, shape = CASES[request.param]
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Dropout(0.0), build(), nn.Tanh())
    torch._dynamo.reset()
    clear_caches()
    return layer, torch.rand(shape)


def results(network: nn.Module, layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of input and parameters."""
    x = x.clone().requires_grad_()
    out = network(x)
    return [out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]


def test_a_compiled_layer_is_one_break_away_from_eager_mode(case):
    layer, x = case
    compiled = torch.compile(layer, backend=(graphs := CountingBackend()))
    found = results(compiled, layer, x)
    assert graphs.count <= 2
    torch.testing.assert_close(found, results(layer, layer, x))


def test_in_plain_math_there_is_one_graph(case):
    layer, x = case
    compiled = torch.compile(layer, backend=BACKEND, fullgraph=True)
    with plain_math():
        found = results(compiled, layer, x)
    torch.testing.assert_close(found, results(layer, layer, x), atol=1e-4, rtol=1e-4)


def test_what_was_compiled_in_plain_math_is_not_used_after_it():
    layer, x = layers.Conv2d(1, 1, 3), torch.rand(1, 1, 5, 5)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=(graphs := CountingBackend()))
    with plain_math():
        compiled(x)
    assert graphs.count == 1
    assert type(compiled(x).grad_fn).__name__ == "_Conv2dBackward"
