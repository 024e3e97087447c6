"""What the tests of fast paths share: one seed, and every way in its turn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from siconvnet import functional
from siconvnet.functional import conv, correlation, costs, spectral

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    """The small tensors of tests would all be computed plainly, and hold the plain way against itself."""
    monkeypatch.setattr(costs, "is_small", lambda *convolutions: False)
    monkeypatch.setattr(correlation, "all_direct", lambda x, weight, geometry: False)
    monkeypatch.setattr(costs, "gains_by_parts", lambda whole, sides: True)


@pytest.fixture(params=["direct", "products", "transforms", "one of each"])
def way(request, monkeypatch):
    """The small tensors of tests would all be convolved directly; here each way is taken in turn: direct convolution,
    and the frequency domain, left by matrix products or by fast transforms, or along each axis by another."""
    fast = {"transforms": lambda outputs, length: True, "one of each": lambda outputs, length: outputs % 2 == 0}
    monkeypatch.setattr(costs, "prefers_spectral", lambda convolution, backward=False: request.param != "direct")
    monkeypatch.setattr(spectral, "is_fast", fast.get(request.param, lambda outputs, length: False))
    functional.clear_caches()
    yield
    functional.clear_caches()


@pytest.fixture
def few_are_few(monkeypatch):
    """On the small maps of tests one place a channel would be too many for the sparse way."""
    monkeypatch.setattr(conv, "_NUMBERS_A_PLACE", 1)
