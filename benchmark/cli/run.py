"""`benchmark run`: train one model once, under its study's protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options
from benchmark.cli.settings_options import SettingsCommand, read_settings, settings_options

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.events import Observer, Result
    from benchmark.spec import RunSpec
    from benchmark.store import Store
    from benchmark.training.checkpoints import Checkpoint
    from benchmark.training.claims import Held


@click.command(cls=SettingsCommand)
@click.option("-m", "--model", required=True, help="See `benchmark models`.")
@click.option(
    "-d", "--dataset", "--data", required=True, help="See `benchmark datasets`; or a file in the STIR format (.npz)."
)
@settings_options
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the data files.  [default: SICONVNET_DATA, else your own]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@options.tracking_uri
@click.option(
    "--records",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a record folder for `benchmark ingest` and leave MLflow alone.",
)
@options.work_dir
@options.checkpoint_every
@click.option("--force", is_flag=True, help="Run from the start, also what has finished before.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the table.")
def run(
    model: str,
    dataset: str,
    settings: dict[str, Any],
    data_dir: Path | None,
    device: str,
    tracking_uri: str | None,
    records: Path | None,
    work_dir: Path | None,
    checkpoint_every: float,
    force: bool,
    quiet: bool,
) -> None:
    """Train a model once and show its figures beside the published ones.

    \b
    benchmark run --model pixel_pool --dataset emoji --evaluation 2
    benchmark run --model ses_vector_28 --dataset mnist-scale --realization 0
    benchmark run --model scale_probe --dataset mnist-range --scale-range 1,8 --scale-parameterisation isr
    benchmark run --model wrn_16_8_ses_b --dataset stl10 --amp bfloat16 --data-dir ~/data

    The run is logged to MLflow while it goes on. A run that has finished before is shown, not repeated. One that was
    stopped, by Ctrl-C or by force, goes on where it stood when the same command is given again.
    """
    import os

    from rich.console import Console

    from benchmark.spec import RunSpec
    from benchmark.studies import study_of
    from benchmark.system.environment import find_device
    from benchmark.training.work_folder import Workplace, default_folder

    if records and tracking_uri:
        raise click.UsageError("--records and --tracking-uri exclude each other; records go to MLflow by ingest.")
    if data_dir:
        os.environ["SICONVNET_DATA"] = str(data_dir)
    study = study_of(dataset)
    spec = RunSpec(model, dataset, **read_settings(study, settings))
    if "lr" not in settings:
        spec = spec.replace(lr=study.default_lr(spec))
    spec.validate()
    spec.check_effective()
    find_device(device)
    study.prepare(spec)
    # Not before the spec is known to be right: it loads PyTorch.
    from benchmark.training.claims import hold

    console = Console(highlight=False)
    train = functools.partial(_execute, spec, console, device=device, quiet=quiet)
    held = functools.partial(hold, spec, seconds=checkpoint_every, anew=force, say=functools.partial(_say, console))
    if records:
        # Whoever shares the folder of records shares its claims.
        _to_records(held(Workplace(work_dir or records / ".work")), console, records, train, force=force)
        return
    from benchmark.store import Store

    with console.status("opening the MLflow store"):
        store = Store(tracking_uri)
    _to_mlflow(held(Workplace(work_dir or default_folder(store.uri))), console, store, train, force=force)


def _to_records(
    held: AbstractContextManager[Held], console: Console, root: Path, train: Callable[..., Result], *, force: bool
) -> None:
    from benchmark.training.records import RecordWriter, find_finished

    with held as mine:
        spec = mine.spec
        known = find_finished(root, spec.hash)
        if known and not force:
            _show(console, spec, known.metrics, f"finished before: record {known.folder} (--force repeats it)")
            return
        writer = RecordWriter(root)
        result = train([mine, writer], None if known else mine.checkpoint)
    _show(console, spec, result.metrics, f"record {writer.written[-1]} (benchmark ingest {root} logs it)")


def _to_mlflow(
    held: AbstractContextManager[Held], console: Console, store: Store, train: Callable[..., Result], *, force: bool
) -> None:
    from benchmark.store import LiveRun, TrackingError, shown
    from benchmark.store.orphans import repair
    from benchmark.store.run_states import states_of

    where = f"in {shown(store.uri)}"
    with held as mine:
        spec = mine.spec
        known = store.find_finished(spec)
        if known and not force:
            line = f"finished before: MLflow run {known.run_id} {where} (--force repeats it)"
            _show(console, spec, known.metrics, line)
            return
        if mine.checkpoint.path.is_file():
            # Whoever was killed without a word left a run that seems to go on.
            for run in repair(store, states_of(store)):
                _say(console, f"marked as killed: run {run.run_id}, whose process on {run.host} is gone")
        live = LiveRun(store)
        result = train([mine, live], None if known else mine.checkpoint)
        # If the store failed on the way, what took hours to compute is kept where the store is not needed.
        record = _keep(result) if live.error else None
    if record is None:
        _show(console, spec, result.metrics, f"MLflow run {live.run_id} {where} (benchmark ui shows it)")
        return
    _show(console, spec, result.metrics, f"record {record}")
    raise TrackingError(f"{live.error} The run is kept: benchmark ingest {record.parent} logs it later.")


def _execute(
    spec: RunSpec,
    console: Console,
    observers: Sequence[Observer],
    checkpoint: Checkpoint | None,
    *,
    device: str,
    quiet: bool,
) -> Result:
    """Train.

    Args:
        checkpoint: None for a repetition of what has finished: without --force there would be nothing to go on with.
    """
    import signal

    from benchmark.training.execution import execute
    from benchmark.training.progress import follow

    # A batch system ends a job by SIGTERM; it is to end as cleanly as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watching = [*observers] if quiet else [follow(console), *observers]
    return execute(spec, device=device, observers=watching, checkpoint=checkpoint)


def _say(console: Console, line: str) -> None:
    if console.is_terminal:
        console.print()  # what Ctrl-C leaves on the line
    console.print(line, style="dim", soft_wrap=True, markup=False)


def _keep(result: Result) -> Path:
    import platformdirs

    from benchmark.training.records import write

    return write(result, Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "records")


def _show(console: Console, spec: RunSpec, metrics: Mapping[str, float], line: str) -> None:
    from benchmark.training.summary import render

    if not console.is_terminal:
        console.width = 120  # a file has no width; the guess of 80 would cut the table
    console.print()
    console.print(render(spec, metrics))
    console.print(line, style="dim", soft_wrap=True, markup=False)
