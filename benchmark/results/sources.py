"""Where runs come from: the MLflow store, what was published, CSV files, or several of them together."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.results.runs import FACTS, FINISHED, WORDS, concatenated, finished, read_runs, rows_of, table
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store import Store
    from benchmark.studies import Study

MLFLOW, PUBLISHED = "mlflow", "published"


@dataclass(frozen=True)
class Source:
    """Where the runs of a study are read from.

    Args:
        names: "mlflow", "published" or the paths of CSV files.
        tracking_uri: the store that "mlflow" means.

    Raises:
        InvalidArgument: one of them is named twice.
        TrackingError: there is no such store.
        TableError: a file cannot be read, or is no table of runs.
    """

    study: Study
    names: Sequence[str]
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            if self.names.count(name) > 1:
                raise InvalidArgument(f"--source {name} is given twice; its runs would count twice.")

    @property
    def only_published(self) -> bool:
        return all(name == PUBLISHED for name in self.names)

    @functools.cached_property
    def store(self) -> Store | None:
        from benchmark.store import Store

        return Store(self.tracking_uri, create=False) if MLFLOW in self.names else None

    @functools.cached_property
    def every_run(self) -> pd.DataFrame:
        """All runs, of any status, as `benchmark.results.runs.table`; those that were published, if only they are asked
        for."""
        from benchmark.store.store import counting_first

        frames = []
        for name in self.names:
            if name == MLFLOW and self.store is not None:
                frames.append(table(self.study, rows_of(self.study, counting_first(self.store.read([self.study])))))
            elif name != PUBLISHED:
                frames.append(read_runs(self.study, name))
        if self.only_published and (published := self.study.published_runs()) is not None:
            frames.append(published)
        return concatenated(self.study, frames)

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """The finished runs, each spec once."""
        return finished(self.every_run)

    @functools.cached_property
    def logged(self) -> list[str]:
        """The figures that any finished run has."""
        named = {*self.study.fields, *FACTS, *WORDS}
        return [name for name in self.runs.columns if name not in named and self.runs[name].notna().any()]

    @functools.cached_property
    def unfinished(self) -> pd.DataFrame:
        """The runs that failed, were killed, or are still running."""
        return self.every_run[self.every_run["status"] != FINISHED].reset_index(drop=True)


def matching(runs: pd.DataFrame, only: Mapping[str, Collection[Any]]) -> pd.DataFrame:
    """The runs whose fields have one of the values asked for; a model may be named as its row is.

    Args:
        only: field -> accepted values; an empty collection accepts all.
    """
    for name, values in only.items():
        if values:
            kept = runs[name].isin(list(values))
            runs = runs[kept | runs["entry"].isin(list(values)) if name == "model" else kept]
    return runs.reset_index(drop=True)


def measured_speed(folder: Path = Path("results/measured")) -> pd.DataFrame | None:
    """All timings of `results/measured`, where a clone of the repository is the current folder; else None."""
    import pandas as pd

    files = sorted(folder.glob("speed-*.csv"))
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True) if files else None
