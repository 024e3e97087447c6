"""Runs of STIR that were started and did not finish: why, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.store.entries import model_of
from benchmark.store.reading import Fields
from benchmark.studies.stir import STIR

if TYPE_CHECKING:
    from benchmark.results.leaderboard import Cell
    from benchmark.store import Store


def failures(store: Store) -> dict[Cell, str]:
    """Cells in which a run was started and did not finish -> the latest one's reason."""
    reasons: dict[Cell, str] = {}
    for run in store.read([STIR], statuses=["FAILED", "KILLED", "RUNNING"]):
        if {"data", "evaluation", "model"} <= set(run.params):
            status = run.status.lower()
            reasons.setdefault(_cell(run.params), f"{status}: {run.tags.get('reason', 'no reason given')}")
    return reasons


def count_failed(store: Store, kernel_size: int, interpolation: str) -> Counter[tuple[Cell, float]]:
    """How many runs of each cell and learning rate failed and have not finished since, of those that a leaderboard
    would count: of one setting, and not shortened."""
    failed = {run.tags.get("spec_hash"): run for run in store.read([STIR], statuses=["FAILED"])}
    if failed:
        for run in store.read([STIR], statuses=["FINISHED"], fields=Fields((), (), ("spec_hash",))):
            failed.pop(run.tags.get("spec_hash"), None)
    setting = {"kernel_size": str(kernel_size), "interpolation": interpolation}
    return Counter(
        (_cell(run.params), float(run.params["lr"]))
        for run in failed.values()
        if setting.items() <= run.params.items() and run.tags.get("protocol") != "shortened"
    )


def _cell(params: Mapping[str, str]) -> Cell:
    return params["data"], int(params["evaluation"]), model_of(params)
