"""The short table at the end of a run: its figures, beside the published ones where they may stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.spec import RunSpec
from benchmark.training.progress import duration

if TYPE_CHECKING:
    from rich.console import Group


def render(spec: RunSpec, metrics: Mapping[str, float]) -> Group:
    """The table, as something for rich to print.

    Args:
        metrics: the final figures as they are logged.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    found = spec.study.compare(spec, metrics)
    faint = "dim" if found.reason else ""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(no_wrap=True)
    table.add_column("this run", justify="right", no_wrap=True)
    headings = found.headings or ("",)
    for heading in headings:
        table.add_column(heading, justify="right", style=faint, no_wrap=True)
    table.add_column(no_wrap=True)

    def add(name: str, ours: str, published: tuple[str, ...] = (), note: str = "") -> None:
        table.add_row(name, ours, *published, *[""] * (len(headings) - len(published)), note)

    for row in found.rows:
        add(row.name, row.ours, row.published, row.note)
    if "best_acc" in metrics:
        when = f"[dim]epoch {metrics['best_epoch']:.0f} of {metrics['epochs']:.0f}[/]"
        add("best validation", f"{metrics['best_acc']:.2f} %", note=when)
    if "diverged_epoch" in metrics:
        add("diverged in epoch", f"{metrics['diverged_epoch']:.0f}", note="[dim]tested: the best weights before it[/]")
    took = "[dim]published: on an A100[/]" if found.epoch_time else ""
    add("time per epoch", f"{metrics['avg_time']:.2f} s", (found.epoch_time,), took)
    add("time in all", duration(metrics["run_time"]))
    title = Text(f"{spec.name} · {spec.dataset} · {spec.setting} · lr {spec.lr:g}", style="bold")
    lines: list[Table | Text] = [title, table]
    if found.reason:
        lines.append(Text(f"not compared with the published figures: {found.reason}", style="yellow"))
    return Group(*lines)
