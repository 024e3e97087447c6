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
    "sources",
    default=("mlflow",),
    show_default="mlflow",
    metavar="mlflow|published|FILE.csv",
    multiple=True,
    help="Our store, the papers' tables, or a CSV file; repeatable.",
)
include_short = click.option(
    "--include-short", is_flag=True, help="Also runs of another length than the protocol's, marked as such."
)
models = click.option("-m", "--model", "models", multiple=True, help="Only this model; may be repeated.")
datasets = click.option("-d", "--dataset", "--data", "datasets", multiple=True, help="Only this dataset; repeatable.")
evaluations = click.option(
    "-e", "--evaluation", "evaluations", multiple=True, help="Only this scenario, 1 to 4 or its name; repeatable."
)


table_format = click.option(
    "--format", "kind", default="table", show_default=True, help="table, csv, markdown or latex."
)
LISTING_FORMATS = ("table", "csv", "json", "markdown", "latex")
listing_format = click.option(
    "--format", "kind", default="table", show_default=True, help="table, csv, json, markdown or latex."
)
NO_RUNS = "no finished run of that selection; train one with `benchmark run` or `benchmark sweep`."


class NoRuns(SiconvnetError):
    """A selection that leaves nothing; what to type is in the message."""


def selection(
    study: Study, runs: pd.DataFrame, models: tuple[str, ...], datasets: tuple[str, ...], evaluations: tuple[str, ...]
) -> dict[str, tuple[Any, ...]]:
    """What was asked for, as field -> values for `benchmark.results.sources.matching`.

    Args:
        runs: what there is, which may be of models and data sets that are not known here.

    Raises:
        InvalidArgument: an evaluation was asked for, and the study has none.
        UnknownName: a scenario that does not exist, or a model or dataset that neither exists nor has runs.
    """
    from benchmark.protocol import find_scenario
    from siconvnet.errors import UnknownName
    from siconvnet.models import is_target

    refuse_foreign(study, {"evaluation": evaluations})
    there = {"model": {*runs["model"], *runs["entry"]}, "dataset": {*runs["dataset"]}}
    keys = tuple(name if name in there["dataset"] else dataset_key(name) for name in datasets)
    for kind, asked, listed in (("model", models, study.list_models()), ("dataset", keys, study.list_datasets())):
        for name in asked:
            if name not in {*listed, *there[kind]} and not (kind == "model" and is_target(name)):
                if kind == "dataset" and name not in datasets:
                    continue  # a file, or data of one's own, of which there is no run yet
                raise UnknownName(kind, name, {*listed, *there[kind]})
    only: dict[str, tuple[Any, ...]] = {"model": models, "dataset": keys}
    if evaluations:
        only["evaluation"] = tuple(find_scenario(value).id for value in evaluations)
    return only


def chosen(
    study: Study, runs: pd.DataFrame, only: Mapping[str, tuple[Any, ...]], *, include_short: bool = True
) -> pd.DataFrame:
    """The runs of a selection.

    Args:
        include_short: whether runs of another length than the protocol's count.

    Raises:
        NoRuns: there is none.
    """
    from benchmark.results.selection import is_short
    from benchmark.results.sources import matching

    found = matching(runs, only)
    counted = found if include_short else found[~is_short(found)].reset_index(drop=True)
    if len(counted):
        return counted
    if len(found):
        raise NoRuns(
            f"no finished run of that selection has the length of the protocol; --include-short takes the {len(found)} "
            "of another length."
        )
    others = "" if only.get("dataset") else " Other studies are asked for by their data, as in --dataset mnist-scale."
    raise NoRuns(f"{NO_RUNS}{others}")


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


def dataset_key(name: str) -> str:
    """What results call a dataset that a user names, or the data file that a user gives."""
    from benchmark.studies import study_of

    return study_of(name).dataset_key(name)
