"""Learned internal scales: their way through training, where they end, and what errors that gives.

The figures: `scales-course-STUDY` (ours), `scales-final`, `scales-errors`, `scales-isr` (the sweep over fixed ranges,
with the tolerance model), `scales-tolerance` (that model itself) and `scales-stir` (ours, by object size).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.plots import scale_courses, scale_outcomes, scale_sweep, style, tolerance
from benchmark.results.scale_runs import outcomes, published_outcomes

if TYPE_CHECKING:
    from benchmark.plots import Drawn, Tables


def draw(tables: Tables) -> Drawn:
    """All figures that the source has data for, and the table behind the courses; the published figures always.

    Raises:
        NothingToDraw: the source has no runs with learned scales.
    """
    ours = tables.learned
    if ours is None:
        raise style.NothingToDraw(
            "no run with learned scales; `benchmark sweep --suite scale-learning` makes them, and --source published "
            "has the published figures"
        )
    drawn: dict[str, Any] = {}
    for study in dict.fromkeys(scale_courses.learning(ours)["study"]):
        drawn[f"scales-course-{study}"] = scale_courses.courses(ours[ours["study"] == study], tables.source)
    if (ours["study"] == "stir").any():
        drawn["scales-stir"] = scale_courses.extrapolation(ours[ours["study"] == "stir"], tables.source)
    ended, theirs = outcomes(ours), published_outcomes()
    drawn["scales-final"] = scale_outcomes.finals(ended, theirs)
    drawn["scales-errors"] = scale_outcomes.errors(ended, theirs)
    drawn["scales-isr"] = scale_sweep.sweep(ended, theirs)
    drawn["scales-tolerance"] = tolerance.draw(theirs)
    if len(ours):
        drawn["scales.csv"] = ours.to_csv(index=False, float_format="%.7g")
    return drawn
