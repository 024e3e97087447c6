"""A grid of runs, as data: which specs it stands for, and which of them are done, missing or failed.

Pure functions over specs and over what the store says of them; standard library only. A learning rate may be
left to the data: then the grid first asks for the rates to choose among, over few seeds, and once these runs
are there for the rest of the seeds at the chosen rate.
"""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.protocol import PAPER, SCENARIOS
from benchmark.ranges import MOST, PUBLISHED
from benchmark.spec import RunSpec, default_lr
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    from benchmark.states import RunState

FINISHED, FAILED, MISSING = "finished", "failed", "missing"


class Cell(NamedTuple):
    """What a learning rate is chosen for."""

    model: str
    dataset: str
    evaluation: int
    kernel_size: int
    interpolation: str


@dataclass(frozen=True)
class Grid:
    """The product of its axes; the first named varies slowest.

    Attributes:
        lrs: rates, or "published" for what the paper selected for each cell.
        select_over: seeds over which one rate a cell is chosen, by the median of the best validation
            accuracy; a tie goes to the smaller rate. Empty: every rate is run with every seed.
    """

    datasets: tuple[str, ...]
    evaluations: tuple[int, ...]
    models: tuple[str, ...]
    kernel_sizes: tuple[int, ...] = (PAPER.kernel_size,)
    interpolations: tuple[str, ...] = (PAPER.interpolation,)
    lrs: tuple[float | str, ...] = (PUBLISHED,)
    seeds: tuple[int, ...] = PAPER.selection_seeds
    select_over: tuple[int, ...] = ()
    batch_size: int = PAPER.batch_size
    max_epochs: int = PAPER.max_epochs
    patience: int | None = PAPER.patience

    def __post_init__(self) -> None:
        for axis in ("datasets", "evaluations", "models", "kernel_sizes", "interpolations", "lrs", "seeds"):
            if not getattr(self, axis):
                raise InvalidArgument(f"{axis}: nothing is chosen; a grid needs at least one.")
        if self.select_over and len(self.lrs) < 2:
            raise InvalidArgument("a rate is selected among several; give at least two lrs.")
        if self.select_over and PUBLISHED in self.lrs:
            raise InvalidArgument(f"lrs: {PUBLISHED!r} is a selected rate already; give numbers to select among.")
        if self.size > MOST:
            raise InvalidArgument(f"the grid has {self.size:,} runs; at most {MOST:,} are accepted.")

    @property
    def size(self) -> int:
        """Runs, if none is skipped, a rate that is yet to be chosen counted once."""
        cells = 1
        for axis in (self.datasets, self.evaluations, self.models, self.kernel_sizes, self.interpolations):
            cells *= len(axis)
        if self.select_over:
            return cells * (len(self.lrs) * len(self.select_over) + len(set(self.seeds) - set(self.select_over)))
        return cells * len(self.lrs) * len(self.seeds)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Grid:
        """The grid that `dataclasses.asdict` and JSON made `values` of."""
        found: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**found)


@dataclass(frozen=True)
class Skip:
    """A part of a grid that makes no sense, and why."""

    model: str
    kernel_size: int
    interpolation: str
    reason: str

    def __str__(self) -> str:
        return f"{self.model} with kernel size {self.kernel_size} and {self.interpolation}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """A sweep against what is known of its runs.

    Attributes:
        specs: all runs that can be named by now, by hash, in order.
        states: hash -> finished, failed or missing.
        waiting: cell -> how many runs wait for its rate to be chosen.
        skipped: what the grids ask for and makes no sense.
    """

    specs: dict[str, RunSpec]
    states: dict[str, str]
    waiting: dict[Cell, int] = field(default_factory=dict)
    skipped: tuple[Skip, ...] = ()

    def of(self, state: str) -> list[RunSpec]:
        return [spec for key, spec in self.specs.items() if self.states[key] == state]

    @property
    def total(self) -> int:
        return len(self.specs) + sum(self.waiting.values())


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
    axes = (grid.datasets, grid.evaluations, grid.models, grid.kernel_sizes, grid.interpolations)
    for dataset, evaluation, model, size, kind in itertools.product(*axes):
        if not senseless(model, size, kind):
            yield Cell(model, dataset, evaluation, size, kind)


def skips(grids: Iterable[Grid]) -> tuple[Skip, ...]:
    """What the grids ask for and `expand` leaves out."""
    found = {
        Skip(*key, reason): None
        for grid in grids
        for key in itertools.product(grid.models, grid.kernel_sizes, grid.interpolations)
        if (reason := senseless(*key))
    }
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def senseless(model: str, kernel_size: int, interpolation: str) -> str:
    """Why a model is not run with a kernel size and interpolation; empty if it is. Imports the model if they are
    not the paper's."""
    if (kernel_size, interpolation) == (PAPER.kernel_size, PAPER.interpolation):
        return ""
    import siconvnet

    info = siconvnet.model_info(model)
    ignored = [
        what
        for what, used, changed in (
            ("kernel size", info.uses_kernel_size, kernel_size != PAPER.kernel_size),
            ("interpolation", info.uses_interpolation, interpolation != PAPER.interpolation),
        )
        if changed and not used
    ]
    return f"{model} does not use the {' and the '.join(ignored)}" if ignored else ""


def choose(grid: Grid, finished: Mapping[str, RunState]) -> dict[Cell, float]:
    """The selected rate of each cell whose runs for the selection are all finished.

    Args:
        finished: spec hash -> finished run.
    """
    chosen: dict[Cell, float] = {}
    for cell in cells(grid) if grid.select_over else ():
        scores: dict[float, list[float]] = {}
        for lr, seed in itertools.product(_rates(grid, cell), grid.select_over):
            run = finished.get(_spec(grid, cell, lr, seed).hash)
            if run is None or run.best_acc is None:
                break
            scores.setdefault(lr, []).append(run.best_acc)
        else:
            chosen[cell] = min(scores, key=lambda lr: (-statistics.median(scores[lr]), lr))
    return chosen


def plan(grids: Sequence[Grid], runs: Iterable[RunState]) -> Plan:
    """What there is to do, given what the store holds."""
    finished: dict[str, RunState] = {}
    failed: set[str] = set()
    for run in runs:
        if run.status == "FINISHED":
            finished.setdefault(run.spec_hash, run)
        elif run.status == "FAILED":
            failed.add(run.spec_hash)
    specs: dict[str, RunSpec] = {}
    waiting: dict[Cell, int] = {}
    for grid in grids:
        chosen = choose(grid, finished)
        specs |= {spec.hash: spec for spec in expand(grid, chosen) if spec.hash not in specs}
        later = len(set(grid.seeds) - set(grid.select_over)) if grid.select_over else 0
        waiting |= {cell: later for cell in cells(grid) if later and cell not in chosen}
    states = {key: FINISHED if key in finished else FAILED if key in failed else MISSING for key in specs}
    return Plan(specs, states, waiting, skips(grids))


def narrow(grid: Grid, **axes: Sequence[object]) -> Grid | None:
    """The grid with only these values of its axes; None where nothing is left."""
    known = {field.name for field in fields(Grid)}
    kept: dict[str, tuple[object, ...]] = {}
    for axis, wanted in axes.items():
        if axis not in known:
            raise InvalidArgument(f"a grid has no axis {axis!r}.")
        kept[axis] = tuple(value for value in getattr(grid, axis) if value in wanted)
        if not kept[axis]:
            return None
    return replace(grid, **kept)  # type: ignore[arg-type]


def validate(grids: Iterable[Grid]) -> None:
    """Check every value of every axis, once each.

    Raises:
        InvalidArgument, UnknownName, DatasetError: as `RunSpec.validate`.
    """
    for grid in grids:
        first = next(cells(grid), None)
        if first is None:
            (skip, *_) = skips([grid])
            raise InvalidArgument(f"nothing is left of the grid: {skip.reason}.")
        spec = _spec(grid, first, _rates(grid, first)[0], grid.seeds[0])
        for axis, name in _FIELDS.items():
            for value in getattr(grid, axis):
                replace(spec, **{name: value}).validate()
        for lr in grid.lrs:
            if lr != PUBLISHED:
                replace(spec, lr=lr).validate()  # type: ignore[arg-type]


_FIELDS = {
    "datasets": "dataset",
    "evaluations": "evaluation",
    "models": "model",
    "kernel_sizes": "kernel_size",
    "interpolations": "interpolation",
    "seeds": "seed",
}


def describe(cell: Cell) -> str:
    return f"{cell.model} on {cell.dataset} {SCENARIOS[cell.evaluation].name}"


def _rates(grid: Grid, cell: Cell) -> list[float]:
    found = [
        default_lr(cell.model, cell.dataset, cell.evaluation) if isinstance(lr, str) else float(lr) for lr in grid.lrs
    ]
    return list(dict.fromkeys(found))


def _spec(grid: Grid, cell: Cell, lr: float, seed: int) -> RunSpec:
    return RunSpec(
        model=cell.model,
        dataset=cell.dataset,
        evaluation=cell.evaluation,
        kernel_size=cell.kernel_size,
        interpolation=cell.interpolation,
        lr=lr,
        seed=seed,
        batch_size=grid.batch_size,
        max_epochs=grid.max_epochs,
        patience=grid.patience,
    )
