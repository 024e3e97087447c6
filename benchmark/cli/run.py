"""`benchmark run`: train one model once, under its study's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.scale_options import scale_options
from benchmark.protocol import MNIST_SCALE, PAPER, STL10

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.events import Observer, Result
    from benchmark.spec import RunSpec


@click.command()
@click.option("-m", "--model", required=True, help="See `benchmark models`.")
@click.option(
    "-d",
    "--dataset",
    "--data",
    required=True,
    help="See `benchmark datasets`; or a file in the STIR format (.npz); or mnist-scale, mnist-range or stl10.",
)
@click.option("-e", "--evaluation", help="STIR's scenario: 1 Small2Large, 2 Mid2Rest, 3 Large2Small or 4 All2All.")
@click.option("--realization", type=int, help="Of mnist-scale, 0 to 5.  [default: 0]")
@click.option("--augment", is_flag=True, help="mnist-scale: rescale training images at random (the papers' +).")
@click.option("--kernel-size", type=int, help=f"STIR: odd, 3 to 31.  [default: {PAPER.kernel_size}]")
@click.option("--interpolation", help="STIR: nearest, bilinear, bicubic or area.  [default: bicubic]")
@click.option(
    "--lr",
    type=float,
    help="First rate.  [default: what the paper selected for this cell, else 1e-3; "
    f"mnist-scale: {MNIST_SCALE.lr:g}; stl10: {STL10.lr:g}]",
)
@click.option("--seed", type=int, help="Of everything random.  [default: 1; mnist-scale: the realization]")
@click.option(
    "--epochs",
    type=int,
    help=f"At most so many.  [default: {PAPER.max_epochs}; mnist-scale: {MNIST_SCALE.max_epochs}; "
    f"stl10: {STL10.max_epochs}]",
)
@click.option(
    "--patience",
    type=int,
    help=f"Stop after so many epochs without a better validation.  [default: {PAPER.patience}; mnist-scale: none]",
)
@click.option(
    "--batch-size",
    type=int,
    help=f"[default: {PAPER.batch_size}; mnist-scale: {MNIST_SCALE.batch_size}; stl10: {STL10.batch_size}]",
)
@click.option("--amp", metavar="TYPE", help="stl10: train in mixed precision, bfloat16 or float16.  [default: none]")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the data files.  [default: SICONVNET_DATA, else your own]",
)
@scale_options
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--tracking-uri", metavar="URI", help="MLflow store.  [default: MLFLOW_TRACKING_URI, else your own]")
@click.option(
    "--records",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a record folder for `benchmark ingest` and leave MLflow alone.",
)
@click.option("--force", is_flag=True, help="Run again what has finished before.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the table.")
def run(
    model: str,
    dataset: str,
    evaluation: str | None,
    realization: int | None,
    augment: bool,
    kernel_size: int | None,
    interpolation: str | None,
    lr: float | None,
    seed: int | None,
    epochs: int | None,
    patience: int | None,
    batch_size: int | None,
    amp: str | None,
    data_dir: Path | None,
    device: str,
    tracking_uri: str | None,
    records: Path | None,
    force: bool,
    quiet: bool,
    **scales: Any,
) -> None:
    """Train a model once and show its figures beside the published ones.

    \b
    benchmark run --model pixel_pool --dataset emoji --evaluation 2
    benchmark run --model ses_vector_28 --dataset mnist-scale --realization 0
    benchmark run --model scale_probe --dataset mnist-range --scale-range 1,8 --scale-parameterisation isr
    benchmark run --model wrn_16_8_ses_b --dataset stl10 --amp bfloat16 --data-dir ~/data

    The run is logged to MLflow while it goes on. A run that has finished before is shown, not repeated.
    Ctrl-C ends it cleanly.
    """
    import os

    from rich.console import Console

    from benchmark.environment import find_device
    from benchmark.protocol import find_scenario
    from benchmark.spec import RunSpec, default_lr

    if records and tracking_uri:
        raise click.UsageError("--records and --tracking-uri exclude each other; records go to MLflow by ingest.")
    if data_dir:
        os.environ["SICONVNET_DATA"] = str(data_dir)
    number = find_scenario(evaluation).id if evaluation else None
    given: dict[str, Any] = {
        "evaluation": number,
        "realization": realization,
        "augment": augment or None,
        "kernel_size": kernel_size,
        "interpolation": interpolation,
        "lr": default_lr(model, dataset, number) if lr is None else lr,
        "seed": seed,
        "batch_size": batch_size,
        "max_epochs": epochs,
        "patience": patience,
        "amp": amp,
        **scales,
    }
    spec = RunSpec(model, dataset, **given).validate()
    spec.check_effective()
    find_device(device)
    console = Console(highlight=False)
    go = _to_records if records else _to_mlflow
    go(spec, console, str(records or tracking_uri or ""), device=device, force=force, quiet=quiet)


def _to_records(spec: RunSpec, console: Console, root: str, *, device: str, force: bool, quiet: bool) -> None:
    from benchmark.records import RecordWriter, find_finished, read

    known = None if force else find_finished(root, spec.hash)
    if known:
        _show(console, spec, read(known).metrics, f"finished before: record {known} (--force repeats it)")
        return
    writer = RecordWriter(root)
    result = _execute(spec, console, writer, device=device, quiet=quiet)
    _show(console, spec, result.metrics, f"record {writer.written[-1]} (benchmark ingest {root} logs it)")


def _to_mlflow(spec: RunSpec, console: Console, uri: str, *, device: str, force: bool, quiet: bool) -> None:
    from benchmark.tracking import LiveRun, Store, TrackingError, shown

    with console.status("opening the MLflow store"):
        store = Store(uri or None)
        known = None if force else store.find_finished(spec)
    where = f"in {shown(store.uri)}"
    if known:
        line = f"finished before: MLflow run {known.info.run_id} {where} (--force repeats it)"
        _show(console, spec, known.data.metrics, line)
        return
    live = LiveRun(store)
    result = _execute(spec, console, live, device=device, quiet=quiet)
    if live.error is None:
        _show(console, spec, result.metrics, f"MLflow run {live.run_id} {where} (benchmark ui shows it)")
        return
    # The store failed on the way. What took hours to compute is kept where the store is not needed.
    record = _keep(result)
    _show(console, spec, result.metrics, f"record {record}")
    raise TrackingError(f"{live.error} The run is kept: benchmark ingest {record.parent} logs it later.")


def _execute(spec: RunSpec, console: Console, keeper: Observer, *, device: str, quiet: bool) -> Result:
    import signal

    from benchmark.execution import execute
    from benchmark.progress import follow

    # A batch system ends a job by SIGTERM; it is to end as cleanly as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    observers: list[Observer] = [keeper] if quiet else [follow(console), keeper]
    return execute(spec, device=device, observers=observers)


def _keep(result: Result) -> Path:
    import platformdirs

    from benchmark.records import write

    return write(result, Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "records")


def _show(console: Console, spec: RunSpec, metrics: Mapping[str, float], line: str) -> None:
    from benchmark.summary import render

    if not console.is_terminal:
        console.width = 120  # a file has no width; the guess of 80 would cut the table
    console.print()
    console.print(render(spec, metrics))
    console.print(line, style="dim", soft_wrap=True, markup=False)
