"""Runs of a study to ranked tables: what the repetitions of each method say, and what was published of it.

A table is of one data set and section of the study, a row of runs that are repetitions of each other. A method that was
published and not run here has a row of its own, ranked among ours and marked. Runs that leave the protocol have rows
without a rank: they do not compare. Which runs count is settled before, by `benchmark.results.selection`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.results.metrics import Figure, find_figure
from benchmark.results.selection import cell_key, cells, is_short, of_setting, other_changes
from benchmark.results.statistics import Sample
from benchmark.results.tables import Section, known, number, spread
from benchmark.spec import RunSpec
from benchmark.studies import Study
from benchmark.studies.base import PublishedFigure
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    import pandas as pd

NO_RUN, NOT_PUBLISHED = "no finished run", "not published"
OURS, NOBODY = "ours", ""
_HEAD = ("rank", "model", "n", "mean", "std", "median", "best", "ci_low", "ci_high", "lr", "parameters")
Cell = tuple[Any, ...]


@dataclass(frozen=True)
class Leaderboard:
    """The ranked tables of a study.

    Attributes:
        figure: what they rank by.
        table: dataset, the section's fields, section, rank, model (with what tells its runs from others), source
            ("ours" or who published it), n, mean, std, median, best, ci_low, ci_high, lr, parameters,
            seconds_per_epoch, the metrics beside, mean, std and n of each published source, note, label.
        chance: dataset -> the figure of a guess, in percent, where it is known.
    """

    study: Study
    figure: Figure
    table: pd.DataFrame
    published: tuple[str, ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict)

    def sections(self) -> Iterator[Section]:
        """Each table as rows of text; empty columns are left out."""
        study, head = self.study, ["dataset", *self.study.section_fields]
        for _, rows in self.table.groupby(head, sort=False, dropna=False):
            first = rows.iloc[0]
            place = study.title if first["dataset"] == study.name else first["dataset"]
            title = f"{', '.join(filter(None, [place, first['section']]))}: {self.figure.heading}"
            if first["dataset"] in self.chance:
                title += f", chance {self.chance[first['dataset']]:.2f}"
            lines = self._lines(rows)
            mean = lines[0].index("mean ± std")
            yield Section(title, lines, frozenset((place, mean) for place, line in enumerate(lines) if line[0] == "1"))

    def _lines(self, rows: pd.DataFrame) -> list[list[str]]:
        beside = [name for name in self.study.beside if name != self.figure.name and not self._repeats(rows, name)]
        statistic = self.study.statistic
        heads = ["rank", "model", "n", "mean ± std", "95 %", statistic, "lr", "parameters", "s/epoch"]
        heads += [*(name.removesuffix("_acc") for name in beside), *self.published, "note"]
        lines = [self._line(row, beside) for row in rows.to_dict("records")]
        kept = [place for place in range(len(heads)) if place < 4 or any(line[place] for line in lines)]
        return [[line[place] for place in kept] for line in [heads, *lines]]

    def _repeats(self, rows: pd.DataFrame, name: str) -> bool:
        """Whether a metric only repeats what the table ranks by, as where all test sizes are unseen ones."""
        both = rows[["mean", name]].dropna()
        return len(both) == 0 or bool(np.allclose(both["mean"], both[name], atol=0.02))

    def _line(self, row: Mapping[str, Any], beside: Sequence[str]) -> list[str]:
        interval = f"{number(row['ci_low'])} to {number(row['ci_high'])}" if known(row["ci_low"]) else ""
        theirs = [
            spread(row[f"{slug(source)}_mean"], row[f"{slug(source)}_std"], row[f"{slug(source)}_n"])
            for source in self.published
        ]
        return [
            str(row["rank"]),
            f"{row['model']} ({row['label']})" if known(row["label"]) else row["model"],
            str(row["n"]) if known(row["n"]) else "",
            spread(row["mean"], row["std"]),
            interval,
            number(row[self.study.statistic]) if row["source"] != OURS or row["n"] > 1 else "",
            f"{row['lr']:g}" if self.study.selects_lr and known(row["lr"]) else "",
            f"{int(row['parameters']):,}" if known(row["parameters"]) else "",
            number(row["seconds_per_epoch"]),
            *(number(row[name]) for name in beside),
            *theirs,
            row["note"],
        ]

    def legend(self) -> str:
        """What the numbers are, in words."""
        table, over = self.table, self.study.repetitions
        ran, theirs = (table["source"] == OURS).any(), ~table["source"].isin([OURS, NOBODY])
        words = [f"{self.figure.heading}: mean ± standard deviation (n - 1) over n {over}"]
        words[0] += "." if ran else ", as far as published."
        if table["ci_low"].notna().any():
            words.append("95 %: Student's interval of the mean.")
        if ran and theirs.any():
            words.append("Rows noted as published were not run here and rank by the published mean.")
        if (table["rank"] == "X").any():
            words.append("X: nothing ran, with the reason.")
        if table.loc[table["source"] == OURS, "note"].str.contains("failed").any():
            words.append("failed: runs that the mean leaves out; benchmark status says why.")
        if (table["rank"] == "").any():
            words.append("Rows without a rank leave the protocol, as their note says.")
        for name in self.study.beside:
            if any(name.removesuffix("_acc") in section.rows[0] for section in self.sections()):
                words.append(f"{name.removesuffix('_acc')}: {find_figure(name).title}, where all n were evaluated.")
        if theirs.any() or any(table[f"{slug(source)}_mean"].notna().any() for source in self.published):
            words += [self.study.published_note] if self.study.published_note else []
            if not self.figure.bounded and self.study.published_machine:
                words.append(f"Published times are of {self.study.published_machine}.")
        return " ".join(words)


def slug(source: str) -> str:
    """What the columns of a source begin with."""
    return source.lower().replace(" ", "_").replace(".", "")


@dataclass
class _Row:
    """One row while it is made: the cell's fields, our runs in it, and what was published of it."""

    fields: dict[str, Any]
    section: str
    entry: str
    changes: tuple[str, ...] = ()
    runs: pd.DataFrame | None = None
    theirs: list[PublishedFigure] = field(default_factory=list)
    reason: str = ""


def leaderboard(
    study: Study,
    runs: pd.DataFrame,
    *,
    metric: str | None = None,
    setting: Mapping[str, Any] | None = None,
    unfinished: pd.DataFrame | None = None,
    only: Mapping[str, Collection[Any]] | None = None,
    published_only: bool = False,
    changed_only: bool = False,
    chance: Mapping[str, float] | None = None,
) -> Leaderboard:
    """The tables, sorted by data set, section, rank and model.

    Args:
        runs: those that count (`benchmark.results.selection.selected`), as `benchmark.results.runs.table`.
        metric: a figure that was logged; the study's own by default.
        setting: the values of the fields in `study.selected_at`, where they are not the protocol's.
        unfinished: the runs that did not finish; where a cell has no other, its row says why.
        only: field -> values that were asked for, as for `benchmark.results.sources.matching`; each table has all of
            its models, those without runs with rank X.
        published_only: rank what was published, and no run of ours.
        changed_only: only the runs that leave the protocol in anything but a rate that was chosen.
        chance: see `Leaderboard`.

    Raises:
        UnknownName: there is no such metric.
    """
    import pandas as pd

    figure = find_figure(metric or study.figure, runs.columns)
    theirs = [] if changed_only or _leaves_protocol(study, setting) else study.published_figures(figure.name)
    theirs = [found for found in theirs if _is_asked(study, found.spec, only or {})]
    rows = {} if published_only else _our_rows(study, runs, changed_only=changed_only)
    failed, reasons = _failures(study, unfinished, runs, setting)
    places = {_place(study, row.fields): row.section for row in rows.values()}
    if published_only:
        places = {_place(study, found.spec.fields): study.section(found.spec) for found in theirs}
    for found in theirs:
        _add_published(study, rows, places, found)
    if not changed_only:
        models = (only or {}).get("model", ())
        _add_missing(study, rows, places, reasons, models, NOT_PUBLISHED if published_only else NO_RUN, setting)
    sources = tuple(dict.fromkeys(f.source for f in theirs))
    table = pd.DataFrame([_filled(study, row, figure, failed) for row in rows.values()])
    if published_only and rows:
        table["note"] = table["note"].where(table["source"] == NOBODY, "")
    table = _ranked(study, table, figure)
    columns = ["dataset", *study.section_fields, "section", *_HEAD[:2], "source", *_HEAD[2:], "seconds_per_epoch"]
    columns += [
        *study.beside,
        *(f"{slug(s)}_{part}" for s in sources for part in ("mean", "std", "n")),
        "note",
        "label",
    ]
    counts = ["n", "parameters", *(f"{slug(source)}_n" for source in sources)]
    table = table.reindex(columns=columns).astype(dict.fromkeys(counts, "Int64"))
    return Leaderboard(study, figure, table, () if published_only and len(sources) == 1 else sources, chance or {})


def _is_asked(study: Study, spec: RunSpec[Any], only: Mapping[str, Collection[Any]]) -> bool:
    names = {"model": {spec.model, study.entry(spec)}}
    return all(
        not values or not names.get(name, {spec.fields[name]}).isdisjoint(values) for name, values in only.items()
    )


def _leaves_protocol(study: Study, setting: Mapping[str, Any] | None) -> bool:
    return any(value != getattr(study.protocol, name) for name, value in (setting or {}).items())


def _place(study: Study, fields: Mapping[str, Any]) -> Cell:
    """Which table a row belongs in."""
    return tuple(fields[name] for name in ("dataset", *study.section_fields))


def _our_rows(study: Study, runs: pd.DataFrame, *, changed_only: bool) -> dict[Cell, _Row]:
    rows: dict[Cell, _Row] = {}
    for fields, found in cells(study, runs):
        first = found.iloc[0]
        words = tuple(words for name, words in first["changes"] if name != "lr" or not study.selects_lr)
        changes = words if changed_only else other_changes(study, first["changes"])
        if changes or not changed_only:
            rows[cell_key(study, fields)] = _Row(fields, first["section"], first["entry"], changes, found)
    return rows


def _add_published(study: Study, rows: dict[Cell, _Row], places: Mapping[Cell, str], figure: PublishedFigure) -> None:
    """Set a published figure beside our runs of the same, or in a row of its own in a table that is there."""
    fields = figure.spec.fields
    key = cell_key(study, fields)
    if key not in rows:
        if _place(study, fields) not in places:
            return
        rows[key] = _Row(fields, study.section(figure.spec), study.entry(figure.spec))
    rows[key].theirs.append(figure)


def _add_missing(
    study: Study,
    rows: dict[Cell, _Row],
    places: Mapping[Cell, str],
    reasons: Mapping[Cell, _Row],
    models: Collection[str],
    otherwise: str,
    setting: Mapping[str, Any] | None,
) -> None:
    """Rows for what was asked for and has no run, and for what was started and never finished."""
    for key, row in reasons.items():
        if _place(study, row.fields) in places:
            rows.setdefault(key, row).reason = row.reason
    there = {(_place(study, row.fields), name) for row in rows.values() for name in (row.fields["model"], row.entry)}
    for place, section in places.items():
        for model in models:
            if (place, model) in there:
                continue
            stated = dict(zip(("dataset", *study.section_fields), place, strict=True))
            spec = RunSpec(model, **{**stated, **(setting or {})})
            reason = otherwise
            try:
                if words := study.senseless(model=model, **{name: spec.fields[name] for name in study.judged}):
                    reason = f"skipped: {words}"
            except SiconvnetError:
                pass  # the code of this method is not here, so what it ignores is not known
            rows[cell_key(study, spec.fields)] = _Row(spec.fields, section, study.entry(spec), reason=reason)


def _failures(
    study: Study, unfinished: pd.DataFrame | None, runs: pd.DataFrame, setting: Mapping[str, Any] | None
) -> tuple[Counter[tuple[Cell, float]], dict[Cell, _Row]]:
    """How many runs of each cell and rate have failed and not finished since, and of each cell the latest reason."""
    failed: Counter[tuple[Cell, float]] = Counter()
    reasons: dict[Cell, _Row] = {}
    if unfinished is None or unfinished.empty:
        return failed, reasons
    counted = of_setting(study, unfinished[~is_short(unfinished)], setting, once=False)
    done = set(runs["spec_hash"].dropna())
    for fields, found in cells(study, counted):
        key, latest = cell_key(study, fields), found.iloc[0]
        words = f"{latest['status'].lower()}: {latest['reason'] or 'no reason given'}"
        reasons[key] = _Row(fields, latest["section"], latest["entry"], reason=words)
        again = found[(found["status"] == "FAILED") & ~found["spec_hash"].isin(done)].drop_duplicates("spec_hash")
        failed.update((key, float(lr)) for lr in again["lr"])
    return failed, reasons


def _filled(study: Study, row: _Row, figure: Figure, failed: Mapping[tuple[Cell, float], int]) -> dict[str, Any]:
    """The values of a row: of our runs where there are any, else of the first who published it."""
    fixed = {
        **{name: row.fields[name] for name in ("dataset", *study.section_fields)},
        **{
            "section": row.section,
            "entry": row.entry,
            "version": row.fields.get("version"),
            "compares": not row.changes,
        },
        **{f"{slug(f.source)}_{part}": value for f in row.theirs for part, value in _parts(f).items()},
    }
    values = row.runs[figure.name].dropna().to_numpy(dtype=float) if row.runs is not None else np.empty(0)
    if len(values) and row.runs is not None:
        count = failed.get((cell_key(study, row.fields), float(row.runs["lr"].iloc[0])), 0)
        notes = [*row.changes, *([f"{count} failed"] if count else [])]
        return fixed | _of_runs(study, row.runs, figure, values) | {"source": OURS, "note": "; ".join(notes)}
    reason = row.reason
    if row.runs is not None:
        reason = f"finished without {figure.name}: {len(row.runs)}"
    if not row.theirs:
        return fixed | {"source": NOBODY, "n": 0, "mean": math.nan, "note": reason, "label": None}
    theirs = row.theirs[0]
    sample = Sample(theirs.runs or 0, theirs.mean, theirs.std)
    low, high = sample.interval(figure.most)
    found = {"n": theirs.runs, "mean": theirs.mean, "std": theirs.std, "median": theirs.median, "ci_low": low}
    found |= {"ci_high": high, "lr": theirs.spec.lr, "seconds_per_epoch": theirs.seconds_per_epoch, "label": None}
    return fixed | found | {"source": theirs.source, "note": "; ".join(filter(None, ["published", reason]))}


def _parts(figure: PublishedFigure) -> dict[str, float | int | None]:
    return {"mean": figure.mean, "std": figure.std, "n": figure.runs}


def _of_runs(study: Study, runs: pd.DataFrame, figure: Figure, values: np.ndarray) -> dict[str, Any]:
    sample = Sample.of(values)
    low, high = sample.interval(figure.most)
    parameters, times = runs["parameters"].dropna(), runs["avg_time"].dropna().to_numpy(dtype=float)
    labels = runs["label"].dropna()
    return {
        **{"n": sample.n, "mean": sample.mean, "std": sample.std, "median": float(np.median(values))},
        "best": float(values.max() if figure.more_is_better else values.min()),
        **{"ci_low": low, "ci_high": high, "lr": float(runs["lr"].iloc[0])},
        "parameters": parameters.iloc[0] if len(parameters) else None,
        "seconds_per_epoch": float(np.sort(times).mean()) if len(times) else math.nan,
        **{name: _mean_of_all(runs, name) for name in study.beside},
        "label": labels.iloc[0] if len(labels) else None,
    }


def _mean_of_all(runs: pd.DataFrame, name: str) -> float:
    # Beside n a mean over fewer runs would pass for one over all.
    if name not in runs or runs[name].isna().any():
        return math.nan
    return Sample.of(runs[name]).mean


def _ranked(study: Study, table: pd.DataFrame, figure: Figure) -> pd.DataFrame:
    """The rows in order, numbered within each table; equals share a rank."""
    if table.empty:
        return table
    place = ["dataset", *study.section_fields]
    table["model"] = _named(study, table)
    compares = table["mean"].notna() & table["compares"] & (figure.more_is_better is not None)
    groups = table[compares].groupby(place, dropna=False)["mean"]
    table["rank"] = groups.rank(method="min", ascending=not figure.more_is_better).astype("Int64").astype(object)
    table.loc[table["mean"].isna(), "rank"] = "X"
    table.loc[table["mean"].notna() & ~compares, "rank"] = ""
    table["kind"] = np.where(table["mean"].isna(), 1, np.where(table["compares"], 0, 2))
    table["order"] = table["mean"] * (-1 if figure.more_is_better else 1)
    ordered = table.sort_values([*place, "kind", "order", "model", "note"], na_position="last", ignore_index=True)
    return ordered.drop(columns=["kind", "order"])


def _named(study: Study, table: pd.DataFrame) -> list[str]:
    """The entries; where one has runs of several versions of a method, each with the beginning of its version."""
    place = ["dataset", *study.section_fields, "entry"]
    several = table.groupby(place, dropna=False)["version"].transform(lambda found: len(set(found)))
    return [
        f"{entry}@{version[:4] if known(version) else '?'}" if count > 1 else entry
        for entry, version, count in zip(table["entry"], table["version"], several, strict=True)
    ]
