"""Rows of a table as lines, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def columns(rows: Sequence[Sequence[str]], words: Collection[str]) -> list[str]:
    """Set `rows` in columns with spaces.

    Args:
        rows: the first holds the headings.
        words: headings of the columns that are set to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if head in words else cell.rjust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
