"""`benchmark evaluate`: the paper's metrics on runs that have finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from benchmark.cli import options
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from benchmark.store import Store
    from benchmark.studies import Study


@click.command(short_help="Measure finished runs: accuracy by object size, equivariance, winning scales.")
@options.tracking_uri
@options.models
@options.datasets
@options.evaluations
@click.option("--part", "parts", multiple=True, help="generalization, equivariance or indices.  [default: all]")
@click.option(
    "--published-input-range",
    is_flag=True,
    help="Feed the equivariance error 0..255, as the published code does, instead of 0..1 as in training.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--force", is_flag=True, help="Evaluate again what has been evaluated before.")
def evaluate(
    tracking_uri: str | None,
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    parts: tuple[str, ...],
    published_input_range: bool,
    device: str,
    force: bool,
) -> None:
    """Measure finished runs: accuracy and consistency by object size, equivariance error, winning scales.

    \b
    benchmark evaluate                           STIR's runs
    benchmark evaluate --dataset mnist-scale     the error by object size

    What is found is logged into the run itself; `benchmark plot` and `benchmark leaderboard` show it.
    """
    from benchmark.results import sources
    from benchmark.results.metrics import PARTS
    from benchmark.store import Store
    from benchmark.studies.stir import STIR
    from benchmark.system.environment import find_device
    from siconvnet.errors import UnknownName

    for part in parts:
        if part not in PARTS:
            raise UnknownName("part", part, PARTS)
    wanted = parts or PARTS
    where = str(find_device(device))
    store = Store(tracking_uri, create=False)
    study = options.asked_study(datasets)
    if study is not STIR:
        options.refuse_foreign(study, {"evaluation": evaluations})
        runs = options.study_runs(study, sources.MLFLOW, tracking_uri, models)
        _by_size(store, study, runs, wanted, force=force)
        return
    runs = options.chosen(store.runs(), models, datasets, evaluations)
    # A data file is known in the store by its content's key; only who names it can say where it is.
    places = {options.dataset_key(name): name for name in datasets}
    _stir(store, runs, places, wanted, where, published_input_range=published_input_range, force=force)


def _by_size(store: Store, study: Study, runs: pd.DataFrame, wanted: tuple[str, ...], *, force: bool) -> None:
    """Runs of a study whose images lie in no scenario: from their stored predictions alone."""
    from benchmark.results.metrics import by_size
    from benchmark.results.runs import spec_of
    from benchmark.store.evaluations import done_parts, keep, read_predictions
    from siconvnet.errors import InvalidArgument

    if "generalization" not in wanted:
        raise InvalidArgument(
            f"{', '.join(wanted)}: not measured on {study.title}, whose images do not say where an object is; "
            "only --part generalization is."
        )
    failed = 0
    for run in runs.to_dict("records"):
        spec = spec_of(study, run)
        name = f"{spec.name} on {spec.dataset}"
        if not force and "generalization" in done_parts(store, run["run_id"]):
            click.echo(f"{name}: evaluated before (--force repeats it)")
            continue
        try:
            found = by_size(read_predictions(store, run["run_id"]))
            keep(store, run["run_id"], found, ["generalization"])
        except SiconvnetError as error:
            failed += 1
            click.echo(f"{name}: failed: {error}", err=True)
            continue
        figures = ", ".join(_sized(key, value) for key, value in found.scalars.items())
        click.echo(f"{name}: test error {run['test_err']:.2f} %{': ' if figures else ''}{figures}")
        for part, reason in found.reasons.items():
            click.echo(f"  no {part}: {reason}")
    if failed:
        raise SiconvnetError(f"{failed} of {len(runs)} runs could not be evaluated.")


def _sized(metric: str, value: float) -> str:
    """`err_8_14` as `8-14 pixels 4.31`."""
    _, first, last = metric.split("_")
    return f"{first}-{last} pixels {value:.2f}"


def _stir(
    store: Store,
    runs: pd.DataFrame,
    places: Mapping[str, str],
    wanted: tuple[str, ...],
    where: str,
    *,
    published_input_range: bool,
    force: bool,
) -> None:
    import time

    from benchmark.results.metrics import evaluate as measure
    from benchmark.store.evaluations import done_parts, keep, read_predictions
    from benchmark.store.weights import load_model
    from siconvnet.datasets import load_dataset

    loaded, failed = {}, 0
    for run in runs.sort_values(["dataset", "model", "evaluation", "seed"]).to_dict("records"):
        name = f"{run['model']} {run['dataset']} {run['evaluation']} seed {run['seed']}"
        labels = {part: part + "_255" * (published_input_range and part == "equivariance") for part in wanted}
        missing = [part for part in wanted if force or labels[part] not in done_parts(store, run["run_id"])]
        if not missing:
            click.echo(f"{name}: evaluated before (--force repeats it)")
            continue
        start = time.perf_counter()
        try:
            if run["dataset"] not in loaded:
                loaded[run["dataset"]] = load_dataset(places.get(run["dataset"], run["dataset"]))
            dataset = loaded[run["dataset"]]
            model = load_model(store, run, dataset, where)
            found = measure(
                model,
                run["model"],
                dataset,
                int(run["evaluation"]),
                parts=missing,
                published_input_range=published_input_range,
                predictions=read_predictions(store, run["run_id"]),
            )
            keep(store, run["run_id"], found, [labels[part] for part in missing])
        except SiconvnetError as error:
            failed += 1
            click.echo(f"{name}: failed: {error}", err=True)
            continue
        figures = ", ".join(f"{key} {value:.4g}" for key, value in found.scalars.items())
        click.echo(f"{name}: {figures} ({time.perf_counter() - start:.1f} s)")
        for part, reason in found.reasons.items():
            click.echo(f"  no {part}: {reason}")
    if failed:
        raise SiconvnetError(f"{failed} of {len(runs)} runs could not be evaluated.")
