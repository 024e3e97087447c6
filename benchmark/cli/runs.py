"""`benchmark runs`: the single runs of a store, listed, shown and deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from benchmark.cli import Group
from benchmark.cli.options import table_format, tracking_uri

if TYPE_CHECKING:
    from benchmark.store import Store
    from benchmark.store.reading import StoredRun

STATUSES = ("finished", "failed", "killed", "running")
HEADINGS = ("run", "status", "ended", "name", "dataset", "test")
#: How much of a run's id is shown; as much as tells it from the others is accepted.
_SHOWN = 8


@click.group(cls=Group, short_help="List, show or delete single runs.")
def runs() -> None:
    """List, show or delete single runs of a store, whichever way they were started."""


@runs.command("list")
@tracking_uri
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many, latest first."
)
@table_format
def list_runs(tracking_uri: str | None, status: str | None, limit: int, kind: str) -> None:
    """List the latest runs: id, status, when they ended, name, data set and test accuracy or error in percent."""
    import pandas as pd

    from benchmark.results import tables
    from benchmark.store import Store, shown

    tables.check_format(kind)
    store = Store(tracking_uri, create=False)
    # A run that is going on has no end, and is what is looked for first.
    found = store.read(statuses=[status.upper()] if status else ())
    found.sort(key=lambda run: run.end or float("inf"), reverse=True)
    if not found:
        click.echo(f"no {f'{status} ' if status else ''}runs in {shown(store.uri)}")
        return
    rows = [list(_row(run)) for run in found[:limit]]
    rest = f"and {len(found) - limit} earlier ones (--limit)" if len(found) > limit else ""
    section = tables.Section("", [list(HEADINGS), *rows])
    click.echo(tables.render(kind, [section], rest, pd.DataFrame(rows, columns=list(HEADINGS))), nl=False)


@runs.command("show")
@click.argument("run_id")
@tracking_uri
def show_run(run_id: str, tracking_uri: str | None) -> None:
    """Show the parameters, metrics and tags of a run, by its id or the beginning of it."""
    from benchmark.store import Store

    run = find(Store(tracking_uri, create=False), run_id)
    click.echo(f"run {run.run_id}: {', '.join(_row(run)[1:])}")
    metrics = {name: f"{value:g}" for name, value in run.metrics.items()}
    for title, entries in (("parameters", run.params), ("metrics", metrics), ("tags", run.tags)):
        click.echo(f"{title}:")
        for name, value in sorted(entries.items()):
            click.echo(f"  {name}: {' '.join(value.split())}")


@runs.command("delete")
@click.argument("run_ids", nargs=-1, required=True)
@tracking_uri
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_runs(run_ids: tuple[str, ...], tracking_uri: str | None, yes: bool) -> None:
    """Delete runs, by their ids or the beginnings of them. `mlflow runs restore` brings one back.

    A sweep, or the same benchmark run, then trains them again.
    """
    from benchmark.store import Store
    from siconvnet.errors import InvalidArgument

    store = Store(tracking_uri, create=False)
    chosen = {run.run_id: run for run in (find(store, run_id) for run_id in run_ids)}
    for run in chosen.values():
        if run.status == "RUNNING":
            raise InvalidArgument(
                f"run {run.run_id} is still running; stop it first, or end it with benchmark status --repair if its "
                "process is gone."
            )
    for run in chosen.values():
        click.echo(f"{run.run_id}: {', '.join(_row(run)[1:])}")
    if not yes:
        click.confirm(f"Delete {len(chosen)} runs?" if len(chosen) > 1 else "Delete this run?", abort=True)
    for run_id in chosen:
        store.delete(run_id)
    click.echo(f"deleted: {len(chosen)}")


def find(store: Store, run_id: str) -> StoredRun:
    """The run whose id begins so.

    Raises:
        InvalidArgument: there is none, or there are several.
    """
    from benchmark.store.reading import NOTHING
    from siconvnet.errors import InvalidArgument

    known = [run.run_id for run in store.read(fields=NOTHING) if run.run_id.startswith(run_id)] if run_id else []
    if len(known) != 1:
        what = f"{len(known)} runs have ids that begin with" if known else "there is no run"
        raise InvalidArgument(f"{what} {run_id!r}; benchmark runs list shows them.")
    return store.read(run_ids=known)[0]


def _row(run: StoredRun) -> tuple[str, ...]:
    ended = "" if run.end is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(run.end))
    figures = [f"{run.metrics[name]:.2f} {unit}" for name, unit in (("test_err", "% error"), ("test_acc", "%"))
               if name in run.metrics]  # fmt: skip
    name = run.tags.get("mlflow.runName", "")
    return run.run_id[:_SHOWN], run.status.lower(), ended, name, run.params.get("data", ""), *(figures[:1] or [""])
