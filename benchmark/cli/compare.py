"""`benchmark compare`: our runs against the published cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import options

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "markdown")
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
    from benchmark import comparison, published, sources
    from benchmark.cli.options import NoRuns
    from benchmark.files import write_text
    from benchmark.plots.style import FORMATS as FIGURE_FORMATS
    from siconvnet.errors import UnknownName

    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    if figure and figure.suffix.lstrip(".") not in FIGURE_FORMATS:
        raise UnknownName("format", figure.suffix.lstrip("."), FIGURE_FORMATS)
    ours = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    theirs = published.runs()
    table = comparison.compare(ours, theirs)
    for line in comparison.unmet(ours, theirs):
        click.echo(f"not compared: {line}", err=True)
    if table.empty:
        raise NoRuns("no run of ours meets a published cell at its learning rate, kernel size 7 and bicubic.")
    text = _csv(table) if kind == "csv" else _text(table, markdown=kind == "markdown")
    click.echo(write_text(out, text) if out else text, nl=out is not None)
    if figure:
        from benchmark.plots.comparison import forest
        from benchmark.plots.style import save

        click.echo(save(forest(table), figure))


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def _text(table: pd.DataFrame, *, markdown: bool) -> str:
    from benchmark.comparison import VERDICTS
    from benchmark.protocol import find_scenario

    rows = [list(HEADS)]
    for _, row in table.iterrows():
        known = row["low"] == row["low"]
        needed = f" (about {row['runs_needed']} would do)" if row["runs_needed"] is not None and not _na(row) else ""
        rows.append(
            [
                row["dataset"],
                find_scenario(int(row["evaluation"])).name,
                row["model"],
                f"{row['ours_mean']:.2f} ({row['ours_n']})",
                f"{row['published_mean']:.2f} ± {row['published_std']:.2f} ({row['published_n']})",
                f"{row['difference']:+.2f}",
                f"{row['low']:+.2f} to {row['high']:+.2f}" if known else "",
                row["verdict"] + needed,
            ]
        )
    counts = ", ".join(f"{(table['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
    end = (
        f"{len(table)} cells: {counts}. Test accuracy in percent, number of seeds in brackets, ± standard deviation. "
        "Of cells that are truly equal one in twenty differs by chance."
    )
    if markdown:
        rule = ["---"] * len(HEADS)
        lines = [f"| {' | '.join(line)} |" for line in [rows[0], rule, *rows[1:]]]
    else:
        widths = [max(len(line[column]) for line in rows) for column in range(len(HEADS))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in rows]
    return "\n".join([*lines, "", end]) + "\n"


def _na(row: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.isna(row["runs_needed"]))
