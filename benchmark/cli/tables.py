"""Tables for a terminal of any width, of which nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.table import Table

Justify = Literal["left", "center", "right"]


def make_table(**options: Any) -> Table:
    """A table with a line under its headings; `options` are rich's."""
    from rich import box
    from rich.table import Table

    return Table(**{"box": box.SIMPLE_HEAD, "pad_edge": False, **options})


def add_column(table: Table, heading: str, justify: Justify = "left", style: str = "") -> None:
    """Add a column whose text goes on in the next line where it is too narrow; rich would cut words short."""
    table.add_column(heading, justify=justify, style=style, overflow="fold")


def add_names(table: Table, heading: str, names: Iterable[str], style: str = "bold") -> None:
    """Add a column of names that a person may have to type: other columns become narrower before one is broken."""
    width = max((len(name) for name in names), default=0)
    table.add_column(heading, style=style, min_width=width, overflow="fold")
