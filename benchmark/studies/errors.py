"""What studies share that report the test error beside the errors of several papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.studies.base import Comparison, Row, S, Study
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    from benchmark.predictions import Predictions
    from benchmark.spec import RunSpec


class ErrorStudy(Study[S]):
    """A study whose figure is the test error, in percent."""

    def summarise(self, spec: RunSpec[S], predictions: Predictions) -> dict[str, float]:
        accuracy = 100 * float((predictions.predicted == predictions.labels).mean())
        return {
            "test_loss": float(predictions.losses.mean(dtype="float64")),
            "test_acc": accuracy,
            "test_err": 100 - accuracy,
        }

    def unpublished(self, spec: RunSpec[S]) -> str:
        """Why nothing was published that a run could stand beside."""
        return "nothing published for this network"

    def compare(self, spec: RunSpec[S], metrics: Mapping[str, float]) -> Comparison:
        found = self.published(spec)
        shown = tuple(f"{f.mean:.2f}" + ("" if f.std is None else f" ± {f.std:.2f}") + " %" for f in found)
        row = Row("[bold]test error[/]", f"[bold]{metrics['test_err']:.2f} %[/]", shown)
        reason = "; ".join(spec.deviations) if found else self.unpublished(spec)
        return Comparison((row,), tuple(f.source for f in found), reason)


def check_batches(batch_size: int, images: int) -> None:
    """
    Raises:
        InvalidArgument: the last batch of so many images would be a single one.
    """
    if batch_size == 1 or images % batch_size == 1:
        raise InvalidArgument(
            f"batch size {batch_size} leaves a batch of one image, which batch normalisation cannot take."
        )
