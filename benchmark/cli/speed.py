"""`benchmark speed`: what the fast paths save on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.option(
    "-m", "--model", "patterns", multiple=True, default=("*",), help='Models, also "*pool" or module:Class; repeatable.'
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch-size", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Of each way, in turn.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/measured"),
    show_default=True,
    help="Folder for speed-MACHINE.csv and its chart.",
)
def speed(patterns: tuple[str, ...], device: str, batch_size: int, repeats: int, out: Path) -> None:
    """Time plain and fast computation of each method in turn, and write the table and a chart.

    While it goes on, the rows so far are in speed-MACHINE.csv.part; the table of an earlier measurement is replaced
    when all of it is there.
    """
    import pandas as pd

    import siconvnet
    from benchmark import environment
    from benchmark.files import write_text
    from benchmark.speed import measure
    from siconvnet.errors import UnknownName
    from siconvnet.models import is_target

    models: dict[str, None] = {}
    for pattern in patterns:
        found = [pattern] if is_target(pattern) else siconvnet.list_models(pattern)
        if not found:
            raise UnknownName("model", pattern, siconvnet.list_models())
        models.update(dict.fromkeys(found))
    where = environment.find_device(device)
    rows: list[dict[str, Any]] = []
    for model in models:
        click.echo(f"measuring {model} ...", err=True)
        for row in measure(model, where, batch_size, repeats):
            rows.append(row)
            table = pd.DataFrame(rows)
            path = out / f"speed-{_slug(table)}.csv"
            so_far = write_text(path.with_name(f"{path.name}.part"), table.to_csv(index=False, lineterminator="\n"))
    _show(table)
    so_far.replace(path)
    chart = _draw(table, path.with_suffix(".png"))
    click.echo(f"written: {path} and {chart}")


def _show(table: pd.DataFrame) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    first = table.iloc[0]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    grid = Table(
        box=box.SIMPLE_HEAD,
        title=f"{first['machine']}, {first['threads']} threads, torch {first['torch']}, batch {first['batch_size']}, "
        f"medians of {first['repeats']}",
        title_justify="left",
    )
    for heading in ("model", "pass"):
        grid.add_column(heading)
    for heading in ("plain ms", "fast ms", "ratio", "plain MiB", "fast MiB"):
        grid.add_column(heading, justify="right")
    for _, row in table.iterrows():
        spread = (f"{row[f'{way}_ms_median']:,.1f} ({_spread(row, way):.0%})" for way in ("plain", "fast"))
        memory = (
            "-" if row[f"{way}_peak_mb"] is None else f"{row[f'{way}_peak_mb']:,.0f}" for way in ("plain", "fast")
        )
        grid.add_row(row["model"], row["pass"], *spread, f"{row['ratio']:.1f}x", *memory)
    console.print(grid)
    console.print(
        "[dim]In brackets: slowest less fastest, of the median. Memory: the most that one pass held on top.[/]"
    )


def _spread(row: pd.Series, way: str) -> float:
    return (row[f"{way}_ms_max"] - row[f"{way}_ms_min"]) / row[f"{way}_ms_median"]


def _slug(table: pd.DataFrame) -> str:
    """A file name that says the machine: letters, digits and single dashes."""
    import re

    first = table.iloc[0]
    threads = f" {first['threads']} threads" if first["device"] == "cpu" else ""
    return re.sub(r"[^a-z0-9]+", "-", f"{first['machine']}{threads}".lower()).strip("-")


def _draw(table: pd.DataFrame, path: Path) -> Path:
    from benchmark.plots.speed import steps

    first = table.iloc[0]
    figure = steps(table[table["pass"] == "step"], first["device"], first["machine"])
    temporary = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(temporary, format="png", dpi=150)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
