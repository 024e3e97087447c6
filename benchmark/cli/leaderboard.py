"""`benchmark leaderboard`: which method is best where, ours beside the published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.leaderboard import Cell

FORMATS = ("table", "csv", "markdown")


@click.command()
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@click.option("--metric", default="test_acc", show_default=True, help="test_acc, best_acc, avg_time or run_time.")
@click.option("--kernel-size", type=int, default=7, show_default=True)
@click.option("--interpolation", default="bicubic", show_default=True)
@click.option("--format", "kind", default="table", show_default=True, help="table, csv or markdown.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead.")
def leaderboard(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    metric: str,
    kernel_size: int,
    interpolation: str,
    kind: str,
    out: Path | None,
) -> None:
    """Rank the methods by mean over seeds, one table a dataset and scenario.

    Of several learning rates the one with the best validation over seeds 1 to 5 counts. The same runs give the
    same bytes.
    """
    from benchmark import leaderboard as board
    from benchmark import published, sources
    from benchmark.files import write_text
    from benchmark.selection import selected
    from siconvnet.errors import UnknownName

    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    board.find_metric(metric)
    runs = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    chosen = options.chosen(selected(runs, kernel_size, interpolation), (), (), ())
    table = board.leaderboard(
        chosen,
        metric=metric,
        scales=sources.load_scales(source, chosen, tracking_uri=tracking_uri),
        published=None if source == sources.PUBLISHED else published.runs(),
        grid=_grid(chosen, models),
        reasons=_reasons(source, tracking_uri),
    )
    if kind == "csv":
        text = board.to_csv(table)
    elif kind == "markdown":
        text = board.to_markdown(table, metric)
    else:
        text = _plain(table, metric)
    click.echo(write_text(out, text) if out else text, nl=out is not None)


def _grid(runs: pd.DataFrame, models: tuple[str, ...]) -> list[Cell]:
    """Every method in every dataset and scenario that has any run at all."""
    from siconvnet import list_models

    places = runs[["dataset", "evaluation"]].drop_duplicates().itertuples(index=False)
    names = models or list_models()
    return [(dataset, int(evaluation), model) for dataset, evaluation in places for model in names]


def _reasons(source: str, tracking_uri: str | None) -> dict[Cell, str]:
    """Why a cell has no finished run, where the store knows."""
    from benchmark import sources

    if source != sources.MLFLOW:
        return {}
    from benchmark.evaluated import failures
    from benchmark.tracking import Store

    return failures(Store(tracking_uri))


def _plain(table: pd.DataFrame, metric: str) -> str:
    """Columns set with spaces, for a terminal or a pipe."""
    from benchmark.leaderboard import legend, sections

    parts = []
    for title, rows in sections(table, metric):
        widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 1 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in rows
        ]
        parts.append("\n".join([title.removeprefix("### "), *lines]))
    return "\n\n".join([*parts, legend(table, metric)]) + "\n"
