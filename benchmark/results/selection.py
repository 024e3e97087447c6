"""Which runs count: one setting for a table, and in each cell the learning rate that validation chose.

The rule is the paper's (section 4): per (model, dataset, evaluation) the rate with the higher median best validation
accuracy over seeds 1 to 5, of the two rates of its protocol. Test accuracies play no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.protocol import PAPER
from benchmark.results.frames import CELL

if TYPE_CHECKING:
    import pandas as pd


def of_setting(runs: pd.DataFrame, kernel_size: int = 7, interpolation: str = "bicubic") -> pd.DataFrame:
    """The runs of one kernel size and interpolation, one a seed and learning rate.

    Rows that do not say (a table of one's own without these columns) are taken to be of that setting. Of repeated
    runs the first counts.
    """
    size, kind = runs["kernel_size"], runs["interpolation"]
    chosen = runs[(size.isna() | (size == kernel_size)) & (kind.isna() | (kind == interpolation))]
    return chosen.drop_duplicates([*CELL, "lr", "seed"], ignore_index=True)


def learning_rates(runs: pd.DataFrame) -> pd.DataFrame:
    """The chosen rate of every cell, columns model, dataset, evaluation, lr.

    A median of few seeds is no match for one of five, so the rates with the most of them compete: a single run at
    another rate displaces nothing. Rates outside the protocol count in cells that have no other, and so do further
    seeds where no run of seeds 1 to 5 has a validation accuracy. A tie goes to the smaller rate, as in the original.
    """
    runs = _preferred(runs, runs["lr"].isin(PAPER.learning_rates))
    runs = _preferred(runs, runs["seed"].isin(PAPER.selection_seeds) & runs["best_acc"].notna())
    rates = runs.groupby([*CELL, "lr"], sort=True)["best_acc"].agg(["count", "median"]).reset_index()
    # A stable sort over rates in ascending order leaves the smaller of equals first; unknown accuracies come last.
    ranked = rates.sort_values(["count", "median"], ascending=False, kind="stable", na_position="last")
    return ranked.drop_duplicates(list(CELL))[[*CELL, "lr"]].sort_values(list(CELL), ignore_index=True)


def _preferred(runs: pd.DataFrame, which: pd.Series[bool]) -> pd.DataFrame:
    """Of each cell only these runs, if it has any of them."""
    any_in_cell = which.groupby([runs[name] for name in CELL]).transform("any")
    return runs[which | ~any_in_cell]


def selected(runs: pd.DataFrame, kernel_size: int = 7, interpolation: str = "bicubic") -> pd.DataFrame:
    """The runs that a leaderboard and the figures are made of: one setting, and each cell's chosen rate."""
    chosen = of_setting(runs, kernel_size, interpolation)
    return chosen.merge(learning_rates(chosen), on=[*CELL, "lr"], how="inner")
