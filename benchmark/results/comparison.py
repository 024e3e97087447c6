"""Our runs against the published ones, cell by cell, with a verdict that statistics give.

For each (dataset, evaluation, model) the difference of the mean test accuracies, ours less published, with Welch's 95 %
interval (unequal variances, Welch-Satterthwaite degrees of freedom), and from that one interval the verdict:

* ``differs``: the interval excludes zero.
* ``agrees``: the interval holds zero and lies within one published standard deviation to either side. The mean of
  ours is then shown to be off by less than what one published run is off from another by its seed alone. That a
  difference is not significant is no agreement: with few runs nothing is.
* ``too few runs``: the interval holds zero, but is too wide for that; or there are fewer than two runs on a side.
  `runs_needed` estimates how many of ours would do.

At 95 %, one cell in twenty of a perfect reproduction differs by chance; no correction for many cells is made, so that a
cell's verdict does not depend on what else has been run.

Studies that report errors are compared in the same way, by the published means and deviations (`compare_errors`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.results.frames import CELL
from benchmark.results.selection import of_setting

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from benchmark.spec import RunSpec
    from benchmark.studies import Study

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
ERROR_COLUMNS = ("dataset", "section", "model", "source", *Welch.__dataclass_fields__)


@dataclass(frozen=True)
class Sample:
    """Count, mean and standard deviation (n - 1; NaN if not known) of some figures in percent."""

    n: int
    mean: float
    std: float

    @classmethod
    def of(cls, values: ArrayLike) -> Sample:
        ordered = np.sort(np.asarray(values, dtype=float))
        return cls(len(ordered), float(ordered.mean()), float(ordered.std(ddof=1)) if len(ordered) > 1 else math.nan)


def welch(ours: ArrayLike | Sample, published: ArrayLike | Sample) -> Welch:
    """Compare two samples of accuracies or errors in percent. See the module for the verdicts."""
    a, b = (side if isinstance(side, Sample) else Sample.of(side) for side in (ours, published))
    difference = a.mean - b.mean
    half = _half_width(a.std, a.n, b.std, b.n)
    verdict = _verdict(difference, half, b.std)
    return Welch(
        ours_n=a.n,
        ours_mean=a.mean,
        ours_std=a.std,
        published_n=b.n,
        published_mean=b.mean,
        published_std=b.std,
        difference=difference,
        low=difference - half,
        high=difference + half,
        margin=b.std,
        verdict=verdict,
        runs_needed=_runs_needed(difference, (a.std, b.std), a.n, b.n) if verdict == TOO_FEW else None,
    )


def compare_errors(study: Study, runs: DataFrame) -> DataFrame:
    """Every entry of a study that both ours and a source have, as `ERROR_COLUMNS`; the differences are of errors.

    Of the published side only mean, standard deviation and number of runs are known; where that was not given, it
    counts as one run a seed of the protocol.

    Args:
        runs: in the columns of `benchmark.results.runs`. Those that leave the protocol are left out.
    """
    import pandas as pd

    rows = []
    for spec, found in _comparable(study, runs):
        for error in study.published(spec):
            runs = error.runs or len(study.protocol.seeds[spec.dataset])
            theirs = Sample(runs, error.mean, _or_nan(error.std))
            head = {"dataset": spec.dataset, "section": study.section(spec), "model": study.entry(spec)}
            rows.append({**head, "source": error.source, **asdict(welch(found["test_err"], theirs))})
    table = pd.DataFrame(rows, columns=list(ERROR_COLUMNS)).astype({"runs_needed": "Int64"})
    return table.sort_values(["dataset", "section", "model", "source"], ignore_index=True)


def unmet_errors(study: Study, runs: DataFrame) -> list[str]:
    """One line for each entry of ours that `compare_errors` leaves out, with the reason."""
    from benchmark.results.runs import spec_of

    lines = [
        f"{study.entry(spec)}, {study.section(spec)}: nothing published"
        for spec, _ in _comparable(study, runs)
        if not study.published(spec)
    ]
    for row in runs.to_dict("records"):
        if (spec := spec_of(study, row)).deviations:
            lines.append(f"{spec.name}: {'; '.join(spec.deviations)}")
    return lines


def _comparable(study: Study, runs: DataFrame) -> list[tuple[RunSpec, DataFrame]]:
    """For each entry one spec, and its runs under the study's protocol."""
    from benchmark.results.runs import spec_of

    places: dict[tuple[str, str], list[int]] = {}
    specs: dict[tuple[str, str], RunSpec] = {}
    for place, row in enumerate(runs.to_dict("records")):
        spec = spec_of(study, row)
        if not spec.deviations:
            key = (study.section(spec), study.entry(spec))
            specs.setdefault(key, spec)
            places.setdefault(key, []).append(place)
    return [(specs[key], runs.iloc[found]) for key, found in places.items()]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def compare(ours: DataFrame, published: DataFrame) -> DataFrame:
    """Every cell that both sides have runs of, at the published learning rate, kernel size 7, bicubic.

    Args:
        ours, published: run frames (`benchmark.results.frames.RUN_COLUMNS`).

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
