"""Text from files, records and stores, which anyone may have written, on its way to a terminal or into a table."""

from __future__ import annotations

import re


def printable(text: object, *, lines: bool = False) -> str:
    """The text with control characters and the like as escapes, so that none of them commands a terminal.

    Args:
        lines: keep ends of lines and tabs.
    """
    found = str(text)
    if found.isprintable():
        return found
    kept = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode("ascii") for char in found
    )


def brief(text: str, limit: int = 200) -> str:
    """The text, cut off where it is longer than an error message should quote."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def markdown_cell(text: str) -> str:
    """The text in a cell of a Markdown table: it ends no cell, is no tag and no link."""
    return re.sub(r"[\\|<`]|(?<=\])\(", r"\\\g<0>", printable(text))


def csv_cell(text: str) -> str:
    """The text in a field of a CSV file: a spreadsheet takes it for text, not for a formula to compute.

    A quotation mark in front is what spreadsheets understand; numbers stay as they are.
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
