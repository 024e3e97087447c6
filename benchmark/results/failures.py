"""Runs of STIR that were started and did not finish: why, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.store.entries import model_of
from benchmark.studies import STIR

if TYPE_CHECKING:
    from benchmark.results.leaderboard import Cell
    from benchmark.store import Store


def failures(store: Store) -> dict[Cell, str]:
    """Cells in which a run was started and did not finish -> the latest one's reason."""
    reasons: dict[Cell, str] = {}
    for run in store.runs_of(STIR, "!= 'FINISHED'"):
        if {"data", "evaluation", "model"} <= set(run.data.params):
            status = run.info.status.lower()
            reasons.setdefault(_cell(run.data.params), f"{status}: {run.data.tags.get('reason', 'no reason given')}")
    return reasons


def count_failed(store: Store, kernel_size: int, interpolation: str) -> Counter[tuple[Cell, float]]:
    """How many runs of each cell and learning rate failed and have not finished since, of those that a leaderboard
    would count: of one setting, and not shortened."""
    failed = {run.data.tags.get("spec_hash"): run.data for run in store.runs_of(STIR, "= 'FAILED'")}
    if failed:
        for run in store.runs_of(STIR):
            failed.pop(run.data.tags.get("spec_hash"), None)
    setting = {"kernel_size": str(kernel_size), "interpolation": interpolation}
    return Counter(
        (_cell(data.params), float(data.params["lr"]))
        for data in failed.values()
        if setting.items() <= data.params.items() and data.tags.get("protocol") != "shortened"
    )


def _cell(params: Mapping[str, str]) -> Cell:
    return params["data"], int(params["evaluation"]), model_of(params)
