"""What a finished run says about the test split: one prediction for each image, and the accuracies in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.protocol import BANDS, Scenario
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    from torch import nn

    from benchmark.training.loop import Batches, StepCallback

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predictions for a split, unshuffled; in STIR, scales in ascending order x class x instance.

    Attributes:
        predicted, labels: [N], class indices.
        scales: [N], side of the object in pixels; in MNIST-Scale, that of the whole scaled digit.
        losses: [N], float32, cross-entropy of each sample.
    """

    predicted: Integers
    labels: Integers
    scales: Integers
    losses: NDArray[np.float32]

    def check(self) -> None:
        """Refuse arrays that no test of a model can have given.

        Raises:
            InvalidArgument: naming the array.
        """
        count = len(self.labels) if self.labels.ndim == 1 else 0
        for name in ("predicted", "labels", "scales", "losses"):
            values = getattr(self, name)
            if values.shape != (count,) or not count:
                raise InvalidArgument(f"{name} has the shape {values.shape}; four arrays of one length are needed.")
            if not np.isfinite(values).all() or values.min() < 0:
                raise InvalidArgument(f"{name} must be finite and not negative.")

    def accuracy(self, scales: Iterable[int]) -> float:
        """Percent of the objects of these sizes whose class was found; nan where there are none."""
        chosen = self._chosen(scales)
        count = int(chosen.sum())
        hits = int((self.predicted[chosen] == self.labels[chosen]).sum())
        return 100 * hits / count if count else float("nan")

    def loss(self, scales: Iterable[int]) -> float:
        """Mean cross-entropy over the objects of these sizes."""
        return float(self.losses[self._chosen(scales)].mean(dtype=np.float64))

    def _chosen(self, scales: Iterable[int]) -> NDArray[np.bool_]:
        return np.isin(self.scales, list(scales))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays as they are stored: in the smallest types that hold them, as a sweep keeps thousands of these."""
        return {
            "predicted": _compact(self.predicted),
            "labels": _compact(self.labels),
            "scales": _compact(self.scales),
            "losses": self.losses.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Predictions:
        return cls(
            arrays["predicted"].astype(np.int64),
            arrays["labels"].astype(np.int64),
            arrays["scales"].astype(np.int64),
            arrays["losses"].astype(np.float32),
        )


def _compact(values: Integers) -> NDArray[np.integer]:
    kinds = (np.min_scalar_type(int(value)) for value in (values.min(initial=0), values.max(initial=0)))
    return values.astype(np.result_type(*kinds))


def predict(
    model: nn.Module,
    samples: Batches,
    scales: Integers,
    batch_size: int,
    on_step: StepCallback | None = None,
) -> Predictions:
    """Run `model` once over a split, in its order, in evaluation mode.

    Args:
        on_step: called after each batch with how many are done and how many there are.
    """
    import torch
    from torch.nn import functional

    model.eval()
    predicted, losses = [], []
    with torch.no_grad():
        for step, (images, truth) in enumerate(samples.batches(batch_size), start=1):
            logits = model(images)
            predicted.append(logits.argmax(dim=1))
            losses.append(functional.cross_entropy(logits.float(), truth, reduction="none"))
            if on_step:
                on_step(step, math.ceil(len(samples) / batch_size))
    return Predictions(
        torch.cat(predicted).cpu().numpy(),
        samples.labels.cpu().numpy(),
        np.asarray(scales, dtype=np.int64),
        torch.cat(losses).cpu().numpy(),
    )


def summarise(predictions: Predictions, scenario: Scenario) -> dict[str, float]:
    """The figures of a test: `test_loss` and `test_acc` over the scenario's test sizes, and `acc_17_32`
    and so on, the accuracy over each band, also the one seen in training."""
    return {
        "test_loss": predictions.loss(scenario.test_scales),
        "test_acc": predictions.accuracy(scenario.test_scales),
        **{band_metric(band.first, band.last): predictions.accuracy(band.scales) for band in BANDS},
    }


def band_metric(first: int, last: int) -> str:
    """The name under which the accuracy of a band is logged."""
    return f"acc_{first}_{last}"
