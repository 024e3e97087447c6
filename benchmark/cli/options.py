"""Options that several commands share, so that they read and act alike everywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from benchmark.studies import Study


class FiniteRange(click.FloatRange):
    """A range of numbers; click's own lets `nan` and `inf` pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return float(number)


tracking_uri = click.option(
    "--tracking-uri", metavar="URI", help="MLflow store.  [default: MLFLOW_TRACKING_URI, else your own]"
)
work_dir = click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Records, checkpoints and claims of runs.  [default: one a store, in your data folder]",
)
checkpoint_every = click.option(
    "--checkpoint-every",
    metavar="SECONDS",
    type=FiniteRange(min=0),
    default=30.0,
    show_default=True,
)
source = click.option(
    "--source",
    default="mlflow",
    show_default=True,
    metavar="mlflow|published|FILE.csv",
    help="Our store, the paper's tables, or a CSV file.",
)
models = click.option("-m", "--model", "models", multiple=True, help="Only this model; may be repeated.")
datasets = click.option("-d", "--dataset", "--data", "datasets", multiple=True, help="Only this dataset; repeatable.")
evaluations = click.option(
    "-e", "--evaluation", "evaluations", multiple=True, help="Only this scenario, 1 to 4 or its name; repeatable."
)


class NoRuns(SiconvnetError):
    """A selection that leaves nothing; what to type is in the message."""


def chosen(
    runs: pd.DataFrame, models: tuple[str, ...], datasets: tuple[str, ...], evaluations: tuple[str, ...]
) -> pd.DataFrame:
    """The rows of these models, datasets (or data files) and scenarios; an empty tuple asks for all.

    Raises:
        UnknownName: a scenario that does not exist, or a model or dataset that neither exists nor has runs.
        NoRuns: there is none.
    """
    from benchmark.protocol import find_scenario
    from benchmark.studies import default_study
    from benchmark.studies.scale_fields import of_variant
    from siconvnet.datasets import list_datasets
    from siconvnet.errors import UnknownName
    from siconvnet.models import is_target

    datasets = tuple(dataset_key(name) for name in datasets)
    for kind, asked, listed in (
        ("model", models, default_study().list_models()),
        ("dataset", datasets, list_datasets()),
    ):
        known = {*listed, *runs[kind]}
        for name in asked:
            if name not in known and not (kind == "model" and is_target(name)):
                raise UnknownName(kind, name, known)
    numbers = [find_scenario(value).id for value in evaluations]
    if models:
        # A model's name asks for its variants too.
        of_models = runs["model"].map(lambda name: of_variant(name)[0])
        runs = runs[runs["model"].isin(models) | of_models.isin(models)]
    for column, wanted in (("dataset", list(datasets)), ("evaluation", numbers)):
        if wanted:
            runs = runs[runs[column].isin(wanted)]
    if runs.empty:
        others = "" if datasets else " Other studies than STIR are asked for by name, as in --dataset mnist-scale."
        raise NoRuns(
            "no finished run of that selection; train one with `benchmark run` or `benchmark sweep`. Runs of another "
            f"length or batch size than the paper's do not count.{others}"
        )
    return runs


def asked_study(datasets: tuple[str, ...]) -> Study:
    """The study that the datasets asked for are of; STIR if none is asked for.

    Raises:
        InvalidArgument: they are of several.
    """
    from benchmark.studies import default_study, study_of
    from siconvnet.errors import InvalidArgument

    found = {study_of(name).name: name for name in datasets}
    if len(found) > 1:
        raise InvalidArgument(f"{' and '.join(found.values())} are of different studies; ask for one at a time.")
    return study_of(next(iter(found.values()))) if found else default_study()


def refuse_foreign(study: Study, given: Mapping[str, object]) -> None:
    """Refuse options of another study.

    Args:
        given: field of a `RunSpec` -> the option's value; None or empty where it was not given.
    """
    from siconvnet.errors import InvalidArgument

    for field, value in given.items():
        if value not in (None, ()) and field not in study.fields:
            raise InvalidArgument(f"--{field.replace('_', '-')} does not apply to {study.title}; leave it out.")


def study_runs(
    study: Study, source: str, tracking_uri: str | None, models: tuple[str, ...], evaluations: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The runs of a study other than STIR, from MLflow or a CSV file, of these models; none from "published".

    Raises:
        InvalidArgument: an evaluation was asked for.
        UnknownName: a model of no such name.
        NoRuns: there is none.
    """
    from benchmark.results import sources
    from siconvnet.errors import UnknownName

    refuse_foreign(study, {"evaluation": evaluations})
    for name in models:
        if name not in (known := study.list_models()):
            raise UnknownName("model", name, known)
    runs = sources.load_study_runs(study, source, tracking_uri=tracking_uri)
    if models:
        runs = runs[runs["model"].isin(models)].reset_index(drop=True)
    if runs.empty and source != sources.PUBLISHED:
        raise NoRuns("no finished run of that selection; train one with `benchmark run` or `benchmark sweep`.")
    return runs


def dataset_key(name: str) -> str:
    """What results call a dataset that a user names, or the data file that a user gives."""
    from benchmark.studies import study_of

    return study_of(name).dataset_key(name)
