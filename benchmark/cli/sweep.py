"""`benchmark sweep`: a whole grid of runs, each exactly once, across crashes and restarts."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchmark.cli.options import FiniteRange, checkpoint_every, tracking_uri, work_dir

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.sweeps.grid import Grid, Plan
    from benchmark.training.work_folder import Workplace

F = TypeVar("F", bound=Callable[..., Any])

# Where the options follow no study's axes. Each keeps its name in a suite.
_LENGTHS = (
    click.option(
        "--select-lr-over-seeds", metavar="LIST", help="Choose one of --lrs by validation over these seeds first."
    ),
    click.option("--epochs", metavar="N", help="At most so many.  [default: the protocol's]"),
    click.option("--patience", metavar="N", help="Epochs without a better validation.  [default: the protocol's]"),
    click.option("--batch-size", metavar="N", help="[default: the protocol's]"),
)
_SHORT = {"models": "-m", "datasets": "-d", "evaluations": "-e"}


def grid_options(function: F) -> F:
    """The options that state a grid, one for each axis of any study; they arrive as one dictionary `grid`."""
    from benchmark.sweeps.suites import LENGTHS, SELECT, axis_names, list_suites

    keys = ("suite", *axis_names(), SELECT, *LENGTHS)

    @functools.wraps(function)
    def gathered(**values: Any) -> Any:
        grid = {name: values.pop(name) for name in keys}
        return function(grid={name: value for name, value in grid.items() if value is not None}, **values)

    suites = click.option("--suite", metavar="NAME|FILE", help=f"{', '.join(list_suites())}, or a YAML file.")
    for option in reversed([suites, *map(_axis_option, axis_names()), *_LENGTHS]):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]


def _axis_option(name: str) -> Callable[[F], F]:
    """The option of an axis: what its studies say of it, and their defaults."""
    from benchmark.studies import all_studies

    axes = {study: axis for study in all_studies() for axis in study.axes if axis.name == name}
    first = next(iter(axes.values()))
    told = first.help
    if first.default is not None:
        others = {study.name: axis.default for study, axis in axes.items() if axis.default != first.default}
        changed = "".join(f"; {study}: {default}" for study, default in others.items())
        told += f"  [default: {first.default}{changed}]"
    if len(axes) < len(all_studies()):
        told = f"{', '.join(study.title for study in axes)}: {told[0].lower()}{told[1:]}"
    names = [*([_SHORT[name]] if name in _SHORT else []), f"--{name.replace('_', '-')}"]
    alone: dict[str, Any] = {"is_flag": False, "flag_value": first.alone} if first.alone else {}
    return click.option(*names, metavar="LIST", help=told, **alone)


@click.command()
@grid_options
@click.option(
    "--executor", default="processes", show_default=True, metavar="NAME", help="processes, slurm, ray or inline."
)
@click.option("--workers", type=click.IntRange(min=1), help="Runs at once.  [default: one a GPU, else a processor]")
@click.option("--threads", type=click.IntRange(min=1), help="Of each worker.  [default: processors / workers]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--slurm-partition", metavar="NAME")
@click.option("--slurm-time", metavar="MINUTES", type=click.IntRange(min=1), help="Limit of a run.  [default: 720]")
@click.option("--slurm-gpus", metavar="N", type=click.IntRange(min=0), help="GPUs of a run.  [default: 0]")
@click.option("--slurm-setup", metavar="COMMAND", multiple=True, help="Shell line before each run; repeatable.")
@click.option("--slurm-option", metavar="KEY=VALUE", multiple=True, help="Any other option of sbatch; repeatable.")
@click.option(
    "--ray-address", metavar="HOST:PORT|auto", help="Of a cluster.  [default: RAY_ADDRESS, else started here]"
)
@click.option("--ray-gpus", metavar="N", type=FiniteRange(min=0), help="GPUs of a run, 0.25 too.  [default: 1 if any]")
@click.option(
    "--ray-max-retries", metavar="N", type=click.IntRange(min=0), help="When a run's node is lost.  [default: 3]"
)
@tracking_uri
@work_dir
@checkpoint_every
@click.option("--retry-failed", is_flag=True, help="Run again what failed before.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run.")
def sweep(
    grid: dict[str, Any],
    executor: str,
    workers: int | None,
    threads: int | None,
    device: str,
    slurm_partition: str | None,
    slurm_time: int | None,
    slurm_gpus: int | None,
    slurm_setup: tuple[str, ...],
    slurm_option: tuple[str, ...],
    ray_address: str | None,
    ray_gpus: float | None,
    ray_max_retries: int | None,
    tracking_uri: str | None,
    work_dir: Path | None,
    checkpoint_every: float,
    retry_failed: bool,
    dry_run: bool,
) -> None:
    """Run a grid of models, data, settings, rates and seeds.

    \b
    benchmark sweep --models "*_pool,standard" --datasets emoji --evaluations 2 --seeds 1-5
    benchmark sweep --models ses_scalar_28 --datasets mnist-scale --realizations 0-5
    benchmark sweep --suite paper --dry-run

    The same command again goes on where it was stopped: what is finished is not repeated. Failed runs do not stop
    the others; they are listed at the end and by `benchmark status`, and tried again with --retry-failed.
    """
    from rich.console import Console

    from benchmark.store import resolve_uri
    from benchmark.sweeps.suites import choose_grids
    from benchmark.training.work_folder import Workplace, default_folder

    title, grids = choose_grids(grid)
    slurm = {
        "partition": slurm_partition,
        "time": slurm_time,
        "gpus": slurm_gpus,
        "setup": slurm_setup or None,
        "option": slurm_option or None,
    }
    ray = {"address": ray_address, "gpus": ray_gpus, "max_retries": ray_max_retries}
    options = _executor_options(executor, workers, device, {"slurm": slurm, "ray": ray})
    uri = resolve_uri(tracking_uri)
    place = Workplace(work_dir or default_folder(uri))
    console = Console(highlight=False)
    if dry_run:
        _show(console, title, grids, uri)
        return
    from benchmark.sweeps.executors.base import Settings
    from benchmark.system.environment import find_device

    gpus = _gpus(device) if executor == "processes" else 0
    if executor in ("processes", "inline") and device not in ("auto", "cpu"):
        find_device(device)
    settings = Settings(place.root, device, threads or 0, checkpoint_every)
    if executor == "processes":
        options |= {"gpus": gpus, "workers": workers or _workers(gpus, device)}
    _go(console, title, grids, uri, place, executor, settings, options, retry_failed=retry_failed)


def _go(
    console: Console,
    title: str,
    grids: tuple[Grid, ...],
    uri: str,
    place: Workplace,
    executor: str,
    settings: Any,
    options: dict[str, Any],
    *,
    retry_failed: bool,
) -> None:
    import signal

    from benchmark.store import Store, shown
    from benchmark.sweeps.board import board
    from benchmark.sweeps.driver import Driver
    from benchmark.sweeps.executors import make_executor
    from benchmark.sweeps.grid import data_of

    # Workers must not all build the same file, and a file that cannot be had is to be heard of now.
    for spec in data_of(grids):
        spec.study.prepare(spec)
    # A batch system ends a job by SIGTERM; it is to end as cleanly as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place.prepare(shown(uri))
    # A store that does not answer is heard of before a cluster is started, or asked.
    store = Store(uri)
    shows = board(console, place.logs / "sweep.log")
    runner = make_executor(executor, settings, shows.progress, **options)
    _keep_plan(place, title, grids, runner.slots)
    shows.say(f"{title}: {runner.name}; store {shown(uri)}; log {shows.log}")
    Driver(grids, store, place, runner, shows, retry_failed=retry_failed).run()


def _keep_plan(place: Workplace, title: str, grids: tuple[Grid, ...], slots: int) -> None:
    """Remember what is being swept so that it means the same in another folder.

    Data files are named in full. Models that are named by module are found from the folder that is kept.
    """
    import dataclasses

    kept = [dataclasses.asdict(grid) for grid in grids]
    for grid in kept:
        names = grid["axes"]["datasets"]
        grid["axes"]["datasets"] = [str(Path(n).absolute()) if n.lower().endswith(".npz") else n for n in names]
    place.write_plan({"title": title, "grids": kept, "slots": slots, "folder": str(Path.cwd())})


def _executor_options(
    executor: str, workers: int | None, device: str, own: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """What was said for the executor, checked against what it takes; `own` are the options of one executor alone."""
    from benchmark.sweeps.executors import EXECUTORS
    from siconvnet.errors import UnknownName

    if executor not in EXECUTORS:
        raise UnknownName("executor", executor, EXECUTORS)
    given = {kind: {name: value for name, value in own[kind].items() if value is not None} for kind in own}
    for kind, options in given.items():
        if options and kind != executor:
            option = f"--{kind}-{next(iter(options))}".replace("_", "-")
            raise click.UsageError(f"{option} needs --executor {kind}, not {executor}.")
    if workers and "workers" not in EXECUTORS[executor][1]:
        raise click.UsageError(f"--workers has no meaning with --executor {executor}.")
    if executor in ("slurm", "ray") and device not in ("auto", "cpu", "cuda"):
        raise click.UsageError(f"--device {device}: {executor} deals out the GPUs; name auto, cpu or cuda.")
    gpus = given.get(executor, {}).get("gpus")
    if (device == "cpu" and gpus) or (device == "cuda" and gpus == 0):
        raise click.UsageError(f"--device {device} contradicts --{executor}-gpus {gpus:g}; leave one of them out.")
    return {**given.get(executor, {}), **({"workers": workers} if workers else {})}


def _gpus(device: str) -> int:
    """How many GPUs to deal out: those there are, unless a device was named."""
    # Loading PyTorch to learn that there is none takes the driver seconds.
    if device not in ("auto", "cuda") or (sys.platform == "linux" and not any(map(os.path.exists, _gpu_files()))):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _gpu_files() -> list[str]:
    """What the system has where there is a GPU: NVIDIA's, AMD's, that of Linux inside of Windows."""
    return ["/dev/nvidiactl", "/dev/kfd", "/dev/dxg"]


def _workers(gpus: int, device: str) -> int:
    from benchmark.sweeps.executors.base import default_workers

    # Whoever names one GPU has one; a process for each processor would crowd it.
    return default_workers(1 if device.startswith("cuda:") else gpus)


def _show(console: Console, title: str, grids: tuple[Grid, ...], uri: str) -> None:
    """What a sweep would do."""
    from benchmark.store.run_states import read_states
    from benchmark.sweeps import grid as sweeping

    plan = sweeping.plan(grids, read_states(uri))
    console.print(f"{title}: {counts(plan)}", soft_wrap=True, markup=False)
    for line in by_model(plan):
        console.print(line, soft_wrap=True, markup=False)
    for skip in plan.skipped:
        console.print(f"skipped: {skip}", soft_wrap=True, markup=False)


def counts(plan: Plan) -> str:
    """`20 runs: 12 done, 1 failed, 7 to do`."""
    from benchmark.sweeps import grid as sweeping

    done, failed, missing = (len(plan.of(s)) for s in (sweeping.FINISHED, sweeping.FAILED, sweeping.MISSING))
    later = f", {plan.waits} once their rate is chosen" if plan.waiting else ""
    return f"{plan.total} runs: {done} done, {failed} failed, {missing} to do{later}"


def by_model(plan: Plan) -> list[str]:
    """What is left, one line a (model, dataset)."""
    from benchmark.sweeps.board import count

    missing: Counter[tuple[str, str]] = Counter()
    for (model, dataset, _), runs in count(plan).items():
        missing[model, dataset] += runs
    return [f"  {runs:6d}  {model} on {dataset}" for (model, dataset), runs in missing.items()]
