"""`benchmark models`: the methods under comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import nn

#: A published setting with the smallest data set, so that parameter counts compare: one channel, 36 classes.
_CHANNELS, _CLASSES = 1, 36
_COLUMNS = (
    *("name", "family", "paper", "url", "parameters"),
    *("kernel_size", "interpolation", "stages", "scale_indices"),
)


@click.command()
@click.argument("pattern", default="*")
@click.option("--study", default="stir", show_default=True, help="stir, mnist-scale, mnist-range or stl10.")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def models(pattern: str, study: str, kind: str) -> None:
    """List the methods of a study whose name matches PATTERN ("*pool"), and what each supports."""
    from benchmark.studies import find_study
    from siconvnet.errors import UnknownName

    compared = find_study(study)
    names = compared.list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, compared.list_models())
    rows = [ROWS[study](name) for name in names]
    if kind == "json":
        import json

        click.echo(json.dumps(rows, indent=1))
    elif kind == "csv":
        import csv
        import sys

        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        TABLES[study](rows)


def _row(name: str) -> dict[str, Any]:
    import siconvnet

    try:
        info = siconvnet.model_info(name)
        model = siconvnet.create_model(name, num_channels=_CHANNELS, num_classes=_CLASSES)
    except Exception as error:
        # A method that cannot be built, of a plug-in perhaps, must not hide the others.
        return {**dict.fromkeys(_COLUMNS), "name": name, "paper": f"fails: {' '.join(str(error).split())}"}
    return {
        "name": name,
        "family": info.family,
        "paper": info.paper,
        "url": info.url,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "kernel_size": info.uses_kernel_size,
        "interpolation": info.uses_interpolation,
        "stages": len(info.stages),
        "scale_indices": bool(info.scale_pools),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "family", "paper"):
        table.add_column(heading, style="bold" if heading == "name" else "")
    for heading in ("parameters", "kernel\nsize", "inter-\npolation", "stage\nmaps", "scale\nindices"):
        table.add_column(heading, justify="right" if heading == "parameters" else "center")
    for row in rows:
        flags = (row["kernel_size"], row["interpolation"], row["stages"], row["scale_indices"])
        paper = f"[link={row['url']}]{row['paper']}[/link]" if row["url"] else row["paper"]
        parameters = f"{row['parameters']:,}" if row["parameters"] else ""
        table.add_row(
            row["name"], row["family"], paper, parameters, *("yes" if flag else "[dim]-[/]" for flag in flags)
        )
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    console.print(
        f"[dim]Trained parameters at {_CHANNELS} channel and {_CLASSES} classes. Kernel size and interpolation: what "
        "--kernel-size and --interpolation change.\nStage maps: equivariance is measured on them. Scale indices: which "
        "scale won is known, for index consistency.[/]"
    )


def _mnist_scale_row(name: str) -> dict[str, Any]:
    from siconvnet.models.mnist_scale import VARIANTS, create_mnist_scale_model

    return _variant_row(name, VARIANTS[name].label, create_mnist_scale_model(name))


def _mnist_range_row(name: str) -> dict[str, Any]:
    from siconvnet.models.scale_probe import ScaleProbe

    return _variant_row(name, "Scale probe", ScaleProbe())


def _stl10_row(name: str) -> dict[str, Any]:
    from siconvnet.models.stl10 import VARIANTS, create_stl10_model

    return _variant_row(name, VARIANTS[name].label, create_stl10_model(name))


def _variant_row(name: str, label: str, model: nn.Module) -> dict[str, Any]:
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"name": name, "label": label, "parameters": count}


def _print_variants(rows: list[dict[str, Any]], note: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", style="bold")
    table.add_column("method")
    table.add_column("parameters", justify="right")
    for row in rows:
        table.add_row(row["name"], row["label"], f"{row['parameters']:,}")
    console.print(table)
    console.print(f"[dim]{note}[/]")


def _print_mnist_scale(rows: list[dict[str, Any]]) -> None:
    _print_variants(
        rows,
        "28: images as they are; 56: doubled inside the network; p: the scales chosen for augmented training "
        "(run --augment).",
    )


def _print_mnist_range(rows: list[dict[str, Any]]) -> None:
    _print_variants(rows, "One layer whose scales are learned (run --scale-parameterisation).")


def _print_stl10(rows: list[dict[str, Any]]) -> None:
    _print_variants(rows, "Wide residual networks of 16 layers, eight times as wide as the narrowest.")


ROWS = {"stir": _row, "mnist-scale": _mnist_scale_row, "mnist-range": _mnist_range_row, "stl10": _stl10_row}
TABLES = {
    "stir": _print_table,
    "mnist-scale": _print_mnist_scale,
    "mnist-range": _print_mnist_range,
    "stl10": _print_stl10,
}
