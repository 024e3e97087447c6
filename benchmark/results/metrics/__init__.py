"""The metrics: what is logged of a run, by which name, and how it is measured.

One file each. A package of its own adds another by an entry point of the group ``siconvnet.metrics`` that names a
`Metric`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from benchmark.results.metrics.base import Figure, Findings, Metric, Trained
from benchmark.studies import Study
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.registry import Registry

__all__ = [
    "Figure",
    "Findings",
    "Metric",
    "Trained",
    "all_metrics",
    "figure_names",
    "find_figure",
    "find_metric",
    "measured",
    "register",
]

_BUILTIN = ("training", "generalization", "equivariance", "equivariance_255", "indices")


def _adapt(name: str, entry: object) -> Metric:
    if not isinstance(entry, Metric) or entry.name != name:
        raise InvalidArgument(f"it is not a benchmark.results.metrics.Metric named {name!r} but {entry!r}")
    return entry


_registry: Registry[Metric] = Registry(
    "metric",
    {name: f"{__name__}.{name.removesuffix('_255')}" for name in _BUILTIN},
    "siconvnet.metrics",
    adapt=_adapt,
)


def register(metric: Metric) -> Metric:
    """Add a metric under its own name."""
    return _registry.register(metric.name, metric)


def all_metrics() -> Iterator[Metric]:
    """Every metric that loads; of a plug-in that does not, the registry has warned."""
    for name in _registry:
        with contextlib.suppress(InvalidArgument):
            yield _registry[name]


def find_metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UnknownName: there is none.
    """
    return _registry[name]


def measured(study: Study | None = None) -> list[str]:
    """The names of the metrics that `benchmark evaluate` measures by itself; of a study, those that it can."""
    return [
        metric.name
        for metric in all_metrics()
        if metric.measure and not metric.variant_of and (study is None or metric.needs <= set(study.offers))
    ]


def find_figure(name: str, logged: Collection[str] = ()) -> Figure:
    """The figure that is logged under a name.

    Args:
        logged: names that runs have; one of them that no metric describes is shown, but ranks nothing.

    Raises:
        UnknownName: no metric has it and no run has logged it.
    """
    for metric in all_metrics():
        for figure in metric.figures:
            if figure.matches(name):
                return figure.named(name)
    if name in logged:
        return Figure(name, name, unit="", more_is_better=None, bounded=False)
    raise UnknownName("metric", name, dict.fromkeys([*figure_names(), *logged]))


def figure_names() -> list[str]:
    """The names of all figures that metrics describe in full; patterns are left out."""
    return [figure.name for metric in all_metrics() for figure in metric.figures if "*" not in figure.name]
