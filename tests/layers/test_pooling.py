"""The global maximum."""

from __future__ import annotations

import torch

from siconvnet.layers import GlobalMaxPool


def test_columns_that_are_apart_in_memory_give_the_same_maximum_and_gradient():
    # Small integers, so that there are ties, within a column and between columns.
    columns = torch.randint(3, (2, 5, 4, 3, 3)).float().requires_grad_()
    apart = columns.transpose(1, 2)
    expected, place = apart.flatten(2).max(2)
    found = GlobalMaxPool()(apart)
    assert torch.equal(found, expected)
    gradient = torch.autograd.grad(found.sum(), columns)[0].transpose(1, 2).flatten(2)
    assert torch.equal(gradient.argmax(2), place) and gradient.sum() == place.numel()
