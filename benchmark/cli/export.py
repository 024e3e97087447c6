"""`benchmark export`: our runs in the original's column names, for its plot scripts and for anyone's spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.results.sources import Source

FORMATS = ("csv",)
KINDS = ("runs", "generalization")


@click.command(short_help="Write all finished runs, or their accuracy by object size, as CSV.")
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@options.include_short
@click.option("--table", default="runs", show_default=True, help="runs or generalization (accuracy by scale).")
@click.option("--format", "kind", default="csv", show_default=True, help="csv.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead.")
def export(
    sources: tuple[str, ...],
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    include_short: bool,
    table: str,
    kind: str,
    out: Path | None,
) -> None:
    """Write all finished runs as the original's export (params.*, metrics.*), or as its table of accuracy by scale.

    The second has the columns model, data, eval, s17 to s64 with fractions of 1, seed and run_id. Of another study than
    STIR (--dataset mnist-scale) it has the error in percent at each object size.
    """
    from benchmark.results.runs import to_export
    from benchmark.results.sources import Source
    from benchmark.system.files import csv_text, write_text
    from siconvnet.errors import UnknownName

    for what, name, known in (("format", kind, FORMATS), ("table", table, KINDS)):
        if name not in known:
            raise UnknownName(what, name, known)
    study = options.asked_study(datasets)
    source = Source(study, sources, tracking_uri)
    only = options.selection(study, source.runs, models, datasets, evaluations)
    _refuse_published(source, table)
    runs = options.chosen(study, source.runs, only, include_short=include_short)
    frame = to_export(study, runs) if table == "runs" else _by_size(source, runs)
    text = csv_text(frame)
    click.echo(write_text(out, text) if out else text, nl=out is not None)


def _refuse_published(source: Source, table: str) -> None:
    from siconvnet.errors import InvalidArgument

    study = source.study
    if source.only_published and study.published_runs() is None:
        raise InvalidArgument(
            f"of {study.title} no single runs are published; benchmark leaderboard -d {study.name} --source published "
            "--format csv writes the published figures."
        )
    if table == "generalization" and source.store is None:
        raise InvalidArgument("--table generalization needs single runs: only --source mlflow has their sizes.")


def _by_size(source: Source, runs: pd.DataFrame) -> pd.DataFrame:
    from benchmark.store.evaluations import accuracy_by_size

    assert source.store is not None
    found = accuracy_by_size(source.store, source.study, runs)
    if found.empty:
        raise options.NoRuns("no run of that selection was evaluated; type: benchmark evaluate")
    return source.study.export_by_size(found)
