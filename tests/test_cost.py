"""What training a model costs: parameters, seconds and bytes."""

from __future__ import annotations

import torch
from torch import nn

from siconvnet import testing
from siconvnet.cost import TensorBytes


def test_cost_counts_parameters_and_grows_with_the_work() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    small = testing.training_cost(model, 1, 10, batch_size=2, repeats=1)
    large = testing.training_cost(model, 1, 10, batch_size=8, repeats=1)
    assert small.parameters == 4 * 25 + 4 + 4 * 10 + 10
    assert small.seconds > 0
    # Each image keeps at least the 60 x 60 maps of its four channels.
    assert large.peak_bytes - small.peak_bytes >= 6 * 4 * 60 * 60 * 4


def test_bytes_of_tensors_are_those_held_at_once() -> None:
    with TensorBytes() as held:
        one = torch.zeros(1000)
        two = one + 1
        assert held.now == 8000
        del one
        assert held.now == 4000
        two.add_(1)
        view = two.view(10, 100)
        assert held.now == 4000
        three = [view * 2, view * 3]
        del three, two
        assert held.now == 4000
        del view
        assert held.now == 0
    assert held.peak == 12000


def test_bytes_of_tensors_do_not_count_what_was_there() -> None:
    outside = torch.zeros(1000)
    with TensorBytes() as held:
        outside.add_(1)
        outside.view(10, 100)
    assert held.peak == 0
