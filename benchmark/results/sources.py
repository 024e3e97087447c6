"""Where figures and tables come from: our MLflow store, the published tables, or a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.plots import Tables
from benchmark.results import scale_runs
from benchmark.results.selection import selected
from benchmark.studies import published

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.plots.bases import ComparedBasis
    from benchmark.studies import Study

MLFLOW, PUBLISHED = "mlflow", "published"


def load(source: str, *, tracking_uri: str | None = None) -> Tables:
    """All that a source holds.

    Args:
        source: "mlflow", "published" or the path of a CSV file of runs, of accuracy by scale, of
            learned scales, or of speed.
        tracking_uri: the store that "mlflow" means.

    Raises:
        TableError: the file cannot be read, or is no table of these.
        TrackingError: the store does not answer.
    """
    if source == PUBLISHED:
        none = scale_runs.empty()
        return Tables("Published STIR runs", runs=published.runs(), scales=published.generalization(), learned=none)
    if source == MLFLOW:
        return _from_mlflow(tracking_uri)
    return _from_csv(Path(source))


def load_runs(source: str, *, tracking_uri: str | None = None) -> pd.DataFrame:
    """The run frame of a source, all settings and learning rates; arguments and errors as for `load`."""
    if source == PUBLISHED:
        return published.runs()
    if source == MLFLOW:
        from benchmark.store import Store

        return Store(tracking_uri, create=False).runs()
    from benchmark.results.frames import read_runs

    return read_runs(source)


def load_study_runs(study: Study, source: str, *, tracking_uri: str | None = None) -> pd.DataFrame:
    """The runs of a study besides STIR, in the columns of `benchmark.results.runs`; of "published" there are none."""
    from benchmark.results import runs

    if source == PUBLISHED:
        return runs.frame(study, [])
    if source == MLFLOW:
        from benchmark.store import Store

        return Store(tracking_uri, create=False).study_runs(study)
    return runs.read_export(study, source)


def load_scales(source: str, runs: pd.DataFrame, *, tracking_uri: str | None = None) -> pd.DataFrame | None:
    """The scale frame that goes with `runs`, or None where the source has none."""
    if source == PUBLISHED:
        return published.generalization()
    if source == MLFLOW:
        from benchmark.store import Store
        from benchmark.store.evaluations import read_scales

        return read_scales(Store(tracking_uri, create=False), runs)
    return None


def load_bases(source: str, *, tracking_uri: str | None = None) -> list[ComparedBasis] | None:
    """The bases that DISCO was compared with, and the source's runs of their networks; None where a CSV is the source.

    Apart from `load`, because it takes torch to build them.
    """
    from benchmark.studies.compared_bases import STUDY, compared

    if source not in (PUBLISHED, MLFLOW):
        return None
    return compared(load_study_runs(STUDY, source, tracking_uri=tracking_uri))


def _from_mlflow(tracking_uri: str | None) -> Tables:
    from benchmark.results.comparison import compare
    from benchmark.store import Store
    from benchmark.store.evaluations import read_equivariance, read_indices, read_scales

    # Some figures are drawn before there is any run, so that one's own store may be new.
    store = Store(tracking_uri, create=not tracking_uri)
    runs = store.runs()
    learned = scale_runs.read(store)
    chosen = selected(runs)
    return Tables(
        "Our runs",
        runs=chosen,
        scales=read_scales(store, chosen),
        equivariance=read_equivariance(store, chosen),
        indices=read_indices(store, chosen),
        speed=measured_speed(),
        comparison=compare(runs, published.runs()),
        learned=learned if len(learned) else None,
    )


def _from_csv(path: Path) -> Tables:
    from benchmark.results.comparison import compare
    from benchmark.results.frames import read_csv, read_runs, read_scales

    name = path.stem
    if scale_runs.is_table(list(read_csv(path))):
        return Tables(name, learned=scale_runs.read_file(path))
    if "plain_ms_median" in read_csv(path):
        return Tables(name, speed=read_csv(path))
    scales = read_scales(path)
    if scales is not None:
        return Tables(name, scales=scales)
    runs = read_runs(path)
    return Tables(name, runs=selected(runs), comparison=compare(runs, published.runs()))


def measured_speed(folder: Path = Path("results/measured")) -> pd.DataFrame | None:
    """All timings of `results/measured`, where a clone of the repository is the current folder; else None."""
    import pandas as pd

    files = sorted(folder.glob("speed-*.csv"))
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True) if files else None
