#!/usr/bin/env python
"""Measure what a sweep costs beside training, on an otherwise idle machine; a few minutes on two cores.

    python scripts/measure_sweep.py --out results/measured/sweep-amd-epyc-2-threads.csv

Each figure stands beside its limit. Exit code 1 if one of them is not kept.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from filled_store import fill

from benchmark.store import Store
from benchmark.store.run_states import read_states
from benchmark.sweeps.grid import expand
from benchmark.sweeps.suites import make_grid
from benchmark.system.environment import cpu_name, git_state, versions
from benchmark.system.files import write_text

BENCHMARK = (sys.executable, "-c", "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))")
GRID = ("--models", "standard", "--datasets", "emoji", "--evaluations", "2", "--threads", "1")
#: Runs of the shorter and of the longer of two sweeps: their difference is free of the start of the processes.
FEW, MANY = 2, 10
#: How often the throughputs are compared, in turn, since other work on the machine moves each of them.
PAIRS = 3


class Figure(NamedTuple):
    """`limit` is the most that is allowed, or for a ratio the least."""

    what: str
    measured: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.measured >= self.limit if self.unit == "times" else self.measured <= self.limit


def report(measure: Callable[[Path], Iterator[Figure]], doc: str | None) -> int:
    """Measure, show, write; the exit code."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else "")
    parser.add_argument("--out", type=Path, help="CSV file to write; without it the figures are only shown")
    out: Path | None = parser.parse_args().out
    figures = []
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        for figure in measure(Path(folder)):
            verdict = "" if figure.kept else ", NOT kept"
            print(f"{figure.what}: {figure.measured:.3f} {figure.unit} (limit {figure.limit:g}{verdict})", flush=True)
            figures.append(figure)
    if out:
        write_text(out, table(figures))
    return 0 if all(figure.kept for figure in figures) else 1


def measure(folder: Path) -> Iterator[Figure]:
    """All figures, the quick ones first."""
    for words in ((), ("sweep",)):
        seconds = statistics.median(command(*words, "--help") for _ in range(5))
        yield Figure(" ".join(["benchmark", *words, "--help"]), seconds, 0.3, "s")
    start = time.perf_counter()
    specs = expand(make_grid({"models": "standard", "datasets": "emoji", "evaluations": "1-4", "seeds": "1-2500"}))
    yield Figure(f"expand to {len(specs):,} runs", time.perf_counter() - start, 2.0, "s")
    fill(folder / "ten_thousand.db", specs[:-1])  # of one that is missing the time is to be estimated
    options = ("--models", "standard", "--datasets", "emoji", "--evaluations", "1-4", "--seeds", "1-2500")
    where = ("--tracking-uri", str(folder / "ten_thousand.db"), "--work-dir", str(folder))
    seconds = statistics.median(command("status", *options, *where) for _ in range(3))
    yield Figure(f"benchmark status of {len(specs):,} runs, the whole command", seconds, 2.0, "s")

    few, many = (total - trained for total, trained in (sweep(folder, n, epochs=1, workers=1) for n in (FEW, MANY)))
    yield Figure("overhead of a run of one epoch", (many - few) / (MANY - FEW), 0.5, "s")
    ratios = sorted(throughput(folder, workers=1) / throughput(folder, workers=2) for _ in range(PAIRS))
    what = f"throughput of two workers beside one, one thread each, median of {PAIRS}"
    yield Figure(f"{what} ({ratios[0]:.2f} to {ratios[-1]:.2f})", statistics.median(ratios), 1.7, "times")


def throughput(folder: Path, *, workers: int) -> float:
    """Seconds for so many runs more."""
    (few, _), (many, _) = (sweep(folder, runs, epochs=4, workers=workers) for runs in (FEW, MANY))
    return many - few


def command(*words: str) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*BENCHMARK, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def sweep(folder: Path, runs: int, *, epochs: int, workers: int) -> tuple[float, float]:
    """Seconds of a sweep over so many seeds, and seconds that its runs together say they took."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        uri = str(Path(place) / "mlflow.db")
        Store(uri)
        lengths = ("--epochs", str(epochs), "--patience", str(epochs), "--workers", str(workers))
        where = ("--tracking-uri", uri, "--work-dir", str(Path(place) / "work"))
        seconds = command("sweep", *GRID, *lengths, "--seeds", f"1-{runs}", *where)
        took = [run.run_time or 0.0 for run in read_states(uri)]
    assert len(took) == runs
    return seconds, sum(took)


def table(figures: list[Figure]) -> str:
    """The figures as CSV, each with what it was measured on."""
    found, commit = versions(), (git_state() or {}).get("commit", "")
    machine = [cpu_name(), os.cpu_count(), found["torch"], found["mlflow"], commit]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*Figure._fields, "machine", "processors", "torch", "mlflow", "commit"])
    for figure in figures:
        writer.writerow([figure.what, f"{figure.measured:.3f}", figure.limit, figure.unit, *machine])
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(report(measure, __doc__))
