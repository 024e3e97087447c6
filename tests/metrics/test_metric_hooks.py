"""Hooks come off again, and what cannot be captured is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from siconvnet.errors import UnknownName
from siconvnet.metrics import NotMeasurable
from siconvnet.metrics.hooks import captured


class Pair(nn.Module):
    def forward(self, x):
        return x, x


class Keyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x):
        return self.inner(input=x)


def test_an_unknown_name_leaves_no_hook():
    model = nn.Sequential(nn.Identity())
    with pytest.raises(UnknownName, match="unknown submodule 'nothing'"), captured(model, ["0", "nothing"]):
        pass
    assert not model[0]._forward_hooks


def test_what_is_no_tensor_is_not_measurable():
    model = nn.Sequential(Pair())
    gives = pytest.raises(NotMeasurable, match="submodule '0' gives an object of tuple, not a tensor")
    with gives, captured(model, ["0"]):
        model(torch.zeros(1))
    assert not model[0]._forward_hooks
    model = Keyword()
    called = pytest.raises(NotMeasurable, match="submodule 'inner' is called with an object of NoneType")
    with called, captured(model, ["inner"], inputs=True):
        model(torch.zeros(1))
