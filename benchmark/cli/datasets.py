"""`benchmark datasets`: the data there is, where it lies and how to get what is missing."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli import options
from benchmark.cli.tables import add_column, add_names, make_table

_COLUMNS = ("name", "classes", "chance", "instances", "channels", "origin", "licence", "present", "file", "how_to_get")
_SHOWN = ("name", "classes", "chance", "instances", "channels", "licence", "file")
_NOTE = (
    "Chance: the accuracy of guessing, as classes are of equal size.\n"
    "Instances: STIR's objects per class and split, each at 48 scales."
)
_STYLES = {"missing": "yellow", "fails": "red"}


@click.command()
@options.listing_format
def datasets(kind: str) -> None:
    """List the datasets, where their files are and how to get them."""
    from benchmark.results import tables
    from siconvnet.datasets import list_datasets

    tables.check_format(kind, options.LISTING_FORMATS)
    rows = [*(_row(name) for name in list_datasets()), *_others()]
    told = [{key: row[key] for key in _COLUMNS} for row in rows]
    if kind == "json":
        import json

        click.echo(json.dumps(told, indent=1))
    elif kind == "table":
        _print_table(rows)
    else:
        import pandas as pd

        section = tables.Section("", [list(_SHOWN), *([*_cells(row), _state(row)] for row in rows)])
        click.echo(tables.render(kind, [section], _NOTE, pd.DataFrame(told, dtype=object)), nl=False)


def _cells(row: dict[str, Any]) -> list[str]:
    """What the table shows of a data set, but for where its file is."""
    chance = f"{row['chance']:.1f}%" if row["chance"] else ""
    numbers = (str(row["classes"] or ""), chance, str(row["instances"] or ""), str(row["channels"] or ""))
    return [row["name"], *numbers, row["licence"] or ""]


def _state(row: dict[str, Any]) -> str:
    """Whether the file is there."""
    return "there" if row["present"] else row.get("parts") or ("missing" if row["file"] else "fails")


def _row(name: str) -> dict[str, Any]:
    from siconvnet.datasets import dataset_info, dataset_path
    from siconvnet.errors import SiconvnetError

    try:
        info, path = dataset_info(name), dataset_path(name)
    except SiconvnetError as error:
        # A dataset of another package that does not load must not hide the others.
        return {**dict.fromkeys(_COLUMNS), "name": name, "present": False, "how_to_get": f"fails: {error}"}
    return {
        "name": name,
        "classes": info.num_classes,
        "chance": 100 / info.num_classes,
        "instances": info.num_instances,
        "channels": info.num_channels,
        "origin": info.origin,
        "licence": info.licence,
        "present": path.is_file(),
        "file": str(path),
        "how_to_get": info.how_to_get,
    }


def _others() -> list[dict[str, Any]]:
    """The data of other studies than STIR."""
    from benchmark.studies import all_studies

    return [
        {
            **dict.fromkeys(_COLUMNS),
            **{key: getattr(state, key) for key in ("name", "classes", "channels", "origin", "licence", "how_to_get")},
            "chance": 100 / state.classes,
            "present": state.there == state.parts,
            "parts": f"{state.there} of {state.parts}" if 0 < state.there < state.parts else "",
            "file": state.place,
        }
        for study in all_studies()
        for state in study.data_states()
    ]


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.text import Text

    from siconvnet.datasets import data_dir, own_dir

    console = Console(highlight=False)
    table = make_table()
    name, *numbers, licence, file = _SHOWN
    add_names(table, name, (row["name"] for row in rows))
    for heading in numbers:
        add_column(table, heading, "right")
    add_column(table, licence)
    add_column(table, file)
    for row in rows:
        state = _state(row)
        table.add_row(*map(escape, _cells(row)), Text(state, style=_STYLES.get(state, "")))
    console.print(table)
    # Paths and addresses stand on lines of their own, never broken, so that they can be copied.
    indent = max(len(row["name"]) for row in rows) + 3
    for row in rows:
        console.print(row["name"].ljust(indent), end="", style="bold", markup=False)
        console.print(row["file"] or "", soft_wrap=True, markup=False)
        console.print(" " * indent + row["how_to_get"], soft_wrap=True, markup=False, style="dim")
    console.print(f"\nData folder: {data_dir()} (SICONVNET_DATA chooses another)", soft_wrap=True, markup=False)
    if own_dir() != data_dir():
        console.print(f"Your own datasets: {own_dir()}", soft_wrap=True, markup=False)
    console.print(_NOTE, style="dim", markup=False)
    console.print("A .npz file of the same format can be named wherever a dataset is.", style="dim")
