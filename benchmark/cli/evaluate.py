"""`benchmark evaluate`: metrics of runs that have finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmark.results.metrics import Findings, Metric, Trained
    from benchmark.store import Store
    from benchmark.studies import Study
    from siconvnet.datasets import StirDataset


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
@options.include_short
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--force", is_flag=True, help="Evaluate again what has been evaluated before.")
def evaluate(
    tracking_uri: str | None,
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    parts: tuple[str, ...],
    published_input_range: bool,
    include_short: bool,
    device: str,
    force: bool,
) -> None:
    """Measure finished runs: accuracy and consistency by object size, equivariance error, winning scales.

    \b
    benchmark evaluate                           STIR's runs
    benchmark evaluate --dataset mnist-scale     the error by object size

    What is found is logged into the run itself; `benchmark plot` and `benchmark leaderboard` show it.
    """
    from benchmark.results.sources import MLFLOW, Source
    from benchmark.system.environment import find_device

    study = options.asked_study(datasets)
    metrics = _metrics(study, parts, published_input_range=published_input_range)
    where = str(find_device(device))
    source = Source(study, [MLFLOW], tracking_uri)
    only = options.selection(study, source.runs, models, datasets, evaluations)
    runs = options.chosen(study, source.runs, only, include_short=include_short)
    assert source.store is not None
    # A data file is known in the store by its content's key; only the user who names it can say where it is.
    data = _Data(study, {key: name for name in datasets if (key := options.dataset_key(name)) != name})
    failed = 0
    for run in runs.sort_values([*study.section_fields, "dataset", "model", *study.repeated]).to_dict("records"):
        failed += not _evaluate(source.store, study, run, metrics, data, where, force=force)
    if failed:
        raise SiconvnetError(f"{failed} of {len(runs)} runs could not be evaluated.")


def _metrics(study: Study, parts: Sequence[str], *, published_input_range: bool) -> list[Metric]:
    """The metrics to measure.

    Raises:
        UnknownName: a part that no metric has.
        InvalidArgument: one that cannot be measured on the study.
    """
    from benchmark.results.metrics import find_metric, measured
    from siconvnet.errors import InvalidArgument, UnknownName

    known, possible = measured(), measured(study)
    for part in parts:
        if part not in known:
            raise UnknownName("part", part, known)
    if impossible := [part for part in parts if part not in possible]:
        raise InvalidArgument(
            f"{', '.join(impossible)}: not measured on {study.title}, whose images do not say where an object is; "
            f"only --part {', '.join(possible)} is."
        )
    asked = [find_metric(name) for name in parts or possible]
    if not published_input_range:
        return asked
    return [find_metric("equivariance_255") if metric.name == "equivariance" else metric for metric in asked]


class _Data:
    """The data sets of runs, each loaded once."""

    def __init__(self, study: Study, places: Mapping[str, str]):
        self._study, self._places = study, places
        self._loaded: dict[str, StirDataset] = {}

    def __call__(self, key: str) -> StirDataset:
        from siconvnet.datasets import load_dataset

        if key not in self._loaded:
            self._loaded[key] = load_dataset(self._places.get(key) or self._study.locate(key))
        return self._loaded[key]


def _evaluate(
    store: Store,
    study: Study,
    run: Mapping[str, Any],
    metrics: Iterable[Metric],
    data: Callable[[str], StirDataset],
    device: str,
    *,
    force: bool,
) -> bool:
    """Measure one run and keep what is found; whether that went well."""
    import time

    from rich.console import Console

    from benchmark.results.runs import spec_of
    from benchmark.store.evaluations import keep, parts_of, read_predictions

    spec = spec_of(study, run)
    name = " ".join(filter(None, [spec.name, "on", run["dataset"], run["section"]]))
    done = set() if force else parts_of(run["evaluated"])
    missing = [metric for metric in metrics if metric.name not in done]
    if not missing:
        click.echo(f"{name}: evaluated before (--force repeats it)")
        return True
    from benchmark.results.metrics import Trained
    from benchmark.store.weights import load_model
    from benchmark.training.progress import follow_passes

    start = time.perf_counter()
    try:
        with follow_passes(Console(stderr=True), name) as on_step:
            trained = Trained(
                spec,
                study.seen_sizes(spec),
                lambda: read_predictions(store, run["run_id"]),
                lambda: load_model(store, run, data(run["dataset"]), device),
                lambda: data(run["dataset"]),
                on_step,
            )
            found = _measure(trained, missing)
        keep(store, run["run_id"], found, [metric.name for metric in missing])
    except SiconvnetError as error:
        click.echo(f"{name}: failed: {error}", err=True)
        return False
    figures = {study.figure: run[study.figure], **found.scalars}
    told = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
    click.echo(f"{name}: {told} ({time.perf_counter() - start:.1f} s)")
    for part, reason in found.reasons.items():
        click.echo(f"  no {part}: {reason}")
    return True


def _measure(trained: Trained, metrics: Iterable[Metric]) -> Findings:
    """The findings of several metrics together."""
    from benchmark.results.metrics import Findings
    from siconvnet.metrics import NotMeasurable

    whole = Findings()
    for metric in metrics:
        if metric.measure is None:
            continue
        try:
            found = metric.measure(trained)
        except NotMeasurable as reason:
            whole.reasons[metric.name] = str(reason)
            continue
        whole.scalars |= found.scalars
        whole.by_scale |= found.by_scale
        whole.arrays |= found.arrays
    return whole
