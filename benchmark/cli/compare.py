"""`benchmark compare`: our runs against the published cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options
from benchmark.cli.columns import columns

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies import Study

FORMATS = ("table", "csv", "markdown")
ERROR_HEADS = (
    "dataset",
    "training",
    "model",
    "ours",
    "source",
    "published",
    "difference",
    "95 % interval",
    "verdict",
)
HEADS = ("dataset", "scenario", "model", "ours", "published", "difference", "95 % interval", "verdict")


@click.command()
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@click.option("--format", "kind", default="table", show_default=True, help="table, csv or markdown.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table into a file instead.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Draw it too: FILE.pdf, .svg or .png.")
def compare(
    source: str,
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    kind: str,
    out: Path | None,
    figure: Path | None,
) -> None:
    """Difference of the means, ours less published, with Welch's 95 % interval and a verdict.

    differs: the interval excludes zero. agrees: it holds zero and lies within one published standard deviation.
    too few runs: it holds zero, but is too wide to say that; with about how many runs it would not be.
    """
    from benchmark.plots.style import FORMATS as FIGURE_FORMATS
    from benchmark.studies.stir import STIR
    from benchmark.system.files import write_text
    from siconvnet.errors import UnknownName

    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    if figure and figure.suffix.lstrip(".") not in FIGURE_FORMATS:
        raise UnknownName("format", figure.suffix.lstrip("."), FIGURE_FORMATS)
    study = options.asked_study(datasets)
    if study is STIR:
        table, missed = _stir(source, tracking_uri, models, datasets, evaluations)
    else:
        table, missed = _errors(study, source, tracking_uri, models, evaluations)
    for line in missed:
        click.echo(f"not compared: {line}", err=True)
    if table.empty:
        condition = "at its learning rate, kernel size 7 and bicubic" if study is STIR else "under its protocol"
        raise options.NoRuns(f"no run of ours meets a published cell {condition}.")
    text = _csv(table) if kind == "csv" else _text(table, markdown=kind == "markdown")
    click.echo(write_text(out, text) if out else text, nl=out is not None)
    if figure:
        from benchmark.plots.comparison import forest
        from benchmark.plots.style import save

        click.echo(save(forest(table), figure))


def _stir(
    source: str,
    tracking_uri: str | None,
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
) -> tuple[pd.DataFrame, list[str]]:
    from benchmark.results import comparison, sources
    from benchmark.studies import published

    ours = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    theirs = published.runs()
    return comparison.compare(ours, theirs), comparison.unmet(ours, theirs)


def _errors(
    study: Study, source: str, tracking_uri: str | None, models: tuple[str, ...], evaluations: tuple[str, ...]
) -> tuple[pd.DataFrame, list[str]]:
    from benchmark.results import comparison

    ours = options.study_runs(study, source, tracking_uri, models, evaluations)
    return comparison.compare_errors(study, ours), comparison.unmet_errors(study, ours)


def _csv(table: pd.DataFrame) -> str:
    from benchmark.system.files import csv_text

    return csv_text(table, float_format="%.6f")


def _text(table: pd.DataFrame, *, markdown: bool) -> str:
    from benchmark.protocol import find_scenario
    from benchmark.results.comparison import VERDICTS
    from benchmark.results.leaderboard import spread
    from siconvnet.safe_text import markdown_cell

    errors = "source" in table
    rows = [list(ERROR_HEADS if errors else HEADS)]
    for _, row in table.iterrows():
        known = row["low"] == row["low"]
        needed = f" (about {row['runs_needed']} would do)" if row["runs_needed"] is not None and not _na(row) else ""
        setting = row["section"] if errors else find_scenario(int(row["evaluation"])).name
        rows.append(
            [
                row["dataset"],
                setting,
                row["model"],
                f"{row['ours_mean']:.2f} ({row['ours_n']})",
                *([row["source"]] if errors else []),
                spread(row["published_mean"], row["published_std"], row["published_n"]),
                f"{row['difference']:+.2f}",
                f"{row['low']:+.2f} to {row['high']:+.2f}" if known else "",
                row["verdict"] + needed if row["published_std"] == row["published_std"] else "published without ±",
            ]
        )
    counts = ", ".join(f"{(table['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
    what = "Test error in percent, number of realizations" if errors else "Test accuracy in percent, number of seeds"
    end = (
        f"{len(table)} cell{'s' * (len(table) != 1)}: {counts}. {what} in brackets, ± standard deviation. "
        "Of cells that are truly equal one in twenty differs by chance."
    )
    if markdown:
        rule = ["---"] * len(rows[0])
        lines = [f"| {' | '.join(map(markdown_cell, line))} |" for line in [rows[0], rule, *rows[1:]]]
    else:
        lines = columns(rows, rows[0])
    return "\n".join([*lines, "", end]) + "\n"


def _na(row: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.isna(row["runs_needed"]))
