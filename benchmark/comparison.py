"""Our runs against the published ones, cell by cell, with a verdict that statistics give.

For each (dataset, evaluation, model) the difference of the mean test accuracies, ours less published, with Welch's 95 %
interval (unequal variances, Welch-Satterthwaite degrees of freedom), and from that one interval the verdict:

* ``differs``: the interval excludes zero.
* ``agrees``: the interval holds zero and lies within one published standard deviation to either side. The mean of
ours is
  then shown to be off by less than what one published run is off from another by its seed alone. That a difference
  is not significant is no agreement: with few runs nothing is.
* ``too few runs``: the interval holds zero, but is too wide for that; or there are fewer than two runs on a side.
  `runs_needed` estimates how many of ours would do.

At 95 %, one cell in twenty of a perfect reproduction differs by chance; no correction for many cells is made, so that a
cell's verdict does not depend on what else has been run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.frames import CELL
from benchmark.selection import of_setting

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

CONFIDENCE = 0.95
AGREES, DIFFERS, TOO_FEW = "agrees", "differs", "too few runs"
VERDICTS = (AGREES, DIFFERS, TOO_FEW)
#: Beyond this a cell would need more runs than the paper's largest experiment.
_MOST_RUNS = 1000


@dataclass(frozen=True)
class Welch:
    """The comparison of two samples of accuracies in percent.

    Attributes:
        difference: mean of ours less mean of theirs; `low` and `high` bound its 95 % interval (NaN if not defined).
        margin: the standard deviation of theirs (n - 1).
        verdict: see the module.
        runs_needed: how many runs of ours would narrow the interval to the margin, if the spreads and the
            difference stayed as they are; None where that is reached already or cannot be.
    """

    ours_n: int
    ours_mean: float
    ours_std: float
    published_n: int
    published_mean: float
    published_std: float
    difference: float
    low: float
    high: float
    margin: float
    verdict: str
    runs_needed: int | None


COLUMNS = ("dataset", "evaluation", "model", "lr", *Welch.__dataclass_fields__)


def welch(ours: ArrayLike, published: ArrayLike) -> Welch:
    """Compare two samples of accuracies in percent. See the module for the verdicts."""
    a, b = (np.sort(np.asarray(values, dtype=float)) for values in (ours, published))
    means, spreads = (a.mean(), b.mean()), tuple(float(v.std(ddof=1)) if len(v) > 1 else math.nan for v in (a, b))
    difference, margin = float(means[0] - means[1]), spreads[1]
    half = _half_width(spreads[0], len(a), spreads[1], len(b))
    verdict = _verdict(difference, half, margin)
    return Welch(
        ours_n=len(a),
        ours_mean=float(means[0]),
        ours_std=spreads[0],
        published_n=len(b),
        published_mean=float(means[1]),
        published_std=spreads[1],
        difference=difference,
        low=difference - half,
        high=difference + half,
        margin=margin,
        verdict=verdict,
        runs_needed=_runs_needed(difference, spreads, len(a), len(b)) if verdict == TOO_FEW else None,
    )


def compare(ours: DataFrame, published: DataFrame) -> DataFrame:
    """Every cell that both sides have runs of, at the published learning rate, kernel size 7, bicubic.

    Args:
        ours, published: run frames (`benchmark.frames.RUN_COLUMNS`).

    Returns:
        The columns of `COLUMNS`, sorted by dataset, evaluation and model; empty where nothing meets.
    """
    import pandas as pd

    theirs = published.groupby([*CELL, "lr"])["test_acc"].apply(np.asarray)
    mine = of_setting(ours).groupby([*CELL, "lr"])["test_acc"].apply(np.asarray)
    rows = []
    for key in mine.index.intersection(theirs.index):
        model, dataset, evaluation, lr = key
        cell = {"dataset": dataset, "evaluation": int(evaluation), "model": model, "lr": lr}
        rows.append({**cell, **asdict(welch(mine[key], theirs[key]))})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"runs_needed": "Int64"})
    return table.sort_values(["dataset", "evaluation", "model"], ignore_index=True)


def unmet(ours: DataFrame, published: DataFrame) -> list[str]:
    """One line for each cell of ours that `compare` leaves out, with the reason."""
    rates = published.groupby(list(CELL))["lr"].first()
    usable = of_setting(ours)
    lines = []
    for key, rows in ours.groupby(list(CELL)):
        model, dataset, evaluation = key
        name = f"{model} on {dataset}, evaluation {evaluation}"
        mine = usable[(usable[list(CELL)] == list(key)).all(axis=1)]
        if key not in rates.index:
            lines.append(f"{name}: the paper has no such cell")
        elif mine.empty:
            lines.append(f"{name}: no runs with kernel size 7 and bicubic, only {len(rows)} of other settings")
        elif not (mine["lr"] == rates[key]).any():
            lines.append(f"{name}: published at learning rate {rates[key]:g}, ours at {_listed(mine['lr'])}")
    return lines


def _listed(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in sorted(set(rates)))


def _half_width(std_a: float, n_a: int, std_b: float, n_b: int) -> float:
    """Half of Welch's interval; NaN if a sample is too small for a deviation, 0 if neither sample varies."""
    from scipy import stats

    share_a, share_b = std_a**2 / n_a, std_b**2 / n_b
    error = share_a + share_b
    if not math.isfinite(error):
        return math.nan
    if error == 0:
        return 0.0
    freedom = error**2 / (share_a**2 / (n_a - 1) + share_b**2 / (n_b - 1))
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * math.sqrt(error)


def _verdict(difference: float, half: float, margin: float) -> str:
    if math.isnan(half):
        return TOO_FEW
    if abs(difference) > half:
        return DIFFERS
    return AGREES if abs(difference) + half <= margin else TOO_FEW


def _runs_needed(difference: float, spreads: tuple[float, ...], n_ours: int, n_published: int) -> int | None:
    # One run of ours tells nothing of its spread; the published one is the best guess then.
    own = spreads[0] if math.isfinite(spreads[0]) else spreads[1]
    for n in range(max(n_ours + 1, 2), _MOST_RUNS):
        if _half_width(own, n, spreads[1], n_published) + abs(difference) <= spreads[1]:
            return n
    return None
