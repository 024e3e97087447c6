"""Sweeps on Ray: two nodes on one machine, one of which is killed; a node that shares no disk; and what is refused."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_bench import Bench

from benchmark.spec import RunSpec
from benchmark.sweeps.executors import ray_cluster
from benchmark.sweeps.executors.base import FINISHED, UNFIT, Settings
from benchmark.sweeps.executors.parcel import pack, unpack
from benchmark.sweeps.executors.ray import RayExecutor
from benchmark.sweeps.executors.ray_cluster import room
from benchmark.sweeps.executors.ray_task import Home, job
from benchmark.training import records
from benchmark.training.records import RecordError, find, read
from benchmark.training.work_folder import Workplace
from siconvnet.errors import SiconvnetError


@pytest.fixture(autouse=True)
def ray_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def cluster(ray_as_it_is: None, own_home: None) -> Iterator[Any]:
    """A head without processors and two nodes with one each, on this machine."""
    utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    made = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        made.nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        yield made
    finally:
        made.shutdown()


def line(bench: Bench, *more: str, **grid: str) -> list[str]:
    return bench.line("--executor", "ray", "--checkpoint-every", "0", *more, **grid)


@pytest.mark.slow
def test_nodes_that_share_no_folder_and_a_node_that_is_killed_cost_no_run(bench: Bench, cluster: Any) -> None:
    # This path is another folder in each process: to the nodes, one that they do not share with the driver.
    apart = ["--ray-address", cluster.address, "--work-dir", "/proc/self/cwd/apart"]
    code, out, err = bench.end(bench.start(line(bench, *apart, seeds="7-8")))
    assert (code, err) == (0, ""), out
    assert bench.seeds() == [7, 8]
    own = Path.home() / ".local" / "share" / "siconvnet" / "sweeps"
    assert len(list(own.glob("ray-*/records"))) == 1
    assert [path.name for path in own.rglob("*") if path.is_file() and path.suffix != ".lock"] == []

    driver = bench.start(line(bench, "--ray-address", cluster.address, seeds="1-3", epochs="12"))
    bench.wait_for(lambda: len(list((bench.place.root / "checkpoints").glob("*.pt"))) == 2)
    cluster.remove_node(cluster.nodes[0], allow_graceful=False)
    code, out, err = bench.end(driver)
    assert (code, err) == (0, ""), out
    assert f"Ray {cluster.address}, at most 2 runs at once" in out
    assert out.rstrip().endswith("3 of 3 runs done, 0 failed"), out[-1500:]
    assert bench.seeds() == [1, 2, 3, 7, 8]
    assert bench.place.waiting() == bench.halves() == bench.runs("RUNNING") == []
    assert [path.name for path in bench.place.logs.iterdir()] == ["sweep.log"]


@pytest.mark.slow
def test_interrupt_leaves_checkpoints_and_no_process(bench: Bench) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    driver = bench.start(line(bench, "--workers", "1", seeds="1", epochs="100000"))
    bench.wait_for(lambda: any(epoch >= 1 for epoch in bench.epochs().values()))
    descendants = [worker for worker in _processes() if _is_below(worker, driver.pid)]
    assert len(descendants) > 3
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=120)
    assert (driver.returncode, err) == (130, "\ninterrupted\n")
    bench.wait_for(lambda: not set(descendants) & set(_processes()), 30)
    assert list((bench.place.root / "checkpoints").glob("*.pt"))
    assert bench.halves() == bench.runs("RUNNING") == []


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        try:
            found = re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
        except OSError:
            return False
        pid = int(found[1]) if found else 0
    return pid == ancestor


def test_node_without_the_folder_sends_its_record(bench: Bench, tmp_path: Path) -> None:
    spec = RunSpec("standard", str(bench.icons), evaluation=2, kernel_size=3, lr=1e-3, max_epochs=1, patience=1)
    bench.place.prepare()
    home = Home.here(bench.place.root)
    assert Home.here(bench.place.root) == home
    assert home.is_shared(bench.place.root)
    # The folder of that name is another one there.
    elsewhere = Workplace(tmp_path / "elsewhere")
    elsewhere.prepare()
    assert Home.here(elsewhere.root) != home
    here = Path.cwd()
    outcome, parcel = _apart(spec, elsewhere.root, home)
    assert Path.cwd() == here
    assert (outcome.kind, outcome.host) == (FINISHED, socket.gethostname())
    assert parcel is not None
    assert find(elsewhere.records) == []
    folder = unpack(parcel, bench.place.records)
    assert read(folder).metrics == outcome.metrics
    assert unpack(parcel, bench.place.records) == folder
    assert find(bench.place.records) == [folder]
    assert pack(folder) == parcel
    assert bench.halves() == []


def _apart(spec: RunSpec, root: Path, home: Home) -> tuple[Any, Any]:
    """What a task does, whose output and handler of Ctrl-C are those of the tests."""
    # pytest's own streams may have other numbers than 1 and 2, and it reads from them later.
    numbers = [stream.fileno() for stream in (sys.stdout, sys.stderr)]
    handler, copies = signal.getsignal(signal.SIGINT), [os.dup(number) for number in numbers]
    try:
        return job(spec, Settings(root, "cpu", 1), home)
    finally:
        signal.signal(signal.SIGINT, handler)
        for number, copy in zip(numbers, copies, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def test_record_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "record.json").write_text("{}")
    parcel = pack(tmp_path / "record")
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write the record"):
        unpack(parcel, tmp_path / "file")


def test_record_that_does_not_reach_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "record.json").write_text("{}")
    monkeypatch.setattr(records, "sync", fail)
    with pytest.raises(RecordError, match="No space left"):
        unpack(pack(tmp_path / "record"), tmp_path / "records")
    assert list((tmp_path / "records").iterdir()) == []


def test_node_whose_disk_takes_nothing_is_named(bench: Bench) -> None:
    (bench.folder / "home").write_text("")
    bench.place.prepare()
    home = Home("another", str(bench.folder), None)
    outcome, parcel = _apart(RunSpec("standard", "emoji", evaluation=2, lr=1e-3), bench.place.root, home)
    assert (outcome.kind, outcome.host, parcel) == (UNFIT, socket.gethostname(), None)
    assert outcome.reason.startswith("cannot write records into")


@pytest.mark.parametrize(
    ("cpus", "gpus", "threads", "share", "expected"),
    [
        (8, 0, 1, 0, 8),
        (8, 0, 3, 0, 2),
        (64, 8, 1, 1, 8),
        (64, 8, 1, 0.25, 32),
        (64, 8, 1, 0.3, 24),
        (64, 8, 1, 0.1, 64),
        (64, 8, 16, 0.25, 4),
        (64, 8, 1, 3, 2),
        (64, 0, 1, 0.5, 0),
    ],
)
def test_room_of_a_node(cpus: float, gpus: float, threads: int, share: float, expected: int) -> None:
    assert room(cpus, gpus, threads, share) == expected


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port at which somebody listens who is no Ray."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--ray-address", "127.0.0.1:1"], 1, "no Ray cluster at 127.0.0.1:1: Connection refused"),
        (["--ray-address", "127.0.0.1:99999"], 1, "no Ray cluster at 127.0.0.1:99999"),
        (["--ray-address", "ray://here:10001"], 2, "give HOST:PORT of the cluster's head, or auto"),
        (["--ray-address", "here"], 2, "give HOST:PORT of the cluster's head, or auto"),
        (["--ray-gpus", "1.5"], 2, "give a part of one GPU"),
        (["--ray-gpus", "-1"], 2, "--ray-gpus"),
        (["--ray-gpus", "nan"], 2, "--ray-gpus"),
        (["--device", "cuda:1"], 2, "name auto, cpu or cuda"),
        (["--slurm-option", "qos=long"], 2, "--slurm-option needs --executor slurm, not ray"),
        (["--executor", "processes", "--ray-max-retries", "1"], 2, "--ray-max-retries needs --executor ray"),
    ],
)
def test_what_is_refused_is_one_line(bench: Bench, more: list[str], code: int, message: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    stated = line(bench, *more)
    if "--executor" in more:  # it replaces the one of the line
        place = stated.index("--executor")
        del stated[place : place + 2]
    found, out, err = bench.run(stated)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err


@pytest.mark.slow
def test_port_of_something_else_is_one_line_in_time(bench: Bench, deaf: int) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    start = time.monotonic()
    code, out, err = bench.run(line(bench, "--ray-address", f"127.0.0.1:{deaf}"))
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "no answer in 20 s. Is this machine one of its nodes?" in err
    assert time.monotonic() - start < 40


def test_without_ray_one_line_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(ray_cluster.importlib, "import_module", import_module)
    settings = Settings(bench.place.root)
    with pytest.raises(SiconvnetError, match=r"pip install 'siconvnet\[ray\]'"):
        RayExecutor(settings, lambda progress: None)
