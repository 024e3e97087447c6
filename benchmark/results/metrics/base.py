"""What a metric is: the figures that it logs, what it needs of a run, and how it is measured."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from benchmark.predictions import Predictions
    from benchmark.spec import RunSpec
    from siconvnet.datasets import StirDataset


@dataclass(frozen=True)
class Figure:
    """A number of a run, as the store keeps it and as tables show it.

    Attributes:
        name: what it is logged under, or a pattern such as ``equivariance_stage*``.
        title: in words, without the unit.
        unit: in headings; empty if it has none.
        more_is_better: None where neither is.
        bounded: whether it lies in 0..100.
        guess: "accuracy" or "error" where guessing the class has a known figure.
    """

    name: str
    title: str
    unit: str = "%"
    more_is_better: bool | None = True
    bounded: bool = True
    guess: Literal["accuracy", "error", ""] = ""

    def chance(self, num_classes: int | None) -> float | None:
        """What guessing among so many classes gives, in percent; None where that is not known."""
        if not num_classes or not self.guess:
            return None
        return 100 / num_classes if self.guess == "accuracy" else 100 - 100 / num_classes

    @property
    def heading(self) -> str:
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    @property
    def most(self) -> float:
        return 100.0 if self.bounded else math.inf

    def matches(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name, self.name)

    def named(self, name: str) -> Figure:
        """This figure where its pattern stands for `name`, which then belongs to its title."""
        if name == self.name:
            return self
        return dataclasses.replace(self, name=name, title=f"{self.title} ({name})")


@dataclass
class Findings:
    """What one run's evaluation found.

    Attributes:
        scalars: figure -> value; percent for accuracies.
        by_scale: object's side in pixels -> accuracy in percent.
        arrays: artifact name -> arrays.
        reasons: metric -> why it could not be measured.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    by_scale: dict[int, float] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class Trained:
    """A finished run as metrics see it; whatever they do not look at is not loaded.

    Args:
        spec: its dataset may be the key that results know.
        seen: sides in pixels of the objects that it was trained on; None where training shows all sizes.
        predictions, model, objects: functions that load the predictions for the test split, the trained model on its
            device, and a data set that holds each object at all sizes.
        on_step: called by metrics that go through the model, after each batch, with the metric's name, how many of its
            batches are done and how many there are.
    """

    def __init__(
        self,
        spec: RunSpec,
        seen: Collection[int] | None,
        predictions: Callable[[], Predictions],
        model: Callable[[], nn.Module],
        objects: Callable[[], StirDataset],
        on_step: Callable[[str, int, int], None] = lambda metric, done, total: None,
    ):
        self.spec, self.seen, self.on_step = spec, seen, on_step
        self._predictions, self._model, self._objects = predictions, model, objects

    @functools.cached_property
    def predictions(self) -> Predictions:
        return self._predictions()

    @functools.cached_property
    def model(self) -> nn.Module:
        return self._model()

    @functools.cached_property
    def objects(self) -> StirDataset:
        return self._objects()

    @property
    def info(self) -> Any:
        """What the model declares (`siconvnet.models.ModelInfo`)."""
        from siconvnet.models import model_info

        return model_info(self.spec.model)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: what `benchmark evaluate --part` takes.
        title: a few words for `--help` and the documentation.
        figures: what it logs.
        needs: what of a run it looks at, of `benchmark.studies.Study.offers`.
        measure: run -> findings; raises `siconvnet.metrics.NotMeasurable` where the model lacks what it looks at. None
            where training itself logs the figures.
        variant_of: the metric that it is a variant of; it is measured only where it is asked for.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    needs: frozenset[str] = frozenset({"predictions"})
    measure: Callable[[Trained], Findings] | None = None
    variant_of: str = ""


def nanmean(values: np.ndarray) -> float:
    """The mean of what is known; NaN, without a warning, where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
