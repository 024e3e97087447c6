"""The tables that figures are drawn from, of any sources and selection of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.plots import Tables
from benchmark.results import scale_runs
from benchmark.results.comparison import compare
from benchmark.results.runs import read_csv, read_runs
from benchmark.results.selection import is_short, selected
from benchmark.results.sizes import SCALE_COLUMNS, aggregate_scales, read_scales
from benchmark.results.sources import MLFLOW, PUBLISHED, Source, matching, measured_speed
from benchmark.studies import published
from benchmark.studies.stir import STIR

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.plots.bases import ComparedBasis

Only = Mapping[str, Collection[Any]]
_TABLES = ("runs", "scales", "equivariance", "speed", "comparison", "learned")


def tables(source: Source, only: Only | None = None, *, include_short: bool = False) -> Tables:
    """All that the sources hold; ours over the published, where both are asked for.

    Args:
        only: as for `benchmark.results.sources.matching`.
        include_short: also runs of another length than the protocol's.

    Raises:
        TableError: a file cannot be read, or is no table of these.
        TrackingError: the store does not answer.
    """
    only = only or {}
    ours = [name for name in source.names if name != PUBLISHED]
    found = [_of(name, source, only, include_short) for name in ours or [PUBLISHED]]
    whole = _joined(found)
    if PUBLISHED in source.names and not source.only_published:
        whole = dataclasses.replace(whole, background=_published(only))
    return whole


def _of(name: str, source: Source, only: Only, include_short: bool) -> Tables:
    if name == PUBLISHED:
        return _published(only)
    return _ours(source, only, include_short) if name == MLFLOW else _of_file(Path(name), only, include_short)


def _published(only: Only) -> Tables:
    runs, scales = _for_figures(matching(published.runs(), only)), published.generalization()
    for column, values in only.items():
        scales = scales[scales[column].isin(list(values))] if values else scales
    return Tables("Published STIR runs", runs=runs, scales=scales, learned=scale_runs.empty())


def _ours(source: Source, only: Only, include_short: bool) -> Tables:
    from benchmark.store.evaluations import read_indices

    store, study = source.store, source.study
    assert store is not None
    runs = matching(source.runs, only)
    chosen = selected(study, runs, include_short=include_short)
    learned = scale_runs.read(store)
    short = bool(is_short(chosen).any())
    drawn = _for_figures(chosen)
    return Tables(
        f"Our runs{' (some of another length than the protocol’s)' if short else ''}",
        runs=drawn,
        scales=_scales(source, drawn),
        equivariance=_equivariance(drawn),
        indices=read_indices(store, drawn),
        speed=measured_speed(),
        comparison=compare(study, runs),
        learned=learned if len(learned) else None,
        labels={row["model"]: row["label"] for row in drawn.to_dict("records") if row["label"]},
        chance=_chance(drawn),
    )


def _for_figures(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with `model` as figures tell methods apart: each way of learning scales and each length is another one."""
    short = [", ".join(words for name, words in changes if name not in ("lr",)) for changes in runs["changes"]]
    names = [f"{entry} ({words})" if words else entry for entry, words in zip(runs["entry"], short, strict=True)]
    return runs.assign(model=names)


def _scales(source: Source, runs: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from benchmark.store.evaluations import accuracy_by_size

    assert source.store is not None
    found = accuracy_by_size(source.store, source.study, runs)
    return aggregate_scales(found, source="ours") if len(found) else pd.DataFrame(columns=list(SCALE_COLUMNS))


def _equivariance(runs: pd.DataFrame) -> pd.DataFrame:
    """The error of stage 2 outside the training range, a row a run that was evaluated."""
    if "equivariance_stage2" not in runs:
        return runs.iloc[:0].assign(error=[])
    table = runs.assign(error=runs["equivariance_stage2"])
    # A dead stage has no error that a logarithmic axis could show.
    return table[table["error"] > 0].reset_index(drop=True)


def _chance(runs: pd.DataFrame) -> dict[str, float]:
    """The accuracy of a guess on data sets of one's own; readers of the papers know that of the others."""
    known = set(published.runs()["dataset"])
    found = {name: STIR.num_classes(name) for name in runs["dataset"].unique() if name not in known}
    return {name: 100 / classes for name, classes in found.items() if classes}


def _of_file(path: Path, only: Only, include_short: bool) -> Tables:
    name, frame = path.stem, read_csv(path)
    if scale_runs.is_table(list(frame)):
        return Tables(name, learned=scale_runs.read_file(path))
    if "plain_ms_median" in frame:
        return Tables(name, speed=frame)
    if (scales := read_scales(path)) is not None:
        return Tables(name, scales=scales)
    runs = matching(read_runs(STIR, path), only)
    chosen = selected(STIR, runs, include_short=include_short)
    return Tables(name, runs=_for_figures(chosen), comparison=compare(STIR, runs))


def _joined(found: Sequence[Tables]) -> Tables:
    """Several tables as one, row after row."""
    import pandas as pd

    if len(found) == 1:
        return found[0]
    values: dict[str, Any] = {}
    for name in _TABLES:
        frames = [frame for each in found if (frame := getattr(each, name)) is not None and len(frame)]
        values[name] = pd.concat(frames, ignore_index=True) if frames else None
    indices = [maps for each in found for maps in each.indices or ()]
    labels = {key: label for each in found for key, label in each.labels.items()}
    chance = {key: value for each in found for key, value in each.chance.items()}
    return Tables(" and ".join(each.source for each in found), **values, indices=indices, labels=labels, chance=chance)


def bases(names: Sequence[str], tracking_uri: str | None = None) -> list[ComparedBasis] | None:
    """The bases that DISCO was compared with, and our runs of their networks; None where only CSV files are the source.

    Apart from `tables`, because it takes torch to build them.
    """
    from benchmark.studies.compared_bases import STUDY, compared

    stores = [name for name in names if name in (PUBLISHED, MLFLOW)]
    return compared(Source(STUDY, stores, tracking_uri).runs) if stores else None
