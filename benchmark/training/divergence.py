"""Training that comes to no finite numbers: how it ends, and how a store tells such an end from an accident."""

from __future__ import annotations

from siconvnet.errors import SiconvnetError

#: How the reason of a run begins that another try would end as this one did.
DIVERGED = "diverged: "


class TrainingError(SiconvnetError):
    """A run that has no result: a loss is no finite number, or its internal scales have run away."""

    def __init__(self, message: str):
        super().__init__(DIVERGED + message)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (str(self).removeprefix(DIVERGED),)


class Diverged(TrainingError):
    """Weights are no finite numbers any more, so that no later epoch can be better than the best one before it."""
