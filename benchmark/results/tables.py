"""Tables as text: columns for a terminal, Markdown, LaTeX with the rules of booktabs, CSV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.system.files import csv_text
from siconvnet.errors import UnknownName
from siconvnet.safe_text import markdown_cell

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "markdown", "latex")
#: Headings of the columns that hold text; the others hold numbers and are set to the right.
WORDS = frozenset(
    {
        *("dataset", "scenario", "model", "source", "verdict", "note", "setting", "changes"),
        *("name", "study", "family", "paper", "licence", "file", "run", "status", "ended"),
    }
)
_LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


@dataclass(frozen=True)
class Section:
    """One table: its title, its rows with the heading first, and the cells (row, column) that LaTeX sets in bold."""

    title: str
    rows: list[list[str]]
    best: frozenset[tuple[int, int]] = frozenset()


def check_format(kind: str, known: tuple[str, ...] = FORMATS) -> None:
    """
    Raises:
        UnknownName: the format is not among the known ones.
    """
    if kind not in known:
        raise UnknownName("format", kind, known)


def render(kind: str, sections: Iterable[Section], legend: str, frame: pd.DataFrame) -> str:
    """The tables in a format; `frame` is what they are made of, for CSV."""
    check_format(kind)
    if kind == "csv":
        return to_csv(frame)
    write = {"table": _plain, "markdown": markdown, "latex": latex}[kind]
    end = "\n".join(f"% {line}" for line in legend.splitlines()) if kind == "latex" else legend
    return "\n\n".join([*map(write, sections), *([end] if legend else [])]) + "\n"


def to_csv(frame: pd.DataFrame) -> str:
    """Six decimals, an empty field for what is not known."""
    return csv_text(frame, float_format="%.6f")


def columns(rows: list[list[str]]) -> list[str]:
    """Rows as lines, set in columns with spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if head in WORDS else cell.rjust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _plain(section: Section) -> str:
    return "\n".join([*([section.title] if section.title else []), *columns(section.rows)])


def markdown(section: Section) -> str:
    """A table as on GitHub."""
    rule = ["---" if head.lower() in WORDS else "---:" for head in section.rows[0]]
    lines = [f"| {' | '.join(map(markdown_cell, line))} |" for line in [section.rows[0], rule, *section.rows[1:]]]
    return "\n".join([*([f"### {section.title}", ""] if section.title else []), *lines])


def latex(section: Section) -> str:
    """A table for a paper, with the rules of the booktabs package and the best figures in bold."""
    head, *rows = (
        [
            _bold(_escaped(cell)) if (place, column) in section.best else _escaped(cell)
            for column, cell in enumerate(row)
        ]
        for place, row in enumerate(section.rows)
    )
    kinds = "".join("l" if name.lower() in WORDS else "r" for name in section.rows[0])
    lines = [f"% {section.title}"] if section.title else []
    lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", _latex_line(head), r"\midrule"]
    return "\n".join([*lines, *map(_latex_line, rows), r"\bottomrule", r"\end{tabular}"])


def _latex_line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _bold(text: str) -> str:
    return rf"\textbf{{{text}}}"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def spread(mean: Any, std: Any, count: Any = None) -> str:
    """`2.08 ± 0.09 (6)`, as far as it is known."""
    if not known(mean):
        return ""
    text = f"{number(mean)} ± {number(std)}" if known(std) else number(mean)
    return f"{text} ({int(count)})" if count is not None and known(count) else text


def number(value: Any) -> str:
    """Two decimals; empty if not known."""
    return f"{value:.2f}" if known(value) else ""


def known(value: Any) -> bool:
    """Whether a cell of a table holds anything."""
    import pandas as pd

    return not pd.isna(value)
