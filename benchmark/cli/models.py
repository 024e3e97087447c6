"""`benchmark models`: the models that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options
from benchmark.cli.tables import Justify, add_column, add_names, make_table
from benchmark.studies import all_studies, default_study, find_study

if TYPE_CHECKING:
    from benchmark.studies import Study

HEADINGS = (
    *("name", "label", "study", "family", "paper", "url", "parameters"),
    *("kernel_size", "interpolation", "stages", "scale_indices"),
)
SHOWN = tuple(heading for heading in HEADINGS if heading not in ("label", "url"))
NOTE = (
    "Study: the one it was published for, and is trained in. Parameters: trained numbers in a published setting.\n"
    "Kernel size and interpolation: what --kernel-size and --interpolation change. Stages: of which equivariance is "
    "measured. Scale indices: which scale won is known, for index consistency."
)

STUDIES = ", ".join(study.name for study in all_studies())


@click.command()
@click.argument("pattern", default="*")
@click.option("--study", help=f"Only those of one study: {STUDIES}.  [default: all]")
@options.listing_format
def models(pattern: str, study: str | None, kind: str) -> None:
    """List the models whose name matches PATTERN ("*pool"), and what each supports."""
    import siconvnet
    from benchmark.results import tables
    from siconvnet.errors import UnknownName

    tables.check_format(kind, options.LISTING_FORMATS)
    chosen = None if study is None else find_study(study)
    names = chosen.list_models(pattern) if chosen else siconvnet.list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, chosen.list_models() if chosen else siconvnet.list_models())
    rows = [_row(name, chosen) for name in names]
    if kind == "json":
        import json

        click.echo(json.dumps(rows, indent=1))
        return
    note = f"{NOTE}\n{chosen.models_note}" if chosen and chosen.models_note else NOTE
    if kind == "table":
        _print_table(rows, note)
        return
    import pandas as pd

    lines = [[_cell(row, heading) for heading in SHOWN] for row in rows]
    section = tables.Section("", [[heading.replace("_", " ") for heading in SHOWN], *lines])
    click.echo(tables.render(kind, [section], note, pd.DataFrame(rows, dtype=object)), nl=False)


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
    for heading in SHOWN:
        kinds = {type(row[heading]) for row in rows}
        if heading == "name":
            add_names(table, heading, (row[heading] for row in rows))
        else:
            justify: Justify = "right" if int in kinds else "center" if bool in kinds else "left"
            add_column(table, heading.replace("_", "\n"), justify)
    for row in rows:
        table.add_row(*(_marked_up(row, heading) for heading in SHOWN))
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    console.print(note, style="dim", markup=False)


def _marked_up(row: dict[str, Any], heading: str) -> str:
    text = _cell(row, heading)
    if heading == "paper" and row["url"]:
        return f"[link={row['url']}]{text}[/link]"
    return "[dim]-[/]" if text == "-" else text


def _cell(row: dict[str, Any], heading: str) -> str:
    value = row[heading]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
