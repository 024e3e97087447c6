#!/usr/bin/env python
"""Measure how long tables take of a store with 10,000 finished and evaluated runs; a few minutes on two cores.

    python scripts/measure_tables.py --out results/measured/tables-amd-epyc-2-threads.csv

Each figure stands beside its limit. Exit code 1 if one of them is not kept.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filled_store import fill
from measure_sweep import Figure, command, report

from benchmark.store import Store
from benchmark.store.evaluations import BY_SCALE
from benchmark.studies.stir import STIR
from benchmark.sweeps.grid import expand
from benchmark.sweeps.suites import make_grid
from siconvnet import list_models

REPEATS = 3
GRID = {"models": ",".join(list_models()[:10]), "datasets": "emoji", "evaluations": "1-4", "seeds": "1-250"}


def measure(folder: Path) -> Iterator[Figure]:
    """All figures."""
    database, specs = folder / "mlflow.db", expand(make_grid(GRID))
    fill(database, specs)
    runs = f"{len(specs):,} runs"
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = Store(str(database), create=False).read([STIR], histories=[BY_SCALE])
        seconds.append(time.perf_counter() - start)
        assert len(found) == len(specs)
    yield Figure(f"Store.read of {runs} with their accuracies by scale", statistics.median(seconds), 2.0, "s")
    where = ("--tracking-uri", str(database))
    grid = [word for name, value in GRID.items() for word in (f"--{name}", value)]
    for words, limit in (
        (("status", *grid, "--work-dir", str(folder)), 1.0),
        (("leaderboard", "--dataset", "emoji"), 3.0),
        (("compare", "--dataset", "emoji"), 3.0),
        (("export",), 3.0),
    ):
        taken = statistics.median(command(*words, *where) for _ in range(REPEATS))
        yield Figure(f"benchmark {words[0]} of {runs}, the whole command", taken, limit, "s")


if __name__ == "__main__":
    sys.exit(report(measure, __doc__))
