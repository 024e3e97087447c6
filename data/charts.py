"""Small charts as SVG text: bars, and a map of places. They stand in a page or as files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

COLOURS = ("#0072b2", "#e69f00", "#009e73")
"""Train, valid, test: blue, orange and green of Okabe and Ito."""
INK, FAINT = "#444", "#ddd"
FONT = "font-family='system-ui, sans-serif' font-size='11'"


def svg(width: float, height: float, content: Sequence[str], title: str) -> str:
    """A drawing with a title for those who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label={quoteattr(title)} {FONT}><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(content)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{colour}"/>'


def legend(names: Sequence[str], x: float, y: float) -> list[str]:
    parts = []
    for i, name in enumerate(names):
        parts += [bar(x + 80 * i, y - 9, 10, 10, COLOURS[i]), text(x + 80 * i + 15, y, name)]
    return parts


def rows(counts: Mapping[str, Sequence[int]], splits: Sequence[str], title: str) -> str:
    """A line for each class: its images in each split side by side, to one scale.

    Args:
        counts: class -> images in each split.
        splits: what the splits are called.
        title: of the chart.
    """
    gutter, line, length = 190, 18, 400
    most = max((sum(values) for values in counts.values()), default=0) or 1
    parts = legend(splits, gutter, 16)
    for i, (name, values) in enumerate(counts.items()):
        y, x = 28 + i * line, float(gutter)
        parts.append(text(gutter - 8, y + 12, name if len(name) <= 30 else f"{name[:29]}…", "end"))
        for value, colour in zip(values, COLOURS, strict=True):
            width = length * value / most
            parts.append(bar(x, y + 2, width, line - 5, colour))
            x += width
        parts.append(text(x + 6, y + 12, f"{sum(values):,}"))
    return svg(gutter + length + 70, 34 + line * len(counts), parts, title)


def columns(
    values: npt.NDArray[np.int64], labels: Sequence[int], splits: Sequence[str], axis: str, title: str, every: int = 8
) -> str:
    """A histogram: for each label a column, its splits on top of each other.

    Args:
        values: (labels, splits).
        labels: of the columns, each `every`-th of which is written.
        splits: what the splits are called.
        axis: what the labels are.
        title: of the chart.
        every: see `labels`.
    """
    left, top, width, height = 64, 28, 560, 130
    most = int(values.sum(1).max()) or 1
    step = width / len(labels)
    parts = [*legend(splits, left, 16)]
    for share in (0, 0.5, 1):
        y = top + height * (1 - share)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:g}" y2="{y:g}" stroke="{FAINT}"/>')
        parts.append(text(left - 8, y + 4, f"{most * share:,.0f}", "end"))
    for i, label in enumerate(labels):
        y = float(top + height)
        for value, colour in zip(values[i], COLOURS, strict=True):
            tall = height * int(value) / most
            y -= tall
            parts.append(bar(left + i * step + 0.5, y, step - 1, tall, colour))
        if label % every == 0 or i in (0, len(labels) - 1):
            parts.append(text(left + (i + 0.5) * step, top + height + 16, str(label), "middle"))
    parts.append(text(left + width / 2, top + height + 34, axis, "middle"))
    return svg(left + width + 16, top + height + 44, parts, title)


def places(density: npt.NDArray[np.float64], side: int, title: str) -> str:
    """A map of the canvas, darker where there is more.

    Args:
        density: (n, n), top row first, 0 or more.
        side: of the canvas in pixels, for the axes.
        title: of the chart.
    """
    left, top, length = 40, 14, 256
    cell = length / len(density)
    most = float(density.max()) or 1.0
    parts = []
    for (i, j), value in np.ndenumerate(density):
        share = float(value) / most
        # From white to a dark blue, even in lightness.
        red, green, blue = (round(255 + share * (dark - 255)) for dark in (8, 48, 107))
        parts.append(
            f'<rect x="{left + j * cell:g}" y="{top + i * cell:g}" width="{cell:g}" height="{cell:g}" '
            f'fill="rgb({red},{green},{blue})" shape-rendering="crispEdges"/>'
        )
    parts.append(f'<rect x="{left}" y="{top}" width="{length}" height="{length}" fill="none" stroke="{INK}"/>')
    for share in (0, 0.5, 1):
        label = str(round(side * share))
        parts.append(text(left + length * share, top + length + 16, label, "middle"))
        parts.append(text(left - 8, top + length * share + 4, label, "end"))
    return svg(left + length + 24, top + length + 28, parts, title)
