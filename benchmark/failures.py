"""Why runs that were started did not finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.studies import STIR
from benchmark.tracking.entries import model_of

if TYPE_CHECKING:
    from benchmark.leaderboard import Cell
    from benchmark.tracking import Store


def failures(store: Store) -> dict[Cell, str]:
    """Cells of STIR in which a run was started and did not finish -> the latest one's reason."""
    reasons: dict[Cell, str] = {}
    for run in store.runs_of(STIR, "!= 'FINISHED'"):
        params = run.data.params
        if {"data", "evaluation", "model"} <= set(params):
            cell = (params["data"], int(params["evaluation"]), model_of(params))
            status = run.info.status.lower()
            reasons.setdefault(cell, f"{status}: {run.data.tags.get('reason', 'no reason given')}")
    return reasons
