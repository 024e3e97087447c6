"""Files that appear whole or not at all, one builder at a time, and work spread over processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.files import exclusive, save_arrays
from benchmark.data.parallel import default_jobs, ordered_map
from siconvnet.errors import DatasetError

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX locks and signals")


def python(code: str, *arguments: object, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_same_arrays_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_arrays(tmp_path / name, {"x": np.arange(5), "y": np.array(["text"])})
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@posix
def test_full_disk_leaves_the_old_file(tmp_path):
    """The limit on the size of a file stands for the full disk: the write fails half-way."""
    path = tmp_path / "out.npz"
    path.write_text("what was there")
    code = (
        "import resource, sys, numpy as np; from pathlib import Path; from benchmark.data.files import save_arrays\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "save_arrays(Path(sys.argv[1]), {'x': np.random.default_rng(0).bytes(10**6)})"
    )
    done = python(code.replace(".bytes(10**6)", ".integers(0, 256, 10**6, 'u1')"), path)
    _, errors = done.communicate()
    assert done.returncode == 1 and f"DatasetError: cannot write {path}: File too large" in errors
    assert {path.name for path in tmp_path.iterdir()} == {"out.npz"} and path.read_text() == "what was there"


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"cannot write into .*: Not a directory"), exclusive(tmp_path / "file/x/y"):
        pass


def test_arrays_of_objects_are_not_pickled(tmp_path):
    with pytest.raises(ValueError, match="holds Python objects"):
        save_arrays(tmp_path / "x.npz", {"x": np.array([{}])})
    assert not any(tmp_path.iterdir())


HOLD = """
import sys, time; from pathlib import Path; from benchmark.data.files import exclusive
with exclusive(Path(sys.argv[1]), lambda: print("waits", flush=True)):
    print("holds", flush=True)
    if len(sys.argv) > 2: time.sleep(60)
"""


@posix
def test_a_second_builder_waits_and_a_killed_one_frees_the_way(tmp_path):
    path = tmp_path / "deep" / "out.npz"
    first = python(HOLD, path, "stay")
    assert first.stdout and first.stdout.readline() == "holds\n"
    (path.parent / ".out.npz.0123.part").touch()
    second = python(HOLD, path)
    assert second.stdout and second.stdout.readline() == "waits\n"
    time.sleep(0.1)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert second.communicate(timeout=20)[0] == "holds\n"
    first.communicate()
    assert not any(path.parent.iterdir()), "neither the lock nor what the killed builder left stays"


COUNT = """
import sys, time; from pathlib import Path; from benchmark.data.files import exclusive
path = Path(sys.argv[1])
for _ in range(50):
    with exclusive(path):
        count = int(path.read_text()); time.sleep(0.001); path.write_text(str(count + 1))
"""


@posix
def test_never_two_at_a_time(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")
    for process in [python(COUNT, path) for _ in range(3)]:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert path.read_text() == "150"


def square(x: int) -> int:
    return x * x


def die(x: int) -> int:
    if x == 3:
        os._exit(1)
    return x


def fail(x: int) -> int:
    raise ZeroDivisionError(x)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs, capsys):
    tasks = list(range(60))
    assert list(ordered_map(square, tasks, jobs=jobs, title="squares", unit=2)) == [x * x for x in tasks]
    assert "squares" in (bar := capsys.readouterr().err) and "120/120" in bar
    assert list(ordered_map(square, [], jobs=jobs, title="", unit=None)) == []


def test_what_a_worker_raises_arrives():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(fail, [1, 2], jobs=2, title="", unit=None))


def test_a_worker_that_dies_is_one_line():
    with pytest.raises(DatasetError, match=r"a worker process died"):
        list(ordered_map(die, list(range(20)), jobs=2, title="", unit=None))


def test_default_jobs():
    assert 1 <= default_jobs() <= 16


SLOW_MAP = """
import sys, time, pathlib; from benchmark.data.parallel import ordered_map
if __name__ == "__main__":
    for _ in ordered_map(time.sleep, [0.05] * 1000, jobs=2, title="", unit=None):
        print("first", flush=True)
"""


def children_of(pid: int) -> list[Path]:
    """The folders in /proc of a process's children."""
    stats = {stat.parent: stat.read_text() for stat in Path("/proc").glob("[0-9]*/stat")}
    return [folder for folder, stat in stats.items() if int(stat.rpartition(")")[2].split()[1]) == pid]


def runs(process: Path) -> bool:
    try:
        return bool((process / "cmdline").read_bytes())  # empty: it has ended, and nobody has asked for its exit code
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(how, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SLOW_MAP)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert parent.stdout and parent.stdout.readline() == "first\n"
    workers = children_of(parent.pid)
    assert len(workers) >= 2 and all(map(runs, workers))
    # Ctrl-C reaches the whole group, kill -9 the parent alone.
    os.killpg(parent.pid, how) if how == signal.SIGINT else parent.kill()
    _, errors = parent.communicate(timeout=20)
    wait_for(lambda: not any(map(runs, workers)))
    if how == signal.SIGINT:
        assert errors.count("Traceback") == 1, "the parent alone answers Ctrl-C"


def test_an_unguarded_script_is_told_so(tmp_path):
    """A spawned worker runs such a script again; it must neither hang on the lock nor multiply."""
    script = tmp_path / "script.py"
    script.write_text("from benchmark.data import prepare\nprint(prepare('mnist', progress=False))\n")
    environment = {**os.environ, "SICONVNET_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 1 and "__name__ == '__main__'" in done.stderr
    assert not any((tmp_path / "data").iterdir())
