"""`benchmark export`: our runs in the original's column names, for its plot scripts and for anyone's spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies import Study

FORMATS = ("csv",)
KINDS = ("runs", "generalization")


@click.command(short_help="Write all finished runs, or their accuracy by object size, as CSV.")
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@click.option("--table", default="runs", show_default=True, help="runs or generalization (accuracy by scale).")
@click.option("--format", "kind", default="csv", show_default=True, help="csv.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead.")
def export(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    table: str,
    kind: str,
    out: Path | None,
) -> None:
    """Write all finished runs as the original's export (params.*, metrics.*), or as its table of accuracy by scale.

    The second has the columns model, data, eval and s17 to s64 with fractions of 1. Of another study than STIR
    (--dataset mnist-scale) it has the error in percent at each object size.
    """
    from benchmark.studies.stir import STIR
    from benchmark.system.files import csv_text, write_text
    from siconvnet.errors import UnknownName

    for what, name, known in (("format", kind, FORMATS), ("table", table, KINDS)):
        if name not in known:
            raise UnknownName(what, name, known)
    study = options.asked_study(datasets)
    if study is STIR:
        frame = _stir(source, tracking_uri, datasets, evaluations, models, table)
    else:
        frame = _other(study, source, tracking_uri, evaluations, models, table)
    text = csv_text(frame)
    click.echo(write_text(out, text) if out else text, nl=out is not None)


def _stir(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    table: str,
) -> pd.DataFrame:
    from benchmark.results import frames, sources
    from siconvnet.errors import InvalidArgument

    runs = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    if table == "runs":
        return frames.to_export(runs)
    if source != sources.MLFLOW:
        raise InvalidArgument("--table generalization needs single runs: only --source mlflow has their scales.")
    from benchmark.store import Store
    from benchmark.store.evaluations import accuracy_by_scale

    return frames.scales_to_wide(accuracy_by_scale(Store(tracking_uri, create=False), runs))


def _other(
    study: Study,
    source: str,
    tracking_uri: str | None,
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    table: str,
) -> pd.DataFrame:
    from benchmark.results import sources
    from benchmark.results.runs import to_export
    from siconvnet.errors import InvalidArgument

    if source == sources.PUBLISHED:
        raise InvalidArgument(
            f"of {study.title} no single runs are published; benchmark leaderboard -d {study.name} --source published "
            "--format csv writes the published figures."
        )
    runs = options.study_runs(study, source, tracking_uri, models, evaluations)
    if table == "runs":
        return to_export(study, runs)
    if source != sources.MLFLOW:
        raise InvalidArgument("--table generalization needs single runs: only --source mlflow has their sizes.")
    from benchmark.store import Store
    from benchmark.store.evaluations import errors_by_size

    found = errors_by_size(Store(tracking_uri, create=False), study, runs)
    if found.empty:
        raise options.NoRuns(f"no run was evaluated; type: benchmark evaluate -d {study.name}")
    return found
