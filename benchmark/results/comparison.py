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

Where single runs were not published, their mean, deviation and number are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmark.results.selection import cell_key, cells, of_setting, other_changes
from benchmark.results.statistics import Sample
from benchmark.results.tables import Section, known, spread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from benchmark.studies import Study
    from benchmark.studies.base import PublishedFigure

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


def columns(study: Study) -> list[str]:
    """The columns of a study's comparison."""
    head = ["dataset", *study.section_fields, "section", "model", "source", "lr"]
    return [*head, *Welch.__dataclass_fields__]


def compare(study: Study, runs: DataFrame) -> DataFrame:
    """Every published figure that runs of ours answer: of the same fields and rate, under the study's protocol.

    Args:
        runs: as `benchmark.results.runs.table`.

    Returns:
        The columns of `columns`, sorted by data set, section, model and source; empty where nothing meets.
    """
    import pandas as pd

    ours = {}
    for fields, found in cells(study, of_setting(study, runs)):
        if not other_changes(study, found["changes"].iloc[0]):
            for lr, rows in found.dropna(subset=[study.figure]).groupby("lr"):
                ours[(*cell_key(study, fields), lr)] = Sample.of(rows[study.figure])
    rows = []
    for figure in study.published_figures(study.figure):
        spec = figure.spec
        values = ours.get((*cell_key(study, spec.fields), spec.lr))
        if values is not None:
            head = {name: spec.fields[name] for name in ("dataset", *study.section_fields, "lr")}
            head |= {"section": study.section(spec), "model": study.entry(spec), "source": figure.source}
            rows.append({**head, **asdict(welch(values, _sample(study, figure)))})
    table = pd.DataFrame(rows, columns=columns(study)).astype({"runs_needed": "Int64"})
    return table.sort_values(["dataset", *study.section_fields, "model", "source"], ignore_index=True)


def _sample(study: Study, figure: PublishedFigure) -> Sample:
    # Where the number of runs was not given, it counts as one run for each seed of the protocol.
    runs = figure.runs or len(study.protocol.seeds[figure.spec.dataset])
    return Sample(runs, figure.mean, figure.std)


def unmet(study: Study, runs: DataFrame) -> list[str]:
    """One line for each cell of ours that `compare` leaves out, with the reason."""
    rates = {cell_key(study, f.spec.fields): f.spec.lr for f in study.published_figures(study.figure)}
    lines = []
    for fields, found in cells(study, runs):
        first = found.iloc[0]
        dataset = "" if fields["dataset"] == study.name else fields["dataset"]
        name = ", ".join(filter(None, [first["entry"], dataset, first["section"]]))
        words = [text for field, text in first["changes"] if field != "lr" or not study.selects_lr]
        rate = rates.get(cell_key(study, fields))
        if words:
            lines.append(f"{name}: {'; '.join(words)}")
        elif rate is None:
            lines.append(f"{name}: nothing published")
        elif rate not in set(found["lr"]):
            lines.append(f"{name}: published at learning rate {rate:g}, ours at {_listed(found['lr'])}")
    return sorted(lines)


def section(table: DataFrame) -> Section:
    """A comparison as rows of text, the heading first."""
    heads = ["dataset", "setting", "model", "ours", "source", "published", "difference", "95 % interval", "verdict"]
    lines = []
    for row in table.to_dict("records"):
        needed = f" (about {row['runs_needed']} would do)" if known(row["runs_needed"]) else ""
        verdict = row["verdict"] + needed if known(row["published_std"]) else "published without ±"
        lines.append(
            [
                row["dataset"],
                row["section"],
                row["model"],
                f"{row['ours_mean']:.2f} ({row['ours_n']})",
                row["source"],
                spread(row["published_mean"], row["published_std"], row["published_n"]),
                f"{row['difference']:+.2f}",
                f"{row['low']:+.2f} to {row['high']:+.2f}" if known(row["low"]) else "",
                verdict,
            ]
        )
    # A column that says the same in every row says nothing.
    kept = [place for place, head in enumerate(heads) if head != "source" or len({line[place] for line in lines}) > 1]
    return Section("", [[line[place] for place in kept] for line in [heads, *lines]])


def legend(study: Study, table: DataFrame) -> str:
    """What the numbers of a comparison are, in words."""
    from benchmark.results.metrics import find_figure

    counts = ", ".join(f"{(table['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
    what = f"{find_figure(study.figure).title} in percent, number of {study.repetitions}".capitalize()
    return (
        f"{len(table)} cell{'s' * (len(table) != 1)}: {counts}. {what} in brackets, ± standard deviation. "
        "Of cells that are truly equal one in twenty differs by chance."
    )


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
