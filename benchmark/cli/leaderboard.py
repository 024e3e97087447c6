"""`benchmark leaderboard`: which method is best where, ours beside the published."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options
from benchmark.cli.columns import columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from benchmark.results.leaderboard import Cell
    from benchmark.studies import Study

FORMATS = ("table", "csv", "markdown")


@click.command()
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@click.option(
    "--metric",
    help="test_acc, best_acc, avg_time or run_time; of other studies than STIR also test_err.  [default: as published: "
    "STIR test_acc, others test_err]",
)
@click.option("--kernel-size", type=int, help="STIR.  [default: 7]")
@click.option("--interpolation", help="STIR.  [default: bicubic]")
@click.option("--format", "kind", default="table", show_default=True, help="table, csv or markdown.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead.")
def leaderboard(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    metric: str | None,
    kernel_size: int | None,
    interpolation: str | None,
    kind: str,
    out: Path | None,
) -> None:
    """Rank the methods by mean over seeds, one table a dataset and scenario.

    \b
    benchmark leaderboard --dataset emoji --source published
    benchmark leaderboard --dataset mnist-scale

    Of several learning rates the one with the best validation over seeds 1 to 5 counts. The same runs give the
    same bytes. Of another study than STIR the table is of test errors over realizations, beside the published ones.
    """
    from benchmark.studies.stir import STIR
    from benchmark.system.files import write_text
    from siconvnet.errors import UnknownName

    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    study = options.asked_study(datasets)
    if study is STIR:
        asked = (datasets, evaluations, models)
        text = _stir(source, tracking_uri, *asked, metric or "test_acc", kernel_size, interpolation, kind)
    else:
        given = {"evaluation": evaluations, "kernel_size": kernel_size, "interpolation": interpolation}
        options.refuse_foreign(study, given)
        text = _errors(study, source, tracking_uri, models, metric or "test_err", kind)
    click.echo(write_text(out, text) if out else text, nl=out is not None)


def _errors(
    study: Study, source: str, tracking_uri: str | None, models: tuple[str, ...], metric: str, kind: str
) -> str:
    from benchmark.results import errorboard as board
    from benchmark.results.leaderboard import to_csv

    board.find_metric(metric)
    runs = options.study_runs(study, source, tracking_uri, models)
    table = board.board(study, runs, metric=metric, models=models)
    if kind == "csv":
        return to_csv(table)
    if kind == "markdown":
        return board.to_markdown(study, table, metric)
    return _plain(board.sections(study, table, metric), board.legend(study, table, metric))


def _stir(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    metric: str,
    kernel_size: int | None,
    interpolation: str | None,
    kind: str,
) -> str:
    from benchmark.protocol import PAPER
    from benchmark.results import leaderboard as board
    from benchmark.results import sources
    from benchmark.results.failures import count_failed
    from benchmark.results.selection import selected
    from benchmark.store import Store
    from benchmark.studies import published
    from siconvnet.models import check_model_arguments

    board.find_metric(metric)
    size = PAPER.kernel_size if kernel_size is None else kernel_size
    kind_of = PAPER.interpolation if interpolation is None else interpolation
    check_model_arguments(1, 2, size, kind_of)
    runs = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    as_published = (size, kind_of) == (PAPER.kernel_size, PAPER.interpolation)
    chosen = options.chosen(selected(runs, size, kind_of), (), (), ())
    grid = _grid(chosen, models, source)
    table = board.leaderboard(
        chosen,
        metric=metric,
        scales=sources.load_scales(source, chosen, tracking_uri=tracking_uri),
        published=published.runs() if as_published and source != sources.PUBLISHED else None,
        grid=grid,
        reasons=_reasons(source, tracking_uri, _without_runs(grid, chosen), size, kind_of),
        failed=count_failed(Store(tracking_uri, create=False), size, kind_of) if source == sources.MLFLOW else None,
    )
    if kind == "csv":
        return board.to_csv(table)
    if kind == "markdown":
        return board.to_markdown(table, metric)
    return _plain(board.sections(table, metric), board.legend(table, metric))


def _grid(runs: pd.DataFrame, models: tuple[str, ...], source: str) -> list[Cell]:
    """Every method, or every published one, in every dataset and scenario that has any run at all."""
    from benchmark.results import sources
    from benchmark.studies import default_study

    places = runs[["dataset", "evaluation"]].drop_duplicates().itertuples(index=False)
    names = models or (sorted(set(runs["model"])) if source == sources.PUBLISHED else default_study().list_models())
    return [(dataset, int(evaluation), model) for dataset, evaluation in places for model in names]


def _without_runs(grid: list[Cell], runs: pd.DataFrame) -> list[Cell]:
    ran = set(zip(runs["dataset"], runs["evaluation"], runs["model"], strict=True))
    return [cell for cell in grid if cell not in ran]


def _reasons(
    source: str, tracking_uri: str | None, grid: list[Cell], kernel_size: int, interpolation: str
) -> dict[Cell, str]:
    """Why a cell of the grid has no finished run, where that is known: it failed, or a sweep leaves it out."""
    from benchmark.results import sources
    from benchmark.results.failures import failures
    from benchmark.store import Store
    from benchmark.studies.scale_fields import of_variant
    from benchmark.studies.stir import STIR
    from siconvnet.errors import SiconvnetError

    if source == sources.PUBLISHED:
        return dict.fromkeys(grid, "not published")
    failed = failures(Store(tracking_uri, create=False)) if source == sources.MLFLOW else {}
    skipped: dict[Cell, str] = {}
    for cell in grid:
        model, scales = of_variant(cell[2])
        setting = {"model": model, "kernel_size": kernel_size, "interpolation": interpolation, **scales}
        # Of a method whose code is not at hand nobody can say what it ignores.
        with contextlib.suppress(SiconvnetError):
            if reason := STIR.senseless(**{name: setting.get(name) for name in STIR.judged}):
                skipped[cell] = f"skipped: {reason}"
    return {**skipped, **failed}


def _plain(sections: Iterable[tuple[str, list[list[str]]]], legend: str) -> str:
    """Columns set with spaces, for a terminal or a pipe."""
    from benchmark.results.leaderboard import WORDS

    parts = ["\n".join([title.removeprefix("### "), *columns(rows, WORDS)]) for title, rows in sections]
    return "\n\n".join([*parts, legend]) + "\n"
