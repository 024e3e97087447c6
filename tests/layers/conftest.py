"""What the tests of layers share: the ways that large layers take."""

from __future__ import annotations

import pytest

from siconvnet.functional import correlation, costs


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    """The small layers of tests would all be computed plainly, and hold the plain way against itself."""
    monkeypatch.setattr(costs, "is_small", lambda *convolutions: False)
    monkeypatch.setattr(correlation, "all_direct", lambda x, weight, geometry: False)
    monkeypatch.setattr(costs, "gains_by_parts", lambda whole, sides: True)
