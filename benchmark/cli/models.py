"""`benchmark models`: the methods under comparison."""

from __future__ import annotations

from typing import Any

import click

from benchmark.studies import all_studies, find_study


@click.command()
@click.argument("pattern", default="*")
@click.option("--study", default="stir", show_default=True, help=f"{', '.join(study.name for study in all_studies())}.")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def models(pattern: str, study: str, kind: str) -> None:
    """List the methods of a study whose name matches PATTERN ("*pool"), and what each supports."""
    from siconvnet.errors import UnknownName

    compared = find_study(study)
    names = compared.list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, compared.list_models())
    rows = [compared.model_row(name) for name in names]
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
        _print_table(rows, compared.models_note)


def _print_table(rows: list[dict[str, Any]], note: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = [heading for heading in rows[0] if heading != "url"]
    for heading in headings:
        kinds = {type(row[heading]) for row in rows}
        justify: Any = "right" if int in kinds else "center" if bool in kinds else "left"
        table.add_column(heading.replace("_", "\n"), justify=justify, style="bold" if heading == "name" else "")
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
