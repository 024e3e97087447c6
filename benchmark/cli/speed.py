"""`benchmark speed`: what the fast paths save on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import torch
    from rich.table import Table

    from benchmark.studies import Study

EPOCHS = "mnist-scale"
"""The study of which epochs are measured, and not steps alone."""


@click.command()
@click.option(
    "-m", "--model", "patterns", multiple=True, default=("*",), help='Models, also "*pool" or module:Class; repeatable.'
)
@click.option(
    "--study",
    default="stir",
    show_default=True,
    help="stir or stl10: a training step of each method; or mnist-scale: an epoch, with its images' way.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: 16; stl10: 4; mnist-scale: 128]")
@click.option("--repeats", type=click.IntRange(min=1), help="Of each way, in turn.  [default: 7; mnist-scale: 3]")
@click.option("--batches", type=click.IntRange(min=1), help="mnist-scale: so many of an epoch's.  [default: 2]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/measured"),
    show_default=True,
    help="Folder for the table and its chart.",
)
def speed(
    patterns: tuple[str, ...],
    study: str,
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

    An epoch of mnist-scale goes from PNG files through plain convolutions, and by this package's way. While it goes
    on, the rows so far are in a file that ends in .csv.part; the table of an earlier measurement is replaced when all
    of it is there.
    """
    from benchmark.studies import find_study
    from benchmark.system import environment
    from benchmark.timing.steps import STUDIES
    from siconvnet.errors import InvalidArgument

    chosen, where = find_study(study), environment.find_device(device)
    if batches and study != EPOCHS:
        raise InvalidArgument(f"--batches is for --study {EPOCHS}; leave it out.")
    if study == EPOCHS:
        models = _matching(chosen, patterns)
        rows = _epochs(models, where, batch_size or chosen.protocol.batch_size, repeats or 3, batches or 2)
        table, so_far = _keep(rows, out, f"epochs-{study}")
        _show_epochs(table)
        click.echo(f"written: {_settle(so_far)}")
    elif study in STUDIES:
        models = _matching(chosen, patterns)
        rows = _steps(models, where, batch_size or (4 if study == "stl10" else 16), repeats or 7, study)
        table, so_far = _keep(rows, out, "speed" if study == "stir" else f"steps-{study}")
        _show_steps(table)
        path = _settle(so_far)
        click.echo(f"written: {path} and {_draw(table, path.with_suffix('.png'))}")
    else:
        raise InvalidArgument(f"speed is measured on {', '.join([*STUDIES, EPOCHS])}, not on {study}.")


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
    models: list[str], device: torch.device, batch_size: int, repeats: int, study: str
) -> Iterator[dict[str, Any]]:
    from benchmark.timing.steps import measure

    for model in models:
        click.echo(f"measuring {model} ...", err=True)
        yield from measure(model, device, batch_size, repeats, study)


def _epochs(
    models: list[str], device: torch.device, batch_size: int, repeats: int, batches: int
) -> Iterator[dict[str, Any]]:
    from benchmark.timing.epochs import IMAGES, measure
    from siconvnet.errors import InvalidArgument

    if batch_size == 1 or batches * batch_size > IMAGES:
        raise InvalidArgument(f"an epoch of {IMAGES:,} images has no {batches} batches of {batch_size}, 2 at least.")
    for row in measure(models, device, batches=batches, batch_size=batch_size, repeats=repeats):
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


def _show_epochs(table: pd.DataFrame) -> None:
    from benchmark.timing.epochs import IMAGES, WAYS, parts, said

    times = ("plain s", "fast s", "ratio", "plain ms a batch", "fast ms a batch", "forward", "backward")
    grid = _grid(f"An epoch of MNIST-Scale, {IMAGES:,} images", ("model",), times)
    for _, row in table.iterrows():
        seconds = [f"{row[f'{way}_epoch_s']:,.1f}" for way in WAYS]
        ratios = [f"{row[f'{part}_ratio']:.1f}x" for part in ("forward", "backward")]
        grid.add_row(row["model"], *seconds, f"{row['ratio']:.1f}x", *parts(row), *ratios)
    _print(grid, f"Milliseconds: loading + forward + backward with Adam.\n{said(table.iloc[0])}")


def _grid(title: str, texts: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in texts:
        grid.add_column(heading)
    for heading in numbers:
        grid.add_column(heading, justify="right")
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
