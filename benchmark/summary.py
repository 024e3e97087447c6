"""The short table at the end of a run: its figures, beside the published ones where they may stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark import published
from benchmark.evaluation import band_metric
from benchmark.progress import duration
from benchmark.protocol import BANDS, Band
from benchmark.spec import RunSpec

if TYPE_CHECKING:
    from rich.console import Group


def incomparable(spec: RunSpec, cell: published.PublishedCell | None) -> str:
    """Why a run must not be measured against the published cell; empty if it may."""
    if cell is None:
        return "nothing published for this cell"
    rate = () if spec.lr == cell.lr else (f"learning rate {spec.lr:g} instead of {cell.lr:g}",)
    # A rate that the paper never tried is named once, with the one that it chose.
    changes = [change for change in spec.deviations if not change.startswith("learning rate")]
    return "; ".join([*changes, *rate])


def render(spec: RunSpec, metrics: Mapping[str, float]) -> Group:
    """The table, as something for rich to print.

    Args:
        metrics: the final figures as they are logged.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    cell = published.cell(spec.model, spec.dataset, spec.evaluation)
    reason = incomparable(spec, cell)
    faint = "dim" if reason else ""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(no_wrap=True)
    table.add_column("this run", justify="right", no_wrap=True)
    table.add_column(f"published ({cell.runs} runs)" if cell else "", justify="right", style=faint, no_wrap=True)
    table.add_column(no_wrap=True)

    accuracy = metrics["test_acc"]
    table.add_row(
        "[bold]test accuracy[/]",
        f"[bold]{accuracy:.2f} %[/]",
        f"{cell.mean:.2f} ± {cell.std:.2f} %" if cell else "",
        _distance(accuracy, cell) if cell and not reason else "",
    )
    means = _published_bands(spec) if cell else {}
    for band in BANDS:
        table.add_row(
            f"  sizes {band.label}",
            f"{metrics[band_metric(band.first, band.last)]:.2f} %",
            f"{means[band]:.2f} %" if band in means else "",
            "[dim]seen in training[/]" if spec.scenario.saw(band) else "",
        )
    table.add_row(
        "best validation",
        f"{metrics['best_acc']:.2f} %",
        "",
        f"[dim]epoch {metrics['best_epoch']:.0f} of {metrics['epochs']:.0f}[/]",
    )
    table.add_row(
        "time per epoch",
        f"{metrics['avg_time']:.2f} s",
        f"{cell.mean_epoch_seconds:.2f} s" if cell else "",
        "[dim]published: on an A100[/]" if cell else "",
    )
    table.add_row("time in all", duration(metrics["run_time"]))
    title = Text(f"{spec.name} · {spec.dataset} · {spec.scenario.name} · lr {spec.lr:g}", style="bold")
    lines: list[Table | Text] = [title, table]
    if reason:
        lines.append(Text(f"not compared with the published figures: {reason}", style="yellow"))
    return Group(*lines)


def _distance(accuracy: float, cell: published.PublishedCell) -> str:
    if not cell.std > 0:
        return ""
    away = (accuracy - cell.mean) / cell.std
    colour = "green" if abs(away) <= 2 else "yellow"
    side = "above" if away >= 0 else "below"
    return f"[{colour}]{abs(away):.1f} std {side} the mean[/]"


def _published_bands(spec: RunSpec) -> dict[Band, float]:
    """Mean over a band of the published accuracy by size."""
    frame = published.generalization()
    cell = frame[
        (frame["model"] == spec.model) & (frame["dataset"] == spec.dataset) & (frame["evaluation"] == spec.evaluation)
    ]
    means = {band: cell[cell["scale"].isin(band.scales)]["accuracy_mean"].mean() for band in BANDS}
    return {band: mean for band, mean in means.items() if mean == mean}
