"""The axes of a study's grids, as data: which field of a run each goes through, and what a person may write for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.studies import ranges

Values = tuple[Any, ...]
#: A seed that is left open: the study chooses it for each run.
OWN_SEED = "own"


@dataclass(frozen=True)
class Axis:
    """Values of one field that a grid goes through.

    Attributes:
        name: what suites and, with dashes, the command line call it: the field's plural, or the field itself.
        field: of a `benchmark.spec.RunSpec`.
        read: what a person wrote -> the values, each once; raises `InvalidArgument` or `UnknownName`.
        default: what stands for leaving the axis out; None: it has to be said.
        help: for the command line, without the default.
        alone: what the option of the command line means without a value; None: it needs one.
    """

    name: str
    field: str
    read: Callable[[object], Values]
    default: object = None
    help: str = ""
    alone: str | None = None


def datasets(known: Callable[[], Sequence[str]], other: Callable[[str], bool] = lambda name: False) -> Axis:
    """Data sets of a study; `other` accepts what is not among the known."""

    def read(value: object) -> Values:
        return ranges.names(value, "dataset", known(), other=other)

    return Axis("datasets", "dataset", read, help="Names, data files (.npz), or all.")


def models(known: Callable[[], Sequence[str]], other: Callable[[str], bool] = lambda name: False) -> Axis:
    """Models of a study; `other` accepts what is not among the known."""

    def read(value: object) -> Values:
        return ranges.names(value, "model", known(), other=other)

    return Axis("models", "model", read, help="Names, patterns such as '*pool', or all.")


def lrs() -> Axis:
    """Learning rates. Every study has this axis."""
    told = "As 1e-2,1e-3; or published: the papers' choice."
    return Axis("lrs", "lr", ranges.rates, ranges.PUBLISHED, told)


def seeds(default: str) -> Axis:
    """Seeds, or `own`: those that the study's runs have by themselves. Every study has this axis."""

    def read(value: object) -> Values:
        return (None,) if value == OWN_SEED else ranges.numbers(value, "seeds")

    return Axis("seeds", "seed", read, default, "As 1-5,8; or own: the one that comes with each realization.")


def whole_numbers(name: str, field: str, *, default: object, help: str, all_of: Sequence[int] = ()) -> Axis:
    """Whole numbers, or `all`: those of `all_of`."""

    def read(value: object) -> Values:
        return tuple(all_of) if value == ranges.ALL and all_of else ranges.numbers(value, name)

    return Axis(name, field, read, default, help)


def choices(
    name: str, field: str, known: Callable[[], Sequence[str]], *, kind: str, default: object, help: str
) -> Axis:
    """Some of a list of words."""
    return Axis(name, field, lambda value: ranges.names(value, kind, known()), default, help)


def flag(field: str, *, help: str) -> Axis:
    """`no`, `yes`, or `both`; the option alone means `yes`."""
    return Axis(field, field, lambda value: ranges.flags(value, field), "no", help, alone="yes")
