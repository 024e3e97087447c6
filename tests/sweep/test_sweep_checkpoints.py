"""A run that is stopped and continued ends as one that was not, to the last bit; a wrong checkpoint is refused."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.events import Epoch, Observer, Result
from benchmark.spec import RunSpec
from benchmark.training.checkpoints import Checkpoint, CheckpointError, read_content, write_content
from benchmark.training.execution import execute

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_channels, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(num_channels, 4, 7, stride=4), nn.BatchNorm2d(4), nn.ReLU(),
                                    nn.Flatten(), nn.Dropout(0.5), nn.Linear(900, num_classes))

    def forward(self, x):
        return self.layers(x)
"""
TIMES = ("avg_time", "run_time")


class StopAfter(Observer):
    def __init__(self, epoch: int):
        self.last = epoch

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == self.last:
            raise KeyboardInterrupt


@pytest.fixture(params=["standard", "dropout_net:Net"])
def spec(request: pytest.FixtureRequest, icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    # A net with dropout and running means draws random numbers and has a state beside its weights.
    (tmp_path / "dropout_net.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    size = 3 if request.param == "standard" else 7
    return RunSpec(request.param, str(icons), evaluation=2, kernel_size=size, lr=1e-3, max_epochs=6, patience=6)


def same(one: Result, two: Result) -> bool:
    """Weights, predictions, figures and history, all but the times."""
    figures = [{k: v for k, v in run.metrics.items() if k not in TIMES} for run in (one, two)]
    histories = [[dataclasses.replace(epoch, train_time=0, time=0) for epoch in run.history] for run in (one, two)]
    arrays = [dict(run.predictions.arrays()) for run in (one, two)]
    return (
        figures[0] == figures[1]
        and histories[0] == histories[1]
        and one.weights.keys() == two.weights.keys()
        and all(value.equal(two.weights[name]) for name, value in one.weights.items())
        and all(np.array_equal(value, arrays[1][name]) for name, value in arrays[0].items())
    )


def stopped(spec: RunSpec, path: Path, epoch: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(spec, device="cpu", observers=[StopAfter(epoch)], checkpoint=Checkpoint(path, spec, seconds=0))


def test_continued_run_is_the_uninterrupted_one_bit_for_bit(spec: RunSpec, tmp_path: Path) -> None:
    whole = execute(spec, device="cpu")
    path = tmp_path / "there" / "run.pt"
    for epoch in (1, 4):
        stopped(spec, path, epoch)
    checkpoint = Checkpoint(path, spec)
    torch.manual_seed(99)
    continued = execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note == "resumed after epoch 4"
    assert same(continued, whole)
    assert [path.name for path in path.parent.iterdir()] == ["run.pt"]
    # The comparison can fail.
    assert not same(execute(dataclasses.replace(spec, seed=2), device="cpu"), whole)


class StopWithin(Observer):
    """Stops after the second batch of an epoch."""

    def __init__(self, epoch: int):
        self.last, self.done = epoch, 0

    def epoch(self, epoch: Epoch) -> None:
        self.done = epoch.number

    def step(self, done: int, total: int) -> None:
        if self.done == self.last - 1 and done == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [1, 3])
def test_run_stopped_between_two_batches_trains_that_epoch_anew(spec: RunSpec, tmp_path: Path, epoch: int) -> None:
    checkpoint = Checkpoint(tmp_path / "run.pt", spec, seconds=3600)
    with pytest.raises(KeyboardInterrupt):
        execute(spec, device="cpu", observers=[StopWithin(epoch)], checkpoint=checkpoint)
    checkpoint.save()
    assert checkpoint.path.exists() == (epoch > 1)
    assert same(execute(spec, device="cpu", checkpoint=Checkpoint(checkpoint.path, spec)), execute(spec, device="cpu"))


def test_run_stopped_in_its_test_is_tested_with_its_best_weights(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "run.pt", spec, seconds=3600)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("benchmark.predictions.predict", interrupted)
        execute(spec, device="cpu", checkpoint=checkpoint)
    checkpoint.save()
    with torch.random.fork_rng():
        saved = read_content(checkpoint.path)["state"]
    assert len(saved["history"]) == 6
    assert not all(value.equal(saved["best_weights"][name]) for name, value in saved["model"].items())
    assert same(execute(spec, device="cpu", checkpoint=Checkpoint(checkpoint.path, spec)), execute(spec, device="cpu"))


def test_last_epoch_is_not_trained_again(spec: RunSpec, tmp_path: Path) -> None:
    stopped(spec, tmp_path / "run.pt", 6)
    again = StopAfter(1)
    result = execute(spec, device="cpu", observers=[again], checkpoint=Checkpoint(tmp_path / "run.pt", spec))
    assert len(result.history) == 6


def other_spec(content: dict[str, object]) -> None:
    content["made_by"]["spec"] = "0" * 64  # type: ignore[index]


def other_torch(content: dict[str, object]) -> None:
    content["made_by"]["torch"] = "1.0"  # type: ignore[index]


def other_optimizer(content: dict[str, object]) -> None:
    del content["state"]["optimizer"]["param_groups"][0]["params"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_spec, "another spec"),
        (other_torch, "another torch"),
        (other_optimizer, "parameter group"),
        (None, "another checkpoint format"),
    ],
)
def test_foreign_checkpoint_is_refused_and_the_run_begins_anew(
    change: Callable[[dict[str, object]], None] | None, reason: str, icons: Path, tmp_path: Path
) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=3, patience=3)
    path = tmp_path / "run.pt"
    stopped(spec, path, 2)
    if change:
        content = read_content(path)
        change(content)
        write_content(path, content)
    else:
        torch.save(read_content(path), path)
    checkpoint = Checkpoint(path, spec)
    result = execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note.startswith("checkpoint refused: ")
    assert reason in checkpoint.note
    assert same(result, execute(spec, device="cpu"))


def test_damaged_checkpoint_is_set_aside_whatever_the_damage(icons: Path, tmp_path: Path) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=3, patience=3)
    path = tmp_path / "run.pt"
    stopped(spec, path, 2)
    whole = path.read_bytes()
    flips = np.random.default_rng(0).integers(0, 8 * len(whole), 200)
    damaged = [whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :] for bit in flips]
    for content in (*damaged, b"", whole[:50], whole[:5000], whole + b"0"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            read_content(path)
    checkpoint = Checkpoint(path, spec)
    result = execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note.startswith("checkpoint refused: it is damaged")
    assert f"set aside as {path}.damaged" in checkpoint.note
    assert Path(f"{path}.damaged").read_bytes() == content
    assert same(result, execute(spec, device="cpu"))
    checkpoint.remove()
    assert list(tmp_path.glob("run.pt*")) == []


@pytest.mark.parametrize("seconds", ["long", None, float("nan"), -1.0])
def test_time_that_is_none_counts_as_nothing(icons: Path, tmp_path: Path, seconds: object) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=2, patience=2)
    path = tmp_path / "run.pt"
    stopped(spec, path, 1)
    content = read_content(path)
    write_content(
        path, {**content, "seconds": seconds} if seconds else {k: v for k, v in content.items() if k != "seconds"}
    )
    checkpoint = Checkpoint(path, spec)
    result = execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note == "resumed after epoch 1"
    assert 0 < result.metrics["run_time"] < 600


def test_another_number_of_threads_is_said(icons: Path, tmp_path: Path) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=2, patience=2)
    path, before = tmp_path / "run.pt", torch.get_num_threads()
    stopped(spec, path, 1)
    checkpoint = Checkpoint(path, spec)
    try:
        torch.set_num_threads(before + 1)
        execute(spec, device="cpu", checkpoint=checkpoint)
    finally:
        torch.set_num_threads(before)
    assert checkpoint.note.startswith(f"resumed after epoch 1 with {before + 1} threads in place of {before}; ")


def test_clock_that_is_set_back_gives_no_negative_times(
    icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=2, patience=2)
    now = itertools.count(2e9, -3600)
    monkeypatch.setattr("time.time", lambda: next(now))
    result = execute(spec, device="cpu")
    assert result.end_time > result.started.time
    assert 0 < result.metrics["run_time"] < 600
    with pytest.raises(AssertionError):
        assert result.history[-1].time > result.history[0].time  # the clock did go back


def test_checkpoint_that_runs_code_is_refused(icons: Path, tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    (tmp_path / "run.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=1)
    checkpoint = Checkpoint(tmp_path / "run.pt", spec)
    execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note.startswith("checkpoint refused")
    assert not (tmp_path / "harm").exists()


def test_nothing_is_written_before_the_time_has_come(icons: Path, tmp_path: Path) -> None:
    spec = RunSpec("standard", str(icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=3, patience=3)
    execute(spec, device="cpu", checkpoint=Checkpoint(tmp_path / "run.pt", spec, seconds=3600))
    assert list(tmp_path.glob("*.pt")) == []


def test_full_disk_does_not_stop_a_run(icons: Path, tmp_path: Path) -> None:
    # A limit on the size of files fails as a full disk does, in the middle of writing.
    code = """
import resource, signal, sys
from benchmark.training.checkpoints import Checkpoint, CheckpointError, read_content, write_content
from benchmark.training.execution import execute
from benchmark.spec import RunSpec
spec = RunSpec("standard", sys.argv[1], evaluation=2, kernel_size=3, lr=1e-3, max_epochs=3, patience=3)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000,) * 2)
print(len(execute(spec, device="cpu", checkpoint=Checkpoint(sys.argv[2], spec, seconds=0)).history))
"""
    folder = tmp_path / "checkpoints"
    done = subprocess.run(
        [sys.executable, "-c", code, str(icons), str(folder / "run.pt")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
    assert list(folder.iterdir()) == []
