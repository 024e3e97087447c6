"""A grid of runs, as data: which specs it stands for, and which of them are done, missing or failed.

What its axes are follows its study (`benchmark.studies.axes`). Pure functions over specs and over what the store says
of them; standard library only. A learning rate may be left to the data: then the grid first asks for the rates to
choose among, over few seeds, and once these runs are there for the rest of the seeds at the chosen rate.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec
from benchmark.studies import Study, find_study
from benchmark.studies.axes import Axis
from benchmark.studies.ranges import MOST, PUBLISHED
from siconvnet.errors import InvalidArgument, SiconvnetError

if TYPE_CHECKING:
    from benchmark.store.run_states import RunState

FINISHED, FAILED, MISSING = "finished", "failed", "missing"


@dataclass(frozen=True)
class Cell:
    """What a learning rate is chosen for: a field and its value for each axis but the rate and the seed."""

    values: tuple[tuple[str, Any], ...]

    def __getitem__(self, field: str) -> Any:
        return dict(self.values)[field]

    @property
    def model(self) -> str:
        return str(self["model"])

    @property
    def dataset(self) -> str:
        return str(self["dataset"])


@dataclass(frozen=True)
class Grid:
    """The product of its axes; the first of the study's axes varies slowest.

    Attributes:
        study: its name.
        axes: name of an axis -> its values. Those of the study that are left out get their default. A rate may be
            "published" for what the papers selected for each cell, a seed None for the study's own choice.
        select_over: seeds over which one rate a cell is chosen, by the median of the best validation
            accuracy; a tie goes to the smaller rate. Empty: every rate is run with every seed.
        batch_size, max_epochs, patience: None for what the study's protocol says.
    """

    study: str
    axes: dict[str, tuple[Any, ...]]
    select_over: tuple[int, ...] = ()
    batch_size: int | None = None
    max_epochs: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        study = find_study(self.study)
        given = {study.axis(name).name: tuple(values) for name, values in self.axes.items()}
        # A grid has all axes of its study, in their order.
        axes = {axis.name: given[axis.name] if axis.name in given else _default(axis) for axis in study.axes}
        object.__setattr__(self, "axes", axes)
        for name, values in axes.items():
            if not values:
                raise InvalidArgument(f"{name}: nothing is chosen; a grid needs at least one.")
        if self.select_over and len(self.lrs) < 2:
            raise InvalidArgument("a rate is selected among several; give at least two lrs.")
        if self.select_over and PUBLISHED in self.lrs:
            raise InvalidArgument(f"lrs: {PUBLISHED!r} is a selected rate already; give numbers to select among.")
        if self.select_over and None in self.seeds:
            raise InvalidArgument("seeds: name the seeds that run at the selected rate.")
        if self.size > MOST:
            raise InvalidArgument(f"the grid has {self.size:,} runs; at most {MOST:,} are accepted.")

    @property
    def lrs(self) -> tuple[float | str, ...]:
        return self.axes["lrs"]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return self.axes["seeds"]

    @property
    def size(self) -> int:
        """Runs, if none is skipped, a rate that is yet to be chosen counted once."""
        cells = math.prod(len(values) for name, values in self.axes.items() if name not in ("lrs", "seeds"))
        if self.select_over:
            return cells * (len(self.lrs) * len(self.select_over) + len(set(self.seeds) - set(self.select_over)))
        return cells * len(self.lrs) * len(self.seeds)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Grid:
        """The grid that `dataclasses.asdict` and JSON made `values` of.

        Raises:
            InvalidArgument: it is not one.
        """
        try:
            axes = {name: tuple(axis) for name, axis in values["axes"].items()}
            return cls(**{**values, "axes": axes, "select_over": tuple(values["select_over"])})
        except SiconvnetError:
            raise
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidArgument(f"not a grid: {' '.join(str(error).split())[:200]}.") from None


def _default(axis: Axis) -> tuple[Any, ...]:
    if axis.default is None:
        raise InvalidArgument(f"a grid needs {axis.name}.")
    return axis.read(axis.default)


@dataclass(frozen=True)
class Skip:
    """A part of a grid that makes no sense, and why; `values` are of the fields that the study judges by."""

    values: tuple[tuple[str, Any], ...]
    reason: str

    def __str__(self) -> str:
        first, *rest = (
            str(value) if field == "model" else f"{field.replace('_', ' ')} {value}" for field, value in self.values
        )
        return f"{first} with {' and '.join(rest)}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """A sweep against what is known of its runs.

    Attributes:
        specs: all runs that can be named by now, by hash, in order.
        states: hash -> finished, failed or missing.
        waiting: a run by which a cell's rate will be chosen -> the seeds that wait for that.
        skipped: what the grids ask for and makes no sense.
    """

    specs: dict[str, RunSpec]
    states: dict[str, str]
    waiting: dict[RunSpec, frozenset[int | None]] = field(default_factory=dict)
    skipped: tuple[Skip, ...] = ()

    def of(self, state: str) -> list[RunSpec]:
        return [spec for key, spec in self.specs.items() if self.states[key] == state]

    @property
    def waits(self) -> int:
        """How many runs wait for a rate."""
        return sum(map(len, self.waiting.values()))

    @property
    def total(self) -> int:
        return len(self.specs) + self.waits


def expand(grid: Grid, chosen: Mapping[Cell, float] | None = None) -> list[RunSpec]:
    """All runs of a grid, in order, each once.

    Args:
        chosen: cell -> selected rate; only cells in it get their seeds beyond the selection.
    """
    found: dict[str, RunSpec] = {}
    for cell in cells(grid):
        rates = _rates(grid, cell)
        pairs = list(itertools.product(rates, grid.select_over or grid.seeds))
        if grid.select_over and chosen and cell in chosen:
            pairs += [(chosen[cell], seed) for seed in grid.seeds]
        for lr, seed in pairs:
            spec = _spec(grid, cell, lr, seed)
            found.setdefault(spec.hash, spec)
    return list(found.values())


def cells(grid: Grid) -> Iterator[Cell]:
    """The cells of a grid that make sense, in order."""
    study = find_study(grid.study)
    axes = [axis for axis in study.axes if axis.field not in ("lr", "seed")]
    names = [axis.field for axis in axes]
    for values in itertools.product(*(grid.axes[axis.name] for axis in axes)):
        cell = dict(zip(names, values, strict=True))
        if not study.senseless(**{name: cell[name] for name in ("model", *study.judged)}):
            yield Cell(_stated(study, cell))


def skips(grids: Iterable[Grid]) -> tuple[Skip, ...]:
    """What the grids ask for and `expand` leaves out."""
    found: dict[Skip, None] = {}
    for grid in grids:
        study = find_study(grid.study)
        axes = {axis.field: axis.name for axis in study.axes}
        judged_fields = ("model", *study.judged)
        for values in itertools.product(*(grid.axes[axes[name]] for name in judged_fields)):
            judged = dict(zip(judged_fields, values, strict=True))
            if reason := study.senseless(**judged):
                found[Skip(_stated(study, judged), reason)] = None
    return tuple(found)


def _stated(study: Study, values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The fields without those that the model has of itself."""
    return tuple((name, value) for name, value in values.items() if value is not None or name not in study.optional)


def choose(grid: Grid, ended: Mapping[str, RunState]) -> dict[Cell, float]:
    """The selected rate of each cell whose runs for the selection have all ended.

    A run that failed by diverging counts as one that learned nothing, also if it did so in the test alone: a rate
    whose runs have no test accuracy is no rate to choose. It would fail again, and would hold up its cell for ever.

    Args:
        ended: spec hash -> run that finished, or failed by diverging.
    """
    chosen: dict[Cell, float] = {}
    for cell in cells(grid) if grid.select_over else ():
        scores: dict[float, list[float]] = {}
        for lr, seed in itertools.product(_rates(grid, cell), grid.select_over):
            run = ended.get(_spec(grid, cell, lr, seed).hash)
            score = None if run is None else 0.0 if run.diverged else run.best_acc
            if score is None:
                break
            scores.setdefault(lr, []).append(score)
        else:
            chosen[cell] = min(scores, key=lambda lr: (-statistics.median(scores[lr]), lr))
    return chosen


def plan(grids: Sequence[Grid], runs: Iterable[RunState]) -> Plan:
    """What there is to do, given what the store holds."""
    finished: dict[str, RunState] = {}
    failed: dict[str, RunState] = {}
    for run in runs:
        if run.status == "FINISHED":
            finished.setdefault(run.spec_hash, run)
        elif run.status == "FAILED":
            failed.setdefault(run.spec_hash, run)
    ended = {**{key: run for key, run in failed.items() if run.diverged}, **finished}
    specs: dict[str, RunSpec] = {}
    waiting: dict[RunSpec, frozenset[int | None]] = {}
    for grid in grids:
        chosen = choose(grid, ended)
        specs |= {spec.hash: spec for spec in expand(grid, chosen) if spec.hash not in specs}
        later = frozenset(grid.seeds if grid.select_over else ()) - set(grid.select_over)
        for cell in cells(grid) if later else ():
            if cell not in chosen:
                # It says how long the runs are as well, in which grids may differ.
                first = _spec(grid, cell, _rates(grid, cell)[0], grid.select_over[0])
                waiting[first] = waiting.get(first, later) | later
    states = {key: FINISHED if key in finished else FAILED if key in failed else MISSING for key in specs}
    return Plan(specs, states, waiting, skips(grids))


def check_size(grids: Iterable[Grid]) -> None:
    """Refuse grids that are too large together.

    Raises:
        InvalidArgument: they are.
    """
    if (total := sum(grid.size for grid in grids)) > MOST:
        raise InvalidArgument(f"the grids up to here have {total:,} runs; at most {MOST:,} are accepted.")


def narrow(grid: Grid, axes: Mapping[str, Sequence[object]]) -> Grid | None:
    """The grid with only these values of its axes; None where nothing is left."""
    kept = {name: tuple(value for value in grid.axes[name] if value in wanted) for name, wanted in axes.items()}
    return replace(grid, axes={**grid.axes, **kept}) if all(kept.values()) else None


def validate(grids: Iterable[Grid]) -> None:
    """Check every value of every axis, each once, in a run that makes sense; of seeds the least and the greatest.

    Raises:
        InvalidArgument, UnknownName, DatasetError: as `RunSpec.validate`.
    """
    for grid in grids:
        spec = _first(grid)
        if spec is None:
            (skip, *_) = skips([grid])
            raise InvalidArgument(f"nothing is left of the grid: {skip.reason}.")
        for name, values in grid.axes.items():
            for value in _ends(values) if name == "seeds" else values:
                if name == "seeds":
                    spec.replace(seed=value).validate()
                elif found := _first(replace(grid, axes={**grid.axes, name: (value,)}, select_over=())):
                    found.validate()


def _ends(seeds: Sequence[Any]) -> list[Any]:
    """The least and the greatest: all between them are accepted if these are, and a grid may have thousands."""
    named = [seed for seed in seeds if seed is not None]
    return [*({min(named), max(named)} if named else ()), *([None] if None in seeds else ())]


def data_of(grids: Iterable[Grid]) -> list[RunSpec]:
    """For each data that the grids read, one spec that reads them."""
    found: dict[tuple[Any, ...], RunSpec] = {}
    for grid in grids:
        study = find_study(grid.study)
        names = [axis.name for axis in study.axes if axis.field in ("dataset", *study.data_settings)]
        for values in itertools.product(*(grid.axes[name] for name in names)):
            chosen = {name: (value,) for name, value in zip(names, values, strict=True)}
            if spec := _first(replace(grid, axes={**grid.axes, **chosen})):
                found.setdefault((grid.study, *values), spec)
    return list(found.values())


def _first(grid: Grid) -> RunSpec | None:
    """The first run of a grid; None where no cell makes sense."""
    cell = next(cells(grid), None)
    return _spec(grid, cell, _rates(grid, cell)[0], grid.seeds[0]) if cell else None


def _rates(grid: Grid, cell: Cell) -> list[float]:
    stated = [lr for lr in grid.lrs if not isinstance(lr, str)]
    if len(stated) == len(grid.lrs):
        return list(dict.fromkeys(map(float, stated)))
    published = _run(grid, dict(cell.values))
    rates = [published.study.default_lr(published) if isinstance(lr, str) else float(lr) for lr in grid.lrs]
    return list(dict.fromkeys(rates))


def _spec(grid: Grid, cell: Cell, lr: float, seed: int | None) -> RunSpec[Any]:
    return _run(grid, {**dict(cell.values), "lr": lr, "seed": seed})


def _run(grid: Grid, values: dict[str, Any]) -> RunSpec[Any]:
    """The run with these values; None stands for what the study says."""
    lengths = {"batch_size": grid.batch_size, "max_epochs": grid.max_epochs, "patience": grid.patience}
    return RunSpec(**{name: value for name, value in {**values, **lengths}.items() if value is not None})
