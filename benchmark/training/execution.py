"""`execute(spec)`: the one way in which a run happens, on a laptop as in a sweep.

Who wants to follow a run gives an observer; MLflow, record folders and progress lines are observers alike,
so training itself knows none of them.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.events import Ended, Observer, Result, Started
from benchmark.spec import RunSpec
from benchmark.system import environment
from benchmark.system.own_model import describe_model
from benchmark.training.divergence import Diverged, TrainingError
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from benchmark.predictions import Predictions
    from benchmark.training.checkpoints import Checkpoint
    from benchmark.training.loop import Training


def execute(
    spec: RunSpec,
    *,
    device: str = "auto",
    observers: Sequence[Observer] = (),
    checkpoint: Checkpoint | None = None,
) -> Result:
    """Train, keep the best weights (without a validation split the last), test once.

    A run whose weights cease to be numbers after its first epoch ends there, and its best weights are tested: that is
    what the paper's protocol comes to, which trains on with them until its patience is over.

    Same spec, same machine, same number of threads: the same result bit for bit on a CPU.

    Args:
        device: auto, cpu, cuda or cuda:N.
        checkpoint: where the run stands; it goes on from there, and is kept there.

    Raises:
        InvalidArgument: the spec is none.
        DatasetError: the data is missing or broken.
        TrainingError: a loss is no finite number, that of the test included, or internal scales have run away, and
            there are no best weights to test, or the weights are finite still; observers saw the run end as FAILED.
        KeyboardInterrupt: observers saw the run end as KILLED.
    """
    from benchmark.predictions import predict
    from benchmark.training.loop import Training, seed_everything

    spec.validate()
    where = environment.find_device(device)
    task = spec.study.open(spec, where)

    seed_everything(spec.seed)
    model = task.create_model().to(where)
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    made_with = environment.describe(where)
    if own := describe_model(spec.model, spec.model_key):
        made_with["model"] = own
    started = Started(uuid.uuid4().hex, spec, time.time(), parameters, made_with, task.sizes)
    begin = time.monotonic()  # a clock may be set while the run goes on
    training = Training(
        model,
        task.train,
        task.valid,
        spec.lr,
        spec.batch_size,
        spec.max_epochs,
        spec.patience,
        spec.study.protocol,
        spec.settings.amp,
    )
    before = checkpoint.resume(training) if checkpoint else 0.0
    try:
        for observer in observers:
            observer.started(started)
        diverged = _train(training, observers, checkpoint)
        training.restore_best()
        samples, sizes = task.test_split()
        predictions = predict(
            model, samples, sizes, spec.batch_size, lambda done, total: _each_test_step(observers, done, total)
        )
        _require_finite(predictions)
    except BaseException as error:
        status, reason = _verdict(error)
        ended = Ended(started, status, reason, tuple(training.history), started.time + time.monotonic() - begin)
        for observer in observers:
            # What ended the run is what must be heard of, not who else failed over it.
            with contextlib.suppress(SiconvnetError):
                observer.ended(ended)
        raise
    took = time.monotonic() - begin
    result = Result(
        started=started,
        metrics={
            **spec.study.summarise(spec, predictions),
            **_best(training),
            **diverged,
            "epochs": len(training.history),
            "avg_time": training.average_time,
            "run_time": before + took,
        },
        history=tuple(training.history),
        predictions=predictions,
        weights={name: value.detach().cpu() for name, value in model.state_dict().items()},
        end_time=started.time + took,
    )
    for observer in observers:
        observer.finished(result)
    return result


def _train(training: Training, observers: Sequence[Observer], checkpoint: Checkpoint | None) -> dict[str, float]:
    """All epochs; the figures of a run that diverged when it had learned something."""
    while not training.finished:
        try:
            epoch = training.epoch(
                lambda done, total: _each_step(observers, done, total),
                lambda done, total: _each_valid_step(observers, done, total),
            )
        except Diverged:
            if not training.best_weights:
                raise
            return {"diverged_epoch": len(training.history) + 1}
        if checkpoint:
            checkpoint.after_epoch()
        for observer in observers:
            observer.epoch(epoch)
    return {}


def _require_finite(predictions: Predictions) -> None:
    """A model may be finite on the sizes that it was trained on and overflow on others.

    Raises:
        TrainingError: naming the sizes.
    """
    import numpy as np

    wrong = ~np.isfinite(predictions.losses)
    if wrong.any():
        sizes = predictions.scales[wrong]
        raise TrainingError(
            f"the test loss is no finite number for {wrong.sum():,} of {len(wrong):,} images, with objects of "
            f"{sizes.min()} to {sizes.max()} pixels."
        )


def _best(training: Training) -> dict[str, float]:
    best = training.best_epoch
    return {} if best.val_acc is None else {"best_acc": best.val_acc, "best_epoch": best.number}


def _each_step(observers: Sequence[Observer], done: int, total: int) -> None:
    for observer in observers:
        observer.step(done, total)


def _each_valid_step(observers: Sequence[Observer], done: int, total: int) -> None:
    for observer in observers:
        observer.valid_step(done, total)


def _each_test_step(observers: Sequence[Observer], done: int, total: int) -> None:
    for observer in observers:
        observer.test_step(done, total)


def _verdict(error: BaseException) -> tuple[str, str]:
    """The status of a run that this error ended, and the reason in one line."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "KILLED", "interrupted"
    text = " ".join(str(error).split()) or type(error).__name__
    return "FAILED", text if isinstance(error, SiconvnetError) else f"{type(error).__name__}: {text}"
