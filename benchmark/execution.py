"""`execute(spec)`: the one way in which a run happens, on a laptop as in a sweep.

Who wants to follow a run gives an observer; MLflow, record folders and progress lines are observers alike,
so training itself knows none of them.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark import environment
from benchmark.evaluation import Predictions, predict, summarise
from benchmark.events import Ended, Observer, Result, Started
from benchmark.protocol import ALL_SCALES
from benchmark.spec import RunSpec, is_file
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    import torch

    from benchmark.checkpoints import Checkpoint
    from benchmark.training import Samples
    from siconvnet.datasets import StirDataset


def execute(
    spec: RunSpec,
    *,
    device: str = "auto",
    observers: Sequence[Observer] = (),
    checkpoint: Checkpoint | None = None,
) -> Result:
    """Train, keep the best weights, test once.

    Same spec, same machine, same number of threads: the same result bit for bit on a CPU.

    Args:
        device: auto, cpu, cuda or cuda:N.
        checkpoint: where the run stands; it goes on from there, and is kept there.

    Raises:
        InvalidArgument: the spec is none.
        DatasetError: the data is missing or broken.
        TrainingError: the loss is no finite number any more; observers saw the run end as FAILED.
        KeyboardInterrupt: observers saw the run end as KILLED.
    """
    from benchmark.training import Training, seed_everything
    from siconvnet import create_model

    spec.validate()
    where = environment.find_device(device)
    data = load_data(spec.dataset)
    scales = spec.scenario.train_scales
    train, valid = (load_samples(data, split, scales, where) for split in ("train", "valid"))

    seed_everything(spec.seed)
    model = create_model(
        spec.model,
        num_channels=data.num_channels,
        num_classes=data.num_classes,
        kernel_size=spec.kernel_size,
        interpolation=spec.interpolation,
    ).to(where)
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    started = Started(uuid.uuid4().hex, spec, time.time(), parameters, environment.describe(where))
    training = Training(model, train, valid, spec.lr, spec.batch_size, spec.max_epochs, spec.patience)
    before = checkpoint.resume(training) if checkpoint else 0.0
    try:
        for observer in observers:
            observer.started(started)
        while not training.finished:
            epoch = training.epoch(lambda done, total: _each_step(observers, done, total))
            if checkpoint:
                checkpoint.after_epoch()
            for observer in observers:
                observer.epoch(epoch)
        training.restore_best()
        predictions = _predict_test(model, data, where, spec.batch_size)
    except BaseException as error:
        status, reason = _verdict(error)
        ended = Ended(started, status, reason, tuple(training.history), time.time())
        for observer in observers:
            # What ended the run is what must be heard of, not who else failed over it.
            with contextlib.suppress(SiconvnetError):
                observer.ended(ended)
        raise
    end = time.time()
    result = Result(
        started=started,
        metrics={
            **summarise(predictions, spec.scenario),
            "best_acc": training.best_epoch.val_acc,
            "best_epoch": training.best_epoch.number,
            "epochs": len(training.history),
            "avg_time": training.average_time,
            "run_time": before + end - started.time,
        },
        history=tuple(training.history),
        predictions=predictions,
        weights={name: value.detach().cpu() for name, value in model.state_dict().items()},
        end_time=end,
    )
    for observer in observers:
        observer.finished(result)
    return result


def load_data(dataset: str) -> StirDataset:
    """The data set of a name or a file; one that can be built is built first.

    Raises:
        DatasetError: it is missing or broken.
    """
    from benchmark.data import prepare
    from siconvnet.datasets import load_dataset

    return load_dataset(dataset if is_file(dataset) else prepare(dataset))


def load_samples(
    data: StirDataset, split: str, scales: Sequence[int], device: torch.device, *, shuffle: bool = True
) -> Samples:
    """A part of a split on the device, in the one fixed order of the protocol."""
    import torch

    from benchmark.training import Samples

    subset = data.select(split, scales, shuffle=shuffle)
    return Samples(torch.from_numpy(subset.images).to(device), torch.from_numpy(subset.labels).to(device))


def _predict_test(model: Any, data: StirDataset, device: torch.device, batch_size: int) -> Predictions:
    # All sizes, also those that the scenario does not test: the accuracy by size needs no second pass then.
    import torch

    subset = data.select("test", ALL_SCALES)
    images, labels = (torch.from_numpy(array).to(device) for array in (subset.images, subset.labels))
    return predict(model, images, labels, subset.scales, batch_size)


def _each_step(observers: Sequence[Observer], done: int, total: int) -> None:
    for observer in observers:
        observer.step(done, total)


def _verdict(error: BaseException) -> tuple[str, str]:
    """The status of a run that this error ended, and the reason in one line."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "KILLED", "interrupted"
    text = " ".join(str(error).split()) or type(error).__name__
    return "FAILED", text if isinstance(error, SiconvnetError) else f"{type(error).__name__}: {text}"
