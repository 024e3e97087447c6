"""How often a GPU would be waited for: reading a number or a list of places off the device ends all overlap.

Counted on the CPU, by the operations that wait; the number must not grow with the scales.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from comparing import dense, sparse
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from siconvnet import functional
from siconvnet.functional import costs

WAITING = frozenset({"aten::_local_scalar_dense", "aten::nonzero", "aten::_unique2", "aten::bincount"})
UNSEEN = ("tolist", "cpu", "numpy")
"""What also waits, but of which the profiler has no event on the CPU."""


def waits(work: Callable[[], object]) -> int:
    work()  # constants are made once
    calls = []
    with pytest.MonkeyPatch.context() as patch, profile(activities=[ProfilerActivity.CPU]) as watched:
        for name in UNSEEN:
            original = getattr(Tensor, name)
            patch.setattr(Tensor, name, lambda *given, of=original, **named: (calls.append(of), of(*given, **named))[1])
        work()
    return len(calls) + sum(event.name in WAITING for event in watched.events())


def pooled(pool: str, num_scales: int, upstream: Callable[[Tensor], Tensor]) -> Callable[[], object]:
    x, weight = torch.rand(2, 2, 32, 32), torch.randn(4, 2, 3, 3)

    def work() -> object:
        leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        value, _ = functional.scale_conv_pool2d(*leaves, None, num_scales, "bicubic", pool)
        return torch.autograd.grad(value, leaves, upstream(value.detach()))

    return work


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("pool", ["pixel", "slice", "energy"])
def test_scale_convolution_waits_as_often_for_many_scales_as_for_few(pool, upstream):
    few, many = (waits(pooled(pool, number, upstream)) for number in (3, 12))
    assert few == many <= (3 if pool == "energy" else 2)


def test_conv3d_does_not_wait_for_each_scale(monkeypatch):
    monkeypatch.setattr(costs, "prefers_spectral", lambda convolution, backward=False: True)
    weight, bias = torch.randn(3, 2, 3, 3, 3), torch.randn(3)
    for number in (4, 12):
        x = torch.rand(2, 2, number, 12, 12)
        assert waits(lambda x=x: functional.conv3d_max(x, weight, bias)) == 1


def test_waiting_is_noticed():
    x = torch.rand(9)
    assert waits(lambda: (x.sum().item(), (x > 2).nonzero())) == 2
    assert waits(lambda: (x.tolist(), x.sum().tolist(), x.cpu(), x.numpy())) == 4
    assert waits(lambda: (int(x.sum()), float(x.sum()), bool(x.sum()))) == 3
    assert waits(lambda: x.sum()) == 0
