"""`benchmark speed`: what the fast paths save on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.tables import add_column, make_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import torch
    from rich.table import Table

    from benchmark.studies import Study


@click.command()
@click.option(
    "-m", "--model", "patterns", multiple=True, default=("*",), help='Models, also "*pool" or module:Class; repeatable.'
)
@click.option(
    "--study",
    help="A training step of each of its models, or an epoch where the study says how its images were read.  "
    "[default: stir]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: the study's]")
@click.option("--repeats", type=click.IntRange(min=1), help="Of each way, in turns.  [default: 7; of an epoch: 3]")
@click.option("--batches", type=click.IntRange(min=1), help="Batches of an epoch that are timed.  [default: 2]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/measured"),
    show_default=True,
    help="Folder for the table and its chart.",
)
def speed(
    patterns: tuple[str, ...],
    study: str | None,
    device: str,
    batch_size: int | None,
    repeats: int | None,
    batches: int | None,
    out: Path,
) -> None:
    """Time plain and fast computation of each method in turn, and write the table and a chart.

    \b
    benchmark speed -m "*pool"
    benchmark speed --study stl10 -m "*_ses_*"
    benchmark speed --study mnist-scale -m ses_scalar_28

    An epoch of mnist-scale goes from PNG files through plain convolutions, and by this package's way. Until the table
    is complete, its rows are in a file that ends in .csv.part; only then does it replace that of an earlier
    measurement.
    """
    from benchmark.studies import default_study, find_study
    from benchmark.system import environment
    from siconvnet.errors import InvalidArgument

    chosen = default_study() if study is None else find_study(study)
    where = environment.find_device(device)
    models = _matching(chosen, patterns)
    if images := chosen.epoch_images:
        rows = _epochs(
            chosen, models, where, images, batch_size or chosen.protocol.batch_size, repeats or 3, batches or 2
        )
        table, so_far = _keep(rows, out, f"epochs-{chosen.name}")
        _show_epochs(table, chosen.title, images)
        click.echo(f"written: {_settle(so_far)}")
        return
    if batches:
        raise InvalidArgument(f"--batches is for studies whose epochs are timed, not for {chosen.name}; leave it out.")
    rows = _steps(chosen, models, where, batch_size or chosen.timing_batch_size, repeats or 7)
    table, so_far = _keep(rows, out, "speed" if chosen is default_study() else f"steps-{chosen.name}")
    _show_steps(table)
    path = _settle(so_far)
    click.echo(f"written: {path} and {_draw(table, path.with_suffix('.png'))}")


def _matching(study: Study, patterns: tuple[str, ...]) -> list[str]:
    from siconvnet.errors import UnknownName
    from siconvnet.models import is_target

    models: dict[str, None] = {}
    for pattern in patterns:
        found = [pattern] if is_target(pattern) else study.list_models(pattern)
        if not found:
            raise UnknownName("model", pattern, study.list_models())
        models.update(dict.fromkeys(found))
    return list(models)


def _steps(
    study: Study, models: list[str], device: torch.device, batch_size: int, repeats: int
) -> Iterator[dict[str, Any]]:
    from benchmark.timing.steps import measure

    for model in models:
        click.echo(f"measuring {model} ...", err=True)
        yield from measure(study, model, device, batch_size, repeats)


def _epochs(
    study: Study, models: list[str], device: torch.device, images: int, batch_size: int, repeats: int, batches: int
) -> Iterator[dict[str, Any]]:
    from benchmark.timing.epochs import measure
    from siconvnet.errors import InvalidArgument

    if batch_size == 1 or batches * batch_size > images:
        raise InvalidArgument(f"an epoch of {images:,} images has no {batches} batches of {batch_size}, 2 at least.")
    for row in measure(study, models, device, images=images, batches=batches, batch_size=batch_size, repeats=repeats):
        click.echo(f"{row['model']}: plain {row['plain_epoch_s']:,.1f} s, fast {row['fast_epoch_s']:,.1f} s", err=True)
        yield row


def _keep(rows: Iterator[dict[str, Any]], out: Path, stem: str) -> tuple[pd.DataFrame, Path]:
    """All rows as a table, and the file that they were written to as they came."""
    import pandas as pd

    from benchmark.system.files import write_text

    known: list[dict[str, Any]] = []
    for row in rows:
        known.append(row)
        table = pd.DataFrame(known)
        so_far = out / f"{stem}-{_slug(table)}.csv.part"
        write_text(so_far, table.to_csv(index=False, lineterminator="\n"))
    return table, so_far


def _settle(so_far: Path) -> Path:
    """Give the file of a measurement that is complete its name."""
    from benchmark.system.files import write_text

    path = write_text(so_far.with_suffix(""), so_far.read_text(encoding="utf-8"))
    so_far.unlink()
    return path


def _show_steps(table: pd.DataFrame) -> None:
    grid = _grid("Plain against fast", ("model", "pass"), ("plain ms", "fast ms", "ratio", "plain MiB", "fast MiB"))
    for _, row in table.iterrows():
        spread = (f"{row[f'{way}_ms_median']:,.1f} ({_spread(row, way):.0%})" for way in ("plain", "fast"))
        memory = (f"{row[f'{way}_peak_mib']:,.0f}" for way in ("plain", "fast"))
        grid.add_row(row["model"], row["pass"], *spread, f"{row['ratio']:.1f}x", *memory)
    _print(grid, "In brackets: slowest less fastest, of the median. Memory: the most that one pass held on top.")


def _spread(row: pd.Series, way: str) -> float:
    return (row[f"{way}_ms_max"] - row[f"{way}_ms_min"]) / row[f"{way}_ms_median"]


def _show_epochs(table: pd.DataFrame, title: str, images: int) -> None:
    from benchmark.timing.epochs import WAYS, parts, said

    times = ("plain s", "fast s", "ratio", "plain ms a batch", "fast ms a batch", "forward", "backward")
    grid = _grid(f"An epoch of {title}, {images:,} images", ("model",), times)
    for _, row in table.iterrows():
        seconds = [f"{row[f'{way}_epoch_s']:,.1f}" for way in WAYS]
        ratios = [f"{row[f'{part}_ratio']:.1f}x" for part in ("forward", "backward")]
        grid.add_row(row["model"], *seconds, f"{row['ratio']:.1f}x", *parts(row), *ratios)
    _print(grid, f"Milliseconds: loading + forward + backward with Adam.\n{said(table.iloc[0], images)}")


def _grid(title: str, texts: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    grid = make_table(title=title, title_justify="left", pad_edge=True)
    for heading in texts:
        add_column(grid, heading)
    for heading in numbers:
        add_column(grid, heading, "right")
    return grid


def _print(grid: Table, note: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(grid)
    console.print(note, style="dim", soft_wrap=True)


def _slug(table: pd.DataFrame) -> str:
    """A file name that says the machine: letters, digits and single dashes."""
    import re

    first = table.iloc[0]
    threads = f" {first['threads']} threads" if first["device"] == "cpu" else ""
    return re.sub(r"[^a-z0-9]+", "-", f"{first['machine']}{threads}".lower()).strip("-")


def _draw(table: pd.DataFrame, path: Path) -> Path:
    from benchmark.plots.speed import steps
    from benchmark.plots.style import save

    first = table.iloc[0]
    return save(steps(table[table["pass"] == "step"], first["device"], first["machine"]), path)
