"""`benchmark status`: how far a sweep is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import import_from
from benchmark.cli.options import tracking_uri, work_dir
from benchmark.cli.sweep import by_model, counts, grid_options

if TYPE_CHECKING:
    from benchmark.store.run_states import RunState
    from benchmark.sweeps.grid import Grid, Plan
    from benchmark.training.work_folder import Workplace

SHOWN = 20


@click.command(short_help="Show what of a sweep is done, running, failed or missing.")
@grid_options
@tracking_uri
@work_dir
@click.option("--repair", "mend", is_flag=True, help="Log what waits; mark as killed what nobody runs any more.")
@click.option("-v", "--verbose", is_flag=True, help="Every run, and the last lines of failed ones.")
def status(grid: dict[str, Any], tracking_uri: str | None, work_dir: Path | None, mend: bool, verbose: bool) -> None:
    """Show what of a sweep is done, running, failed (and why) or missing, and how long the rest takes.

    Without a suite or a grid it is about the last sweep on this store.
    """
    from benchmark.store import resolve_uri
    from benchmark.store.run_states import read_states
    from benchmark.sweeps.grid import plan as plan_of
    from benchmark.training.work_folder import Workplace, default_folder

    uri = resolve_uri(tracking_uri)
    place = Workplace(work_dir or default_folder(uri))
    if mend:
        _mend(uri, place)  # also where no sweep is known: a run that was killed by itself is mended as well
    title, grids, slots = _grids(grid, place)
    runs = read_states(uri)
    plan = plan_of(grids, runs)
    running = place.running()
    click.echo(f"{title}: {counts(plan)}; {len(running)} running now")
    _show_left(plan, runs, max(1, len(running) or slots))
    for key, state in running.items():
        name = next((_label(spec) for full, spec in plan.specs.items() if full.startswith(key)), f"run {key}")
        epoch = f"epoch {state['epoch']}/{state['of']}" if state.get("of") else "starting"
        click.echo(f"running: {name}: {epoch} on {state.get('host', 'another machine')}")
    _show_failed(plan, runs, verbose=verbose)
    if waiting := len(place.waiting()):
        click.echo(f"{waiting} finished runs wait in {place.records}; the next sweep or --repair logs them")
    if lost := _orphans(runs):
        click.echo(f"{lost} runs are marked as running although their process is gone; --repair ends them")
    for skip in plan.skipped:
        click.echo(f"skipped: {skip}")


def _grids(values: dict[str, Any], place: Workplace) -> tuple[str, tuple[Grid, ...], int]:
    from benchmark.sweeps.grid import Grid
    from benchmark.sweeps.suites import choose_grids
    from siconvnet.errors import SiconvnetError

    plan = place.read_plan()
    if values:
        return *choose_grids(values), int(plan.get("slots", 1))
    try:
        grids = tuple(Grid.from_dict(entry) for entry in plan["grids"])
        # Plans of earlier versions do not say where they were made.
        import_from(Path(str(plan.get("folder", "."))))
        return str(plan["title"]), grids, int(plan["slots"])
    except (KeyError, TypeError, ValueError):
        raise SiconvnetError(
            f"no sweep is known in {str(place.root)!r}; start one with benchmark sweep, or name a suite or a grid. "
            "Single runs: benchmark runs list."
        ) from None


def _mend(uri: str, place: Workplace) -> None:
    from benchmark.store import Store, shown
    from benchmark.store.ingestion import ingest
    from benchmark.store.orphans import repair
    from benchmark.store.run_states import read_states

    store = Store(uri, create=False)
    place.prepare(shown(store.uri))
    for outcome in ingest(place.records, store, once=True):
        if outcome.record is None:
            click.echo(f"not logged: {outcome.error}")
        else:
            click.echo(f"logged: {_label(outcome.record.spec)}")
    for run in repair(store, read_states(uri)):
        click.echo(f"marked as killed: run {run.run_id}, whose process on {run.host} is gone")


def _show_left(plan: Plan, runs: list[RunState], slots: int) -> None:
    from benchmark.sweeps.board import count, estimate
    from benchmark.training.progress import duration

    missing = count(plan)
    if not missing.total():
        return
    left = estimate(runs).left(missing, slots)
    known = "unknown, nothing has finished yet" if left is None else f"{duration(left)} with {slots} at once"
    click.echo(f"time left: {known}")
    click.echo("missing:")
    for line in by_model(plan):
        click.echo(line)


def _show_failed(plan: Plan, runs: list[RunState], *, verbose: bool) -> None:
    from benchmark.sweeps.board import machine
    from benchmark.sweeps.grid import FAILED

    latest: dict[str, RunState] = {}
    for run in runs:
        if run.status == "FAILED":
            latest.setdefault(run.spec_hash, run)
    failed = plan.of(FAILED)
    for spec in failed if verbose else failed[:SHOWN]:
        run = latest[spec.hash]
        click.echo(f"failed: {_label(spec)} on {machine(run.host)}: {run.reason}")
        for line in run.last_lines.splitlines() if verbose else ():
            click.echo(f"    {line}")
    if len(failed) > SHOWN and not verbose:
        click.echo(f"and {len(failed) - SHOWN} more that failed (--verbose)")


def _orphans(runs: list[RunState]) -> int:
    from benchmark.store.orphans import orphans

    return len(orphans(runs))


def _label(spec: Any) -> str:
    from benchmark.sweeps.board import label

    return label(spec)
