"""The folder in which processes meet: claims end with their holders, halves are removed, nobody waits forever."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from sweep_bench import Bench

from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.ingestion import Busy, ingest
from benchmark.store.orphans import orphans
from benchmark.store.run_states import RunState
from benchmark.sweeps.executors import worker
from benchmark.sweeps.executors.base import DIED, NO_ROOM, UNFIT, Settings
from benchmark.sweeps.executors.processes import _Worker
from benchmark.system.environment import process, process_exists, process_space, process_start
from benchmark.training.record_schema import Environment
from benchmark.training.records import PARTIAL, RecordError
from benchmark.training.work_folder import Workplace

RUN, OTHER = "0" * 64, "1" * 64
HOLD = """
import sys, time
from benchmark.training.work_folder import Workplace
with Workplace(sys.argv[1]).claim(sys.argv[2]) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    made = Workplace(tmp_path / "work")
    made.prepare()
    return made


def test_claim_ends_with_its_holder_however_that_ends(place: Workplace) -> None:
    command = [sys.executable, "-c", HOLD, str(place.root), RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert (place.held(RUN), place.held(OTHER)) == (True, False)
        assert list(place.running()) == [RUN[:16]]
        with place.claim(RUN) as mine:
            assert not mine
        holder.kill()
        holder.wait()
        assert not place.held(RUN)
        assert place.running() == {}
        with place.claim(RUN) as mine:
            assert mine


def test_halves_are_removed_but_not_those_of_a_run_that_goes_on(place: Workplace) -> None:
    (place.root / "checkpoints").mkdir()
    halves = {}
    for key in (RUN, OTHER):
        folder = place.records / f"{PARTIAL}{key[:16]}-x"
        folder.mkdir()
        half = place.root / "checkpoints" / f".{key[:16]}.pt.12.part"
        half.write_text("half")
        halves[key] = (folder, half)

    def left() -> list[str]:
        return [key[0] for key, paths in halves.items() if all(path.exists() for path in paths)]

    with place.claim(RUN):
        place.tidy(RUN)
        assert left() == ["0", "1"]
        place.prepare()
        assert left() == ["0"]
    place.tidy(OTHER)
    assert left() == ["0"]
    place.tidy(RUN)
    assert not any(path.exists() for paths in halves.values() for path in paths)


def test_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RecordError, match="knows no locks; choose another one with --work-dir"):
        Workplace(tmp_path / "work").prepare()
    assert not list((tmp_path / "work").glob(".*"))


def test_records_that_somebody_else_logs_are_not_waited_for_without_end(bench: Bench) -> None:
    bench.place.prepare()
    with FileLock(bench.place.records / ".ingest.lock"), pytest.raises(Busy):
        list(ingest(bench.place.records, Store(bench.uri), wait=0.1))
    assert list(ingest(bench.place.records, Store(bench.uri), wait=0.1)) == []


def test_machine_that_cannot_load_pytorch_does_not_stop_the_sweep(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = worker.work(RunSpec("standard", "emoji", evaluation=2, lr=1e-3), Settings(place.root))
    assert (outcome.kind, outcome.host) == (UNFIT, socket.gethostname())
    assert outcome.reason.startswith("PyTorch cannot be loaded: import of torch halted")


def test_place_that_takes_no_claim_stops_it(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileLock, "acquire", fail)
    outcome = worker.work(RunSpec("standard", "emoji", evaluation=2, lr=1e-3), Settings(place.root))
    assert (outcome.kind, outcome.reason) == (
        NO_ROOM,
        f"cannot write into {str(place.root)!r}: No space left on device",
    )


def test_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    pid = str(os.getpid())
    here = RunState(
        "id", "RUNNING", 0.0, None, host=socket.gethostname(), pid=pid, process_start=process_start(int(pid))
    )
    reused = dataclasses.replace(here, process_start="1")
    of_an_earlier_version = dataclasses.replace(here, process_start="", start=time.time())
    elsewhere = dataclasses.replace(reused, host="another")
    over = dataclasses.replace(reused, status="FINISHED")
    assert here.process_start.isdigit()
    assert orphans([here, reused, of_an_earlier_version, elsewhere, over]) == [reused]
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    assert process_start(gone.pid) == ""
    assert not process_exists(gone.pid)


def test_start_of_a_process_where_there_are_no_files_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on Windows and macOS.
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert float(process_start(os.getpid())) == pytest.approx(time.time(), abs=3600)
    assert process_start(2**22 + 1) == process_start(-1) == process_start(2**70) == ""


def test_nobody_asks_for_a_process_by_a_signal() -> None:
    # Signal 0 asks on Linux, and ends the process on Windows.
    root = Path(__file__).parents[2]
    files = [
        path for tree in ("siconvnet", "benchmark", "data", "plots", "scripts") for path in (root / tree).rglob("*.py")
    ]
    asking = re.compile(r"\bkill(pg)?\([^()]*(\([^()]*\))?[^()]*, 0\)")
    assert asking.search("os.kill(int(run.pid), 0)")
    assert len(files) > 100
    assert [path for path in files if asking.search(path.read_text(encoding="utf-8"))] == []


def test_a_process_in_another_container_of_the_same_name_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    outside, inside = "pid:[4026531836]", "pid:[4026532201]"
    gone = RunState("id", "RUNNING", 0.0, None, host=socket.gethostname(), pid=str(2**22 + 1), process_start="1")

    def found(space: str, here: str) -> bool:
        monkeypatch.setattr("benchmark.store.orphans.process_space", lambda: here)
        return bool(orphans([dataclasses.replace(gone, process_space=space)]))

    here = f"machine/boot/{outside}"
    assert found(here, here)
    assert found("", here)  # of an earlier version
    assert found(f"machine/earlier/{outside}", here)
    assert not found(f"machine/boot/{inside}", here)
    assert not found(f"other/earlier/{outside}", here)
    assert not found(f"/earlier/{outside}", f"/boot/{outside}")
    assert not found(here, f"machine/boot/{inside}") and not found(here, "")
    monkeypatch.undo()
    assert process_space() in ("", process()["process_space"])
    assert Environment.model_validate(process()).process_space == process_space()


def test_death_is_noticed_though_nothing_tells_of_it(place: Workplace) -> None:
    # Its exit code has been collected by somebody else, and a process that it started still holds its pipe.
    worker = _Worker(0, Settings(place.root))
    worker._spawn()
    pid = worker.process.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    worker.connection.close()
    worker.connection, held = multiprocessing.Pipe()
    worker.spec = RunSpec("standard", "emoji", evaluation=2, lr=1e-3)
    assert worker.process.is_alive()
    (outcome,) = worker.messages()
    assert outcome.kind == DIED  # type: ignore[union-attr]
    held.close()
    worker.end()


def test_claims_of_killed_processes_are_removed(tmp_path):
    place, other = Workplace(tmp_path / "work"), Workplace(tmp_path / "work")
    place.prepare()
    for name in ("a" * 16 + ".lock", "a" * 16 + ".json", "b" * 16 + ".json"):
        (place.claims / name).write_text("{}")
    with other.claim("c" * 64):
        other.say("c" * 64, epoch=1)
        place.prepare()
        assert sorted(path.name[0] + path.suffix for path in place.claims.iterdir()) == ["c.json", "c.lock"]
