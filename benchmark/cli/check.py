"""`benchmark check`: whether a model does what training and measuring ask of it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from benchmark.cli.tables import add_column, make_table
from benchmark.protocol import PAPER

if TYPE_CHECKING:
    from rich.table import Table

    from siconvnet.testing import Cost, Result, Subject

_REFERENCE = "standard"
_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "dim"}
#: Without these a training step cannot be measured.
_NEEDED = ("gray", "gradients")
#: Row of the table -> what of a `Cost`, and how it is written.
_FIGURES: tuple[tuple[str, Callable[[Cost], float], Callable[[float], str]], ...] = (
    ("parameters", lambda cost: cost.parameters, "{:,.0f}".format),
    ("time", lambda cost: 1e3 * cost.seconds, "{:,.0f} ms".format),
    ("memory of tensors", lambda cost: cost.peak_bytes / 2**20, "{:,.1f} MiB".format),
)


@click.command(short_help="Check that a model can be trained and measured here, and what it costs.")
@click.argument("model", metavar="NAME|MODULE:CLASS")
@click.option("--kernel-size", type=int, default=PAPER.kernel_size, show_default=True)
@click.option("--image-size", type=int, help="Side of the images in pixels.  [default: the model's own, or 64]")
@click.option("--interpolation", default=PAPER.interpolation, show_default=True)
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def check(
    context: click.Context, model: str, kernel_size: int, image_size: int | None, interpolation: str, kind: str
) -> None:
    """Check that a model can be trained and measured here, and what a training step costs.

    NAME is a registered model; MODULE:CLASS, as my_net:MyNet, a class of your own, found in this folder too. Exit
    code 1 when a check fails.
    """
    from siconvnet import testing
    from siconvnet.models import IMAGE_SIZE, check_model_arguments

    check_model_arguments(1, 2, kernel_size, interpolation, image_size or IMAGE_SIZE)
    subject = testing.subject_of(model, image_size=image_size, kernel_size=kernel_size, interpolation=interpolation)
    results = testing.run_checks(subject)
    passed = {result.check for result in results if result.status == "passed"}
    costs: dict[str, Cost] = {}
    if passed.issuperset(_NEEDED):
        costs[model] = _cost(subject)
        if model != _REFERENCE:
            reference = testing.subject_of(_REFERENCE, image_size=subject.image_size, kernel_size=kernel_size)
            costs[_REFERENCE] = _cost(reference)
    if kind == "json":
        _print_json(model, results, costs)
    else:
        _print_table(model, results, costs)
    context.exit(int(any(result.status == "failed" for result in results)))


def _cost(subject: Subject) -> Cost:
    from siconvnet.testing import training_cost

    num_channels, num_classes = subject.settings["gray"]
    return training_cost(
        subject.module(), num_channels, num_classes, image_size=subject.image_size, batch_size=PAPER.batch_size
    )


def _print_json(model: str, results: list[Result], costs: dict[str, Cost]) -> None:
    import json
    from dataclasses import asdict

    report = {
        "model": model,
        "passed": all(result.status != "failed" for result in results),
        "checks": [asdict(result) for result in results],
        "batch_size": PAPER.batch_size,
        "cost": {name: asdict(cost) for name, cost in costs.items()},
    }
    click.echo(json.dumps(report, indent=1))


def _print_table(model: str, results: list[Result], costs: dict[str, Cost]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    table = make_table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for heading in ("check", "status", "detail"):
        add_column(table, heading)
    told = [result for result in results if not result.needs]
    for result in told:
        name = result.check.replace("_", " ")
        table.add_row(name, Text(result.status, _COLOURS[result.status]), Text(result.detail))
    if not console.is_terminal:
        console.width = 160
    console.print(Text(model, "bold"))
    console.print(table)
    if costs:
        console.print()
        console.print(_cost_table(costs))
    counts = {status: sum(result.status == status for result in told) for status in _COLOURS}
    counts["left out, as they need one that failed"] = len(results) - len(told)
    console.print()
    console.print(f"{len(results)} checks: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n))


def _cost_table(costs: dict[str, Cost]) -> Table:
    import torch

    threads = torch.get_num_threads()
    title = f"a training step of {PAPER.batch_size} images, {threads} thread{'s' * (threads > 1)}"
    table = make_table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    add_column(table, title)
    for name in costs:
        add_column(table, name, "right")
    if len(costs) > 1:
        add_column(table, "ratio", "right")
    for row, value, text in _FIGURES:
        values = [value(cost) for cost in costs.values()]
        table.add_row(row, *map(text, values), *([_times(*values)] if len(values) > 1 else []))
    return table


def _times(value: float, reference: float) -> str:
    ratio = value / reference
    return f"{ratio:.1f} x" if ratio >= 1 else f"{ratio:.2f} x"
