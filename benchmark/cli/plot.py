"""`benchmark plot`: the figures of the paper, from our runs, the published ones or a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from benchmark.plots import Tables
    from benchmark.results.sources import Source

ALL = "all"


@click.command(short_help="Draw figures of your runs or of the published ones.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...|all")
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@options.include_short
@click.option("--format", "kind", default="pdf", show_default=True, help="pdf, svg or png.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("figures"),
    show_default=True,
    help="Folder; made if it does not exist.",
)
def plot(
    names: tuple[str, ...],
    sources: tuple[str, ...],
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    include_short: bool,
    kind: str,
    out: Path,
) -> None:
    """Draw figures: hyperparam, generalization, timing, equivariance, indices, speed, comparison, scales,
    bases, or all.

    
    benchmark plot generalization --source mlflow --source published    ours over the published ones

    `all` draws what the source has data for, says of the rest why not, and fails only if a figure broke. Dataset,
    scenario and model are of STIR's figures.
    """
    import dataclasses

    from benchmark.plots import FIGURES
    from benchmark.plots.style import FORMATS, NothingToDraw
    from benchmark.results import figures
    from benchmark.results.sources import MLFLOW, Source
    from benchmark.store import Store
    from benchmark.studies.stir import STIR
    from siconvnet.errors import UnknownName

    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    for name in names:
        if name not in {*FIGURES, ALL}:
            raise UnknownName("figure", name, {*FIGURES, ALL})
    if MLFLOW in sources and not tracking_uri:
        Store()  # some figures are drawn before there is any run, so that one's own store may be new
    source = Source(STIR, sources, tracking_uri)
    only = _selection(source, models, datasets, evaluations)
    tables = figures.tables(source, only, include_short=include_short)
    wanted = list(FIGURES) if ALL in names else list(names)
    if "bases" in wanted:
        tables = dataclasses.replace(tables, bases=figures.bases(sources, tracking_uri))
    absent, failed = {}, {}
    for name in wanted:
        try:
            for path in _draw(name, tables, out, kind):
                click.echo(path)
        except NothingToDraw as reason:
            absent[name] = str(reason)
        except SiconvnetError as error:
            failed[name] = str(error)
        except Exception as error:  # one broken figure must not take the others with it
            failed[name] = f"{type(error).__name__}: {error}"
    if len(wanted) > 1:
        _list("not drawn, no data:", absent)
        _list("failed:", failed)
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise SiconvnetError(f"{len(failed)} of {len(wanted)} figures failed: {reasons.rstrip('.')}.")
    if absent and ALL not in names:
        raise SiconvnetError("; ".join(f"{name}: {reason}" for name, reason in absent.items()) + ".")


def _selection(
    source: Source, models: tuple[str, ...], datasets: tuple[str, ...], evaluations: tuple[str, ...]
) -> dict[str, tuple[Any, ...]]:
    """What was asked for; nothing, of a file that may be no table of runs."""
    if not (models or datasets or evaluations):
        return {}
    return options.selection(source.study, source.runs, models, datasets, evaluations)


def _draw(name: str, tables: Tables, out: Path, kind: str) -> list[Path]:
    """Draw and write the figures of one name; their paths."""
    from benchmark import plots
    from benchmark.plots.style import save
    from benchmark.system.files import write_text

    paths = []
    for stem, drawn in plots.draw(name, tables).items():
        paths.append(write_text(out / stem, drawn) if isinstance(drawn, str) else save(drawn, out / f"{stem}.{kind}"))
    return paths


def _list(heading: str, reasons: Mapping[str, str]) -> None:
    if reasons:
        click.echo(heading, err=True)
    for name, reason in reasons.items():
        click.echo(f"  {name}: {reason}", err=True)
