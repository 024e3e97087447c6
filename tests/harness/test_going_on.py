"""A single run that was stopped goes on where it stood, and nobody else trains it in the meantime."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from benchmark.cli import main
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.run_states import read_states
from benchmark.sweeps.executors.base import Settings
from benchmark.sweeps.executors.worker import work
from benchmark.training.execution import execute
from benchmark.training.records import find, read
from benchmark.training.work_folder import Workplace

Capture = pytest.CaptureFixture[str]
SCRIPT = Path(sys.executable).parent / "benchmark"
EPOCHS = 25


@pytest.fixture
def long(spec: RunSpec) -> RunSpec:
    """Long enough to be stopped on the way."""
    return dataclasses.replace(spec, max_epochs=EPOCHS, patience=EPOCHS)


def line(spec: RunSpec, *more: str) -> list[str]:
    lengths = ["--epochs", str(spec.max_epochs), "--patience", str(spec.patience), "--checkpoint-every", "0"]
    what = ["-m", spec.model, "-d", spec.dataset, "-e", "2", "--kernel-size", "3", "--device", "cpu"]
    return ["run", *what, *lengths, *more]


def stop(arguments: list[str], place: Workplace, spec: RunSpec, how: signal.Signals) -> str:
    """Start the command and stop it after a few epochs; what it said."""
    process = subprocess.Popen(
        [SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        end = time.monotonic() + 180
        while place.running().get(spec.hash[:16], {}).get("epoch", 0) < 3:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(how)
        return process.communicate(timeout=180)[0]
    finally:
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_goes_on_to_the_same_end(
    how: signal.Signals, long: RunSpec, database: Path, tmp_path: Path, capsys: Capture
) -> None:
    place = Workplace(tmp_path / "work")
    arguments = line(long, "--tracking-uri", str(database), "--work-dir", str(place.root))
    said = stop(arguments, place, long, how)
    assert ("the same command goes on there" in said) == (how == signal.SIGINT)
    assert place.checkpoint(long.hash).is_file()

    assert main(arguments) == 0
    out = capsys.readouterr().out
    resumed = re.search(r"resumed after epoch (\d+)", out)
    assert resumed is not None
    assert int(resumed[1]) >= 2
    assert int(re.findall(r"^epoch +(\d+)/", out, re.M)[0]) == int(resumed[1]) + 1
    assert list(place.claims.iterdir()) == list((place.root / "checkpoints").iterdir()) == []

    assert sorted(state.status for state in read_states(str(database))) == ["FINISHED", "KILLED"]

    whole = execute(long, device="cpu")
    store = Store(str(database))
    run = store.find_finished(long)
    assert run is not None
    with store.artifact(run.run_id, "model.safetensors") as path:
        weights = load_file(path)
    assert all(np.array_equal(weights[name], value) for name, value in whole.weights.items())
    # The store has the curve of all epochs, also of those before the stop.
    curve = store.client.get_metric_history(run.run_id, "train_loss")
    assert {point.step: point.value for point in curve} == {e.number: e.train_loss for e in whole.history}


def test_records_are_claimed_and_kept_beside_each_other(long: RunSpec, tmp_path: Path, capsys: Capture) -> None:
    root = tmp_path / "records"
    place = Workplace(root / ".work")
    stop(line(long, "--records", str(root)), place, long, signal.SIGKILL)
    assert find(root) == []
    assert main(line(long, "--records", str(root), "-q")) == 0
    assert "resumed after epoch" in capsys.readouterr().out
    (record,) = find(root)
    assert [epoch["number"] for epoch in read(record).history] == [*range(1, EPOCHS + 1)]
    assert not place.checkpoint(long.hash).exists()


def test_force_starts_anew(long: RunSpec, tmp_path: Path, capsys: Capture) -> None:
    root = tmp_path / "records"
    place = Workplace(root / ".work")
    said = stop(line(long, "--records", str(root), "--force"), place, long, signal.SIGINT)
    assert "the same command without --force goes on there" in said
    assert main(line(long, "--records", str(root), "--force")) == 0
    out = capsys.readouterr().out
    assert "resumed" not in out
    assert re.search(r"^epoch +1/", out, re.M)
    # Of a repetition nothing is kept: without --force, what has finished is shown.
    assert "goes on" not in stop(line(long, "--records", str(root), "--force"), place, long, signal.SIGINT)
    assert not place.checkpoint(long.hash).exists()


def test_run_that_another_process_trains_is_refused(spec: RunSpec, tmp_path: Path, capsys: Capture) -> None:
    place = Workplace(tmp_path / "work")
    place.prepare()
    spec = spec.replace(patience=10)
    arguments = line(spec, "--records", str(tmp_path / "records"), "--work-dir", str(place.root))
    with place.claim(spec.hash) as mine:
        assert mine
        place.say(spec.hash, epoch=1)
        assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(r"another process trains this run, process \d+ on .*; wait for it", err)


def test_worker_of_a_sweep_leaves_a_single_run_alone(long: RunSpec, database: Path, tmp_path: Path) -> None:
    place = Workplace(tmp_path / "work")
    arguments = line(long, "--tracking-uri", str(database), "--work-dir", str(place.root))
    process = subprocess.Popen([SCRIPT, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not place.held(long.hash):
            assert process.poll() is None
            time.sleep(0.02)
        assert work(long, Settings(place.root)).kind == "busy"
    finally:
        process.kill()
        process.wait()


def test_diverged_run_leaves_no_checkpoint(spec: RunSpec, tmp_path: Path, capsys: Capture) -> None:
    root = tmp_path / "records"
    assert main(line(spec, "--records", str(root), "--lr", "1e30")) == 1
    assert "loss became" in capsys.readouterr().err
    assert list((root / ".work").rglob("*.pt")) == []
