"""`benchmark evaluate`: the paper's metrics on runs that have finished."""

from __future__ import annotations

import click

from benchmark.cli import options
from siconvnet.errors import SiconvnetError


@click.command()
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

    What is found is logged into the run itself; `benchmark plot` and `benchmark leaderboard` show it.
    """
    import time

    from benchmark.environment import find_device
    from benchmark.evaluated import PARTS, done_parts, keep, load_model, read_predictions
    from benchmark.evaluated import evaluate as measure
    from benchmark.tracking import Store
    from siconvnet.datasets import load_dataset
    from siconvnet.errors import UnknownName

    for part in parts:
        if part not in PARTS:
            raise UnknownName("part", part, PARTS)
    wanted = parts or PARTS
    where = str(find_device(device))
    store = Store(tracking_uri)
    runs = options.chosen(store.runs(), models, datasets, evaluations)
    # A data file is known in the store by its content's key; only who names it can say where it is.
    places = {options.dataset_key(name): name for name in datasets}
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
