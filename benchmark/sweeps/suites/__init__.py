"""Sweeps that are worth a name, as YAML files beside this one; users write their own in the same form.

A suite has a `description` and a list `grids`. A grid names its `datasets` and the other axes of the study that these
are of (`models`, `evaluations`, `realizations`, `augment`, `lrs`, `seeds` and so on, each a list or a text such as
`1-5,8`, `all` or `*pool`), may shorten training (`epochs`, `patience`, `batch_size`), and with `select_lr_over_seeds`
lets validation choose one of its `lrs` for each cell before the other seeds run.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from benchmark.studies import Study, all_studies, find_study, ranges, study_of
from benchmark.studies.axes import Axis
from benchmark.studies.lookup import unknown_dataset
from benchmark.sweeps.grid import Grid, check_size, narrow, validate
from benchmark.sweeps.suites.reading import read_file, read_mapping
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName

SUFFIXES = (".yaml", ".yml")
#: Keys of a grid beside its axes -> the fields of a `RunSpec` that they are.
LENGTHS = {"epochs": "max_epochs", "patience": "patience", "batch_size": "batch_size"}
SELECT = "select_lr_over_seeds"


@dataclass(frozen=True)
class Suite:
    """A named list of grids."""

    name: str
    description: str
    grids: tuple[Grid, ...]


def list_suites() -> list[str]:
    """The suites that ship with the package."""
    return sorted(Path(f.name).stem for f in resources.files(__name__).iterdir() if f.name.endswith(SUFFIXES))


def load_suite(name: str) -> Suite:
    """A shipped suite by its name, or a file (ending in .yaml or .yml) by its path.

    Raises:
        UnknownName: no such suite, key or value; the message says where.
        InvalidArgument: the file is no suite.
        SiconvnetError: the file cannot be read.
    """
    if name.endswith(SUFFIXES):
        return parse_suite(read_file(Path(name)), name)
    if name not in (known := list_suites()):
        raise UnknownName("suite", name, known)
    return parse_suite(resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"), name)


def parse_suite(text: str, name: str) -> Suite:
    """The suite that a YAML text describes; `name` is for messages."""
    values = read_mapping(text, f"suite {name}")
    _check_keys(values, ("description", "grids"), f"suite {name}")
    entries = values.get("grids")
    if not isinstance(entries, list) or not entries:
        raise InvalidArgument(f"suite {name}: 'grids' must be a list of at least one grid.")
    description = values.get("description", "")
    if not isinstance(description, str):
        raise InvalidArgument(f"suite {name}: description must be text.")
    grids: list[Grid] = []
    for number, entry in enumerate(entries, start=1):
        where = f"suite {name}, grid {number}" if len(entries) > 1 else f"suite {name}"
        if not isinstance(entry, dict):
            raise InvalidArgument(f"{where}: {reprlib.repr(entry)} must be a mapping of axes to values.")
        _check_keys(entry, (*axis_names(), *LENGTHS, SELECT), where)
        try:
            grids.append(make_grid(entry))
            check_size(grids)
            validate(grids[-1:])
        except SiconvnetError as error:
            kind = InvalidArgument if isinstance(error, InvalidArgument) else SiconvnetError
            raise kind(f"{where}: {error}") from None
    return Suite(Path(name).stem, description.strip(), tuple(grids))


def make_grid(values: Mapping[str, Any]) -> Grid:
    """A grid from what a person wrote: axes of the study that its data sets are of, and `LENGTHS`.

    Raises:
        UnknownName, InvalidArgument: a key or value is none, or two contradict each other.
    """
    missing = [key for key in ("models", "datasets") if values.get(key) is None]
    if missing:
        raise InvalidArgument(f"a grid needs {' and '.join(missing)}.")
    study = _study_of(values["datasets"])
    counts = {field: ranges.number(values[key], key) for key, field in LENGTHS.items() if values.get(key) is not None}
    for field, count in counts.items():
        if count < 1:
            raise InvalidArgument(f"{field}: {count} is not accepted; at least 1.")
    selection = values.get(SELECT)
    select_over = () if selection is None else ranges.numbers(selection, SELECT)
    return Grid(study.name, read_axes(study, values), select_over, **counts)


def read_axes(study: Study, values: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The axes among `values`, read; what is None is left out.

    Raises:
        UnknownName, InvalidArgument: a value is none, or a key is neither an axis of the study nor `LENGTHS`.
    """
    known = {axis.name: axis for axis in study.axes}
    for key in values:
        if key not in known and key not in (*LENGTHS, SELECT):
            if key in axis_names():
                raise InvalidArgument(f"{key} is no axis of {study.title}; it has {', '.join(known)}.")
            raise UnknownName("key", key, [*known, *LENGTHS, SELECT])
    return {name: _read(axis, values[name]) for name, axis in known.items() if values.get(name) is not None}


def _read(axis: Axis, value: object) -> tuple[Any, ...]:
    try:
        return axis.read(value)
    except UnknownName as error:
        if axis.field != "dataset":
            raise
        raise unknown_dataset(error.name) from None  # it may be like a name of another study


def axis_names() -> tuple[str, ...]:
    """The axes of all studies, each once."""
    return tuple(dict.fromkeys(axis.name for study in all_studies() for axis in study.axes))


def _study_of(datasets: object) -> Study:
    """The one study that all data sets of a grid are of."""
    firsts: dict[str, str] = {}
    for name in ranges.parts(datasets, "datasets"):
        firsts.setdefault(study_of(name).name, name)
    if len(firsts) > 1:
        told = " and ".join(f"{name} is of {find_study(study).title}" for study, name in firsts.items())
        raise InvalidArgument(f"datasets: {told}; a grid is of one study, so make two.")
    return find_study(next(iter(firsts)))


def _check_keys(values: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key, value in values.items():
        if key not in known:
            raise InvalidArgument(f"{where}: {UnknownName('key', key, known)}")
        if value in (None, "", []):
            raise InvalidArgument(f"{where}: {key} is empty.")


def choose_grids(values: Mapping[str, Any]) -> tuple[str, tuple[Grid, ...]]:
    """Title and grids of what a person stated: a grid, or a suite, which axes given beside it narrow.

    Args:
        values: `suite` and what `make_grid` takes.

    Raises:
        InvalidArgument: nothing is left of the suite, or an option contradicts it.
    """
    axes = {key: value for key, value in values.items() if key != "suite"}
    if "suite" not in values:
        grid = make_grid(axes)
        validate([grid])
        return "sweep", (grid,)
    suite = load_suite(values["suite"])
    for key in ("lrs", "seeds", SELECT, *LENGTHS):
        if key in axes and (key != "seeds" or any(grid.select_over for grid in suite.grids)):
            raise InvalidArgument(
                f"--{key.replace('_', '-')} contradicts --suite {suite.name}, which says so itself; "
                "leave one of them out, or write a suite of your own."
            )
    grids = _narrowed(suite.grids, axes)
    if not grids:
        raise InvalidArgument(
            f"nothing of suite {suite.name} is left by {', '.join(f'{k} {v}' for k, v in axes.items())}."
        )
    return f"suite {suite.name}", grids


def _narrowed(grids: tuple[Grid, ...], axes: Mapping[str, Any]) -> tuple[Grid, ...]:
    """What the axes leave of grids. One whose study cannot read them falls out, unless that is so for all."""
    found: list[Grid | None] = []
    errors: list[InvalidArgument] = []
    for grid in grids:
        try:
            found.append(narrow(grid, read_axes(find_study(grid.study), axes)))
        except InvalidArgument as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    return tuple(grid for grid in found if grid)
