"""What became of a run, as a file: everything survives, and nothing in a file is more than data."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.events import Ended, Epoch, Started
from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import DIED, FAILED, FINISHED, Outcome, Settings
from benchmark.sweeps.executors.outcome_file import read_outcome, write_outcome
from benchmark.training.records import RecordError
from benchmark.training.work_folder import Workplace

SPEC = RunSpec("standard", "emoji", evaluation=2, lr=1e-3, seed=1)
EPOCH = Epoch(1, 1.0, 50.0, 2.0, None, None, None, 3, 4.0, {"isr": 2.0})
FAILURE = Ended(Started("0" * 32, SPEC, 1.0, 7, {"host": "node", "gpus": [1]}), "FAILED", "boom", (EPOCH,), 9.0)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(SPEC, FINISHED, metrics={"test_acc": 50.0}, host="node"),
        Outcome(SPEC, FAILED, "boom", "line 1\nline 2", "node", ended=FAILURE),
        Outcome(SPEC, FAILED, "no memory", out_of_memory=True),
    ],
    ids=["finished", "failed", "out of memory"],
)
def test_an_outcome_survives(tmp_path: Path, outcome: Outcome) -> None:
    write_outcome(outcome, tmp_path / "one.result")
    assert read_outcome(tmp_path / "one.result", SPEC) == outcome


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=3
)
names = st.sampled_from([*(field.name for field in dataclasses.fields(Outcome)), "history", "started", "status"])


@given(st.dictionaries(names, values | st.dictionaries(names, values)) | values)
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.mktemp("result") / "one.result"
    path.write_text(json.dumps(content))
    try:
        assert isinstance(read_outcome(path, SPEC), Outcome)
    except ValueError as error:
        assert "not an outcome" in str(error)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_no_pickle_of_a_job_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    from benchmark.sweeps.executors.slurm import SlurmExecutor, _Job

    (tmp_path / "sbatch").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    executor = SlurmExecutor(Settings(tmp_path), lambda progress: None)
    handle = executor._submitit.SlurmJob(folder=executor.folder, job_id="7")
    bomb = tmp_path / "went off"
    handle.paths.result_pickle.parent.mkdir(exist_ok=True)
    handle.paths.result_pickle.write_bytes(pickle.dumps(("success", Bomb(bomb))))
    executor._jobs[SPEC.hash] = _Job(SPEC, handle, 0.0)
    (outcome,) = executor._ended()
    assert (outcome.kind, outcome.reason) == (DIED, "job 7 is gone without a result")
    assert not bomb.exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_folder_of_a_sweep_is_ours_alone(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "new" / "work")
    before = os.umask(0)
    try:
        place.prepare()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (place.root, place.records, place.claims, place.logs)}
    assert modes == {0o700}
    for shared in (place.root, place.records):
        shared.chmod(0o770)
        with pytest.raises(RecordError, match=f"other users can write into '{shared}'.*chmod go-w"):
            place.prepare()
        shared.chmod(0o700)
    place.root.chmod(0o755)  # others may look
    place.prepare()
