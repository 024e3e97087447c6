"""`benchmark models`: the models that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.tables import Justify, add_column, add_names, make_table
from benchmark.studies import all_studies, default_study, find_study

if TYPE_CHECKING:
    from benchmark.studies import Study

HEADINGS = (
    *("name", "label", "study", "family", "paper", "url", "parameters"),
    *("kernel_size", "interpolation", "stages", "scale_indices"),
)
NOTE = (
    "Study: the one it was published for, and is trained in. Parameters: trained numbers in a published setting.\n"
    "Kernel size and interpolation: what --kernel-size and --interpolation change. Stages: of which equivariance is "
    "measured. Scale indices: which scale won is known, for index consistency."
)

STUDIES = ", ".join(study.name for study in all_studies())


@click.command()
@click.argument("pattern", default="*")
@click.option("--study", help=f"Only those of one study: {STUDIES}.  [default: all]")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def models(pattern: str, study: str | None, kind: str) -> None:
    """List the models whose name matches PATTERN ("*pool"), and what each supports."""
    import siconvnet
    from siconvnet.errors import UnknownName

    chosen = None if study is None else find_study(study)
    names = chosen.list_models(pattern) if chosen else siconvnet.list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, chosen.list_models() if chosen else siconvnet.list_models())
    rows = [_row(name, chosen) for name in names]
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
        note = f"{NOTE}\n{chosen.models_note}" if chosen and chosen.models_note else NOTE
        _print_table(rows, note)


def _row(name: str, study: Study | None) -> dict[str, Any]:
    """What is known of a model; one that fails is said to, and hides no other."""
    import siconvnet
    from benchmark.studies.base import count_parameters

    row: dict[str, Any] = dict.fromkeys(HEADINGS)
    row["name"] = name
    try:
        info = siconvnet.model_info(name)
        study = study or (find_study(info.studies[0]) if info.studies else default_study())
        num_channels, num_classes = study.counted_at
        model = siconvnet.create_model(name, num_channels=num_channels, num_classes=num_classes)
        row |= {
            "label": info.label,
            "study": ", ".join(info.studies) or "any",
            "family": info.family,
            "paper": info.paper,
            "url": info.url,
            "parameters": count_parameters(model),
            "kernel_size": info.uses_kernel_size,
            "interpolation": info.uses_interpolation,
            "stages": len(info.stages),
            "scale_indices": bool(info.scale_pools),
        }
    except Exception as error:
        row["paper"] = f"fails: {' '.join(str(error).split())}"
    return row


def _print_table(rows: list[dict[str, Any]], note: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    table = make_table()
    headings = [heading for heading in rows[0] if heading not in ("label", "url")]
    for heading in headings:
        kinds = {type(row[heading]) for row in rows}
        if heading == "name":
            add_names(table, heading, (row[heading] for row in rows))
        else:
            justify: Justify = "right" if int in kinds else "center" if bool in kinds else "left"
            add_column(table, heading.replace("_", "\n"), justify)
    for row in rows:
        table.add_row(*(_cell(row, heading) for heading in headings))
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    console.print(note, style="dim", markup=False)


def _cell(row: dict[str, Any], heading: str) -> str:
    value = row[heading]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "[dim]-[/]"
    if heading == "paper" and row["url"]:
        return f"[link={row['url']}]{value}[/link]"
    return f"{value:,}" if isinstance(value, int) else str(value)
