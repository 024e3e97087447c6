"""Which runs count: one setting for a table, and in each cell the learning rate that validation chose.

The rule is the paper's (section 4): per (model, dataset, evaluation) the rate with the higher median best validation
accuracy over seeds 1 to 5. Test accuracies play no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.frames import CELL

if TYPE_CHECKING:
    import pandas as pd

SELECTION_SEEDS = range(1, 6)


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

    Where no run of seeds 1 to 5 has a validation accuracy, all seeds there are count. A tie goes to the smaller
    rate, as in the original.
    """
    scored = runs.assign(early=runs["seed"].isin(list(SELECTION_SEEDS)) & runs["best_acc"].notna())
    any_early = scored.groupby(list(CELL))["early"].transform("any")
    scored = scored[scored["early"] | ~any_early]
    medians = scored.groupby([*CELL, "lr"], sort=True)["best_acc"].median().reset_index()
    # A stable sort over rates in ascending order leaves the smaller of equals first; unknown accuracies come last.
    ranked = medians.sort_values("best_acc", ascending=False, kind="stable", na_position="last")
    return ranked.drop_duplicates(list(CELL))[[*CELL, "lr"]].sort_values(list(CELL), ignore_index=True)


def selected(runs: pd.DataFrame, kernel_size: int = 7, interpolation: str = "bicubic") -> pd.DataFrame:
    """The runs that a leaderboard and the figures are made of: one setting, and each cell's chosen rate."""
    chosen = of_setting(runs, kernel_size, interpolation)
    return chosen.merge(learning_rates(chosen), on=[*CELL, "lr"], how="inner")
