"""`benchmark export`: our runs in the original's column names, for its plot scripts and for anyone's spreadsheet."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli import options

FORMATS = ("csv",)
KINDS = ("runs", "generalization")


@click.command()
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

    The second has the columns model, data, eval and s17 to s64 with fractions of 1.
    """
    from benchmark import frames, sources
    from benchmark.files import write_text
    from siconvnet.errors import InvalidArgument, UnknownName

    for what, name, known in (("format", kind, FORMATS), ("table", table, KINDS)):
        if name not in known:
            raise UnknownName(what, name, known)
    runs = options.chosen(sources.load_runs(source, tracking_uri=tracking_uri), models, datasets, evaluations)
    if table == "runs":
        frame = frames.to_export(runs)
    elif source == sources.MLFLOW:
        from benchmark.evaluated import accuracy_by_scale
        from benchmark.tracking import Store

        frame = frames.scales_to_wide(accuracy_by_scale(Store(tracking_uri), runs))
    else:
        raise InvalidArgument("--table generalization needs single runs: only --source mlflow has their scales.")
    text = frame.to_csv(index=False, lineterminator="\n")
    click.echo(write_text(out, text) if out else text, nl=out is not None)
