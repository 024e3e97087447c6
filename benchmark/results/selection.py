"""Which runs count in a table: those of its setting, and of each method the learning rate that validation chose.

The rule for rates is STIR's (section 4 of the paper): the one with the higher median best validation accuracy over
seeds 1 to 5, of those of the protocol. Test accuracies play no part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchmark.protocol import PAPER, Protocol
from benchmark.results.runs import field_value

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies import Study

#: Fields that say for how long a run is trained.
LENGTH = ("batch_size", "max_epochs", "patience")


def cell_fields(study: Study) -> list[str]:
    """The fields that tell the rows of all tables of a study apart; their runs are repetitions of each other."""
    return ["dataset", *study.section_fields, *study.row_fields, "version"]


def cells(study: Study, runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each cell that has runs: its fields as a spec holds them, and the runs."""
    names = cell_fields(study)
    for _, found in runs.groupby(names, sort=False, dropna=False):
        first = found.iloc[0]
        yield {name: field_value(first[name]) for name in names}, found


def cell_key(study: Study, fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """A cell as a key of a dict; published figures are of no version of a method."""
    return tuple(fields.get(name) for name in cell_fields(study))


def is_short(runs: pd.DataFrame) -> pd.Series[bool]:
    """Whether each run is trained for another length than the protocol's."""
    import pandas as pd

    short = [any(field in LENGTH for field, _ in changes) for changes in runs["changes"]]
    return pd.Series(short, index=runs.index, dtype=bool)


def of_setting(
    study: Study, runs: pd.DataFrame, setting: Mapping[str, Any] | None = None, *, once: bool = True
) -> pd.DataFrame:
    """The runs of one value of each field in `study.selected_at`.

    Args:
        setting: field -> value, where it is not the protocol's.
        once: of repeated runs only the first.
    """
    for name in study.selected_at:
        runs = runs[runs[name] == (setting or {}).get(name, getattr(study.protocol, name))]
    return runs.drop_duplicates([*cell_fields(study), *study.repeated, "lr"], ignore_index=True) if once else runs


def other_changes(study: Study, changes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """In words what of a run leaves the protocol, besides the setting of its table and a rate that was chosen."""
    settled = {*study.selected_at, *(("lr",) if study.selects_lr else ())}
    return tuple(words for name, words in changes if name not in settled)


def learning_rates(runs: pd.DataFrame, cell: Iterable[str], protocol: Protocol = PAPER) -> pd.DataFrame:
    """The chosen rate of every cell, columns `cell` and lr.

    A median of few seeds is no match for one of five, so the rates with the most of them compete: a single run at
    another rate displaces nothing. Rates outside the protocol count in cells that have no other, and so do further
    seeds where no run of seeds 1 to 5 has a validation accuracy. A tie goes to the smaller rate, as in the original.
    """
    cell = list(cell)
    runs = _preferred(runs, runs["lr"].isin(protocol.learning_rates), cell)
    runs = _preferred(runs, runs["seed"].isin(protocol.selection_seeds) & runs["best_acc"].notna(), cell)
    grouped = runs.groupby([*cell, "lr"], sort=True, dropna=False)["best_acc"]
    rates = grouped.agg(["count", "median"]).reset_index()
    # A stable sort over rates in ascending order leaves the smaller of equals first; unknown accuracies come last.
    ranked = rates.sort_values(["count", "median"], ascending=False, kind="stable", na_position="last")
    return ranked.drop_duplicates(cell)[[*cell, "lr"]].sort_values(cell, ignore_index=True)


def _preferred(runs: pd.DataFrame, which: pd.Series[bool], cell: list[str]) -> pd.DataFrame:
    """Of each cell only these runs, if it has any of them."""
    any_in_cell = which.groupby([runs[name] for name in cell], dropna=False).transform("any")
    return runs[which | ~any_in_cell]


def with_chosen_lr(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of each cell's chosen rate; all, where the protocol leaves nothing to choose."""
    if not study.selects_lr or runs.empty:
        return runs
    # Fields that are left open in all runs of a cell would be no keys to join by.
    cells = runs.groupby(cell_fields(study), sort=False, dropna=False).ngroup()
    rates = learning_rates(runs.assign(cell=cells), ["cell"], study.protocol).set_index("cell")["lr"]
    return runs[runs["lr"] == cells.map(rates)].reset_index(drop=True)


def selected(
    study: Study, runs: pd.DataFrame, setting: Mapping[str, Any] | None = None, *, include_short: bool = False
) -> pd.DataFrame:
    """The runs that a leaderboard and the figures are made of.

    Args:
        include_short: also runs of another length than the protocol's; they are cells of their own.
    """
    chosen = runs if include_short else runs[~is_short(runs)]
    return with_chosen_lr(study, of_setting(study, chosen, setting))
