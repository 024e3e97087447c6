"""`benchmark compare`: our runs against the published figures."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli import options


@click.command()
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@options.table_format
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table into a file instead.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Draw it too: FILE.pdf, .svg or .png.")
def compare(
    sources: tuple[str, ...],
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
    from benchmark.results import comparison, tables
    from benchmark.results.sources import Source
    from benchmark.system.files import write_text
    from siconvnet.errors import UnknownName

    tables.check_format(kind)
    if figure and figure.suffix.lstrip(".") not in FIGURE_FORMATS:
        raise UnknownName("format", figure.suffix.lstrip("."), FIGURE_FORMATS)
    study = options.asked_study(datasets)
    source = Source(study, sources, tracking_uri)
    only = options.selection(study, source.runs, models, datasets, evaluations)
    runs = options.chosen(study, source.runs, only)
    table = comparison.compare(study, runs)
    for line in comparison.unmet(study, runs):
        click.echo(f"not compared: {line}", err=True)
    if table.empty:
        raise options.NoRuns("no run of ours meets a published figure under the protocol and at its learning rate.")
    text = tables.render(kind, [comparison.section(table)], comparison.legend(study, table), table)
    click.echo(write_text(out, text) if out else text, nl=out is not None)
    if figure:
        from benchmark.plots.comparison import forest
        from benchmark.plots.style import save
        from benchmark.results.metrics import find_figure

        click.echo(save(forest(table, find_figure(study.figure).title.capitalize()), figure))
