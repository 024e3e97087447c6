"""`benchmark ingest`: log record folders to MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import tracking_uri


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@tracking_uri
@click.option("--keep", is_flag=True, help="Leave the records where they are.")
def ingest(folders: tuple[Path, ...], tracking_uri: str | None, keep: bool) -> None:
    """Log the records in DIR to MLflow, each once, and remove their files.

    DIR is what `benchmark run --records DIR` wrote into, or a single record. Safe to repeat, to interrupt and to run
    twice at a time. Each record is checked as a whole first; one that is broken stays, and the others go on.
    """
    from benchmark.store import Store, shown
    from benchmark.store.ingestion import ingest as ingest_records
    from benchmark.training.records import find
    from siconvnet.errors import SiconvnetError

    for folder in folders:
        find(folder)
    store = Store(tracking_uri)
    logged = known = 0
    broken: list[str] = []
    for folder in folders:
        for outcome in ingest_records(folder, store, keep=keep):
            if outcome.error:
                broken.append(outcome.error)
            if outcome.record is None:
                continue
            spec, status = outcome.record.spec, outcome.record.status
            logged, known = logged + bool(outcome.run_id), known + (not outcome.run_id)
            said = f"run {outcome.run_id}" if outcome.run_id else "there already"
            if outcome.run_id and outcome.repeats:
                said += f", a second run of the same settings; run {outcome.repeats} stays the one that counts"
            click.echo(f"{spec.name} on {outcome.record.dataset_key} {spec.setting}: {status.lower()}, {said}")
    click.echo(f"{logged} logged, {known} there already, {len(broken)} broken; store {shown(store.uri)}")
    if broken:
        raise SiconvnetError("; ".join(broken))
