"""Sweeps with real processes and a real store: each run exactly once, whatever is killed, filled or edited."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from sweep_bench import SCRIPT, Bench

LONG = "100000"


def test_sweep_runs_each_once_and_again_does_nothing(bench: Bench) -> None:
    code, out, err = bench.run(bench.line("--workers", "2", seeds="1-3"))
    assert (code, err) == (0, "")
    assert len(re.findall(r"^\[\d/3\] standard s\d .*: test accuracy [\d.]+ % in .*; .* left$", out, re.M)) == 3
    assert out.rstrip().endswith("3 of 3 runs done, 0 failed")
    assert bench.seeds() == [1, 2, 3]
    assert bench.place.waiting() == bench.halves() == []
    assert list((bench.place.root / "claims").iterdir()) == []
    log = (bench.place.logs / "sweep.log").read_text()
    assert log.count("test accuracy") == 3
    assert [p.name for p in bench.place.logs.iterdir()] == ["sweep.log"]

    # One seed more: only that one is run, by the other executor.
    code, out, _ = bench.run(bench.line("--executor", "inline", seeds="1-4"))
    assert code == 0
    assert "4 runs: 3 done before, 0 failed before" in out
    assert bench.seeds() == [1, 2, 3, 4]
    code, out, _ = bench.run(["status", *bench.where()])
    assert (code, out) == (0, "sweep: 4 runs: 4 done, 0 failed, 0 to do; 0 running now\n")


@pytest.mark.slow
def test_both_executors_give_the_same_bits(bench: Bench) -> None:
    def results() -> list[tuple[str, float]]:
        with sqlite3.connect(bench.database) as database:
            query = "SELECT key, value FROM latest_metrics WHERE key NOT LIKE '%time' ORDER BY key, value"
            return list(database.execute(query))

    bench.run(bench.line("--executor", "inline", "--threads", "1", seeds="1", epochs="3"))
    first = results()
    (before,) = bench.runs()
    with sqlite3.connect(bench.database) as database:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            database.execute(f"DELETE FROM {table}")
    code, _, err = bench.run(bench.line("--workers", "1", "--threads", "1", seeds="1", epochs="3"))
    assert (code, err) == (0, "")
    assert results() == first
    assert bench.runs()[0].spec_hash == before.spec_hash


def test_failed_runs_are_rows_and_the_sweep_goes_on(bench: Bench) -> None:
    # The rate of 1e30 makes the loss infinite.
    line = bench.line("--workers", "2", "--lrs", "1e30,1e-3", seeds="1-2")
    code, out, err = bench.run(line)
    assert (code, err.count("\n")) == (1, 1)
    assert "2 of 4 runs failed; --retry-failed tries them again" in err
    assert bench.seeds() == bench.seeds("FAILED") == [1, 2]
    failed = bench.runs("FAILED")[0]
    assert "loss became" in failed.reason
    assert "divergence.Diverged" in failed.last_lines
    assert failed.host == os.uname().nodename
    assert out.count("loss became") >= 4

    code, out, _ = bench.run(["status", *bench.where(), "--verbose"])
    assert "2 done, 2 failed, 0 to do" in out
    assert re.search(r"^failed: standard s1 .* on \S+: diverged: the training loss became", out, re.M)
    assert "divergence.Diverged" in out
    code, out, err = bench.run([*line, "--retry-failed"])
    assert code == 1
    assert len(bench.runs("FAILED")) == 4
    assert len(bench.runs()) == 2


MODEL = """
import os, sys
from pathlib import Path
from torch import nn

class Net(nn.Module):
    stages = ()
    def __init__(self, num_channels, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.MaxPool2d(16), nn.Flatten(), nn.Linear(16 * num_channels, num_classes))

    def forward(self, x):
        self.trouble()
        return self.layers(x)

    def trouble(self):
        count = Path("count")
        done = int(count.read_text()) if count.exists() else 0
        if self.training and done < {times}:
            count.write_text(str(done + 1))
            {trouble}
"""


def line_of_net(bench: Bench, *more: str, times: int, trouble: str) -> list[str]:
    # A process imports a module once, so each test has its own.
    name = f"net_{uuid.uuid4().hex}"
    (bench.folder / f"{name}.py").write_text(MODEL.format(times=times, trouble=trouble))
    grid = ["--models", f"{name}:Net", "--datasets", str(bench.icons), "--evaluations", "2", "--lrs", "1e-3"]
    return ["sweep", *grid, "--epochs", "1", *bench.where(), *more]


@pytest.mark.slow
def test_worker_that_dies_is_replaced_and_its_run_begun_again(bench: Bench) -> None:
    trouble = "print('about to crash', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    code, out, err = bench.run(line_of_net(bench, "--seeds", "1-2", "--workers", "1", times=2, trouble=trouble))
    assert (code, err) == (0, "")
    assert out.count("the worker died of signal 9; once more on a new worker") == 1
    assert out.count("the worker died of signal 9; once more alone on a new worker") == 1
    assert bench.seeds() == [1, 2]
    assert not bench.runs("FAILED")


@pytest.mark.slow
def test_worker_that_always_dies_is_a_failure_with_its_last_lines(bench: Bench) -> None:
    trouble = "print('about to crash', file=sys.stderr, flush=True); os._exit(3)"
    line = line_of_net(bench, "--seeds", "1", "--workers", "1", times=99, trouble=trouble)
    code, _out, err = bench.run(line)
    assert (code, err.count("\n")) == (1, 1)
    (failed,) = bench.runs("FAILED")
    assert failed.reason == "the worker died with exit code 3"
    assert failed.last_lines == "about to crash"
    assert failed.host == os.uname().nodename
    assert (bench.folder / "count").read_text() == "3"
    (bench.folder / "count").write_text("99")
    assert bench.run([*line, "--retry-failed"])[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_out_of_memory_is_tried_once_more_alone(bench: Bench, times: int) -> None:
    trouble = "raise MemoryError('no room for a tensor')"
    code, out, _err = bench.run(line_of_net(bench, "--seeds", "1", "--workers", "2", times=times, trouble=trouble))
    assert out.count("once more alone, out of memory") == 1
    assert code == times - 1
    assert (len(bench.runs()), len(bench.runs("FAILED"))) == ((1, 0) if times == 1 else (0, 1))


@pytest.mark.slow
def test_killed_worker_resumes_from_its_checkpoint(bench: Bench) -> None:
    line = bench.line("--workers", "1", "--checkpoint-every", "0", seeds="1", epochs="40")
    process = bench.start(line)
    bench.wait_for(lambda: any(epoch >= 2 for epoch in bench.epochs().values()))
    (worker,) = bench.epochs()
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "the worker died of signal 9; once more on a new worker" in out
    (run,) = bench.runs()
    with sqlite3.connect(bench.database) as database:
        query = "SELECT count(*), count(DISTINCT step) FROM metrics WHERE key = 'val_acc'"
        assert database.execute(query).fetchone() == (40, 40)
    assert bench.halves() == []
    assert run.status == "FINISHED"


@pytest.mark.parametrize("whole", [False, True], ids=["driver", "driver and workers"])
@pytest.mark.slow
def test_killed_driver_loses_nothing(bench: Bench, whole: bool) -> None:
    line = bench.line("--workers", "2", "--checkpoint-every", "0", seeds="1-3", epochs="15")
    process = bench.start(line)
    bench.wait_for(lambda: len([epoch for epoch in bench.epochs().values() if epoch >= 1]) == 2)
    workers = list(bench.epochs())
    os.kill(process.pid, signal.SIGKILL)
    if whole:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
    process.communicate()
    # Without a driver the workers stop by themselves.
    bench.wait_for(lambda: not bench.place.running())
    left = len(list((bench.place.root / "checkpoints").glob("*.pt"))) + len(bench.place.waiting())
    assert left == 2
    code, _out, err = bench.run(line)
    assert (code, err) == (0, "")
    assert bench.seeds() == [1, 2, 3]
    assert bench.halves() == bench.place.waiting() == bench.runs("RUNNING") == []


@pytest.mark.slow
def test_interrupt_ends_cleanly_and_the_same_command_goes_on(bench: Bench) -> None:
    process = bench.start(bench.line("--workers", "2", seeds="1-3", epochs=LONG))
    bench.wait_for(lambda: len(bench.epochs()) == 2)
    workers = list(bench.epochs())
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "\ninterrupted\n")
    assert time.monotonic() - start < 60
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
    assert bench.halves() == bench.runs("RUNNING") == []


@pytest.mark.slow
def test_two_drivers_of_one_sweep_log_each_run_once(bench: Bench) -> None:
    line = bench.line("--workers", "1", seeds="1-6")
    drivers = [bench.start(line) for _ in range(2)]
    for driver in drivers:
        _, err = driver.communicate(timeout=300)
        assert (driver.returncode, err) == (0, "")
    assert bench.seeds() == [1, 2, 3, 4, 5, 6]
    assert bench.place.waiting() == bench.halves() == []


@pytest.mark.slow
def test_two_drivers_with_folders_of_their_own_log_each_run_once(bench: Bench) -> None:
    # Neither sees the claims and records of the other, as on two machines with one server.
    lines = [bench.line("--workers", "1", "--work-dir", str(bench.folder / name), seeds="1-3") for name in "ab"]
    drivers = [bench.start(line) for line in lines]
    for driver in drivers:
        _, err = driver.communicate(timeout=300)
        assert (driver.returncode, err) == (0, "")
    assert bench.seeds() == [1, 2, 3]


@pytest.mark.slow
def test_full_disk_stops_the_sweep_and_room_lets_it_go_on(bench: Bench) -> None:
    # Workers inherit the limit on the size of files, which fails as a full disk does. Epoch 2 leaves a checkpoint.
    code = """
import resource, signal, sys
from benchmark.cli import main
from benchmark.sweeps.executors import processes
serve = processes._serve
if __name__ == "__mp_main__":
    def limited(*arguments):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000,) * 2)
        serve(*arguments)
    processes._serve = limited
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
    script = bench.folder / "limited.py"
    script.write_text(code)
    line = bench.line("--workers", "1", seeds="1-2")
    done = subprocess.run([sys.executable, script, *line], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "cannot write the record" in done.stderr
    assert "File too large" in done.stderr
    assert "the same command goes on" in done.stderr
    assert bench.runs() == bench.runs("FAILED") == bench.halves() == []
    code_, _, err = bench.run(line)
    assert (code_, err) == (0, "")
    assert bench.seeds() == [1, 2]


@pytest.mark.slow
def test_leftovers_and_orphans_of_earlier_processes(bench: Bench) -> None:
    from benchmark.store import Store
    from benchmark.training.records import PARTIAL

    bench.run(["run", "-m", "standard", "-d", str(bench.icons), "-e", "2", "--kernel-size", "3", "--epochs", "1",
               "--patience", "1", "--seed", "2", "--records", str(bench.place.records), "--quiet"])  # fmt: skip
    assert len(bench.place.waiting()) == 1
    (bench.place.records / f"{PARTIAL}0123456789abcdef-x").mkdir()
    # A live run whose process was killed.
    process = bench.start(["run", "-m", "standard", "-d", str(bench.icons), "-e", "2", "--epochs", LONG,
                           "--patience", LONG, "--tracking-uri", bench.uri])  # fmt: skip
    bench.wait_for(lambda: bench.runs("RUNNING"))
    code, out, _ = bench.run(["status", *bench.where(), "--models", "standard", "--datasets", str(bench.icons),
                              "--evaluations", "2", "--repair"])  # fmt: skip
    assert code == 0
    assert "logged: standard s2" in out
    assert len(bench.runs("RUNNING")) == 1  # it lives
    process.kill()
    process.communicate()
    code, out, _ = bench.run(["status", *bench.where(), "-m", "standard", "-d", str(bench.icons), "-e", "2"])
    assert "1 runs are marked as running although their process is gone" in out
    code, out, err = bench.run(bench.line("--workers", "1", seeds="1-2"))
    assert (code, err) == (0, "")
    assert "2 runs: 1 done before" in out
    assert "marked as killed" in out
    assert bench.runs("RUNNING") == bench.halves() == []
    assert bench.seeds() == [1, 2]
    assert len(Store(bench.uri).read(statuses=["FINISHED"])) == 2


@pytest.mark.slow
def test_orphan_of_a_run_by_itself_is_mended_where_no_sweep_is_known(bench: Bench) -> None:
    process = bench.start(["run", "-m", "standard", "-d", str(bench.icons), "-e", "2", "--epochs", LONG,
                           "--patience", LONG, *bench.where()])  # fmt: skip
    bench.wait_for(lambda: bench.runs("RUNNING"))
    process.kill()
    process.communicate()
    code, out, err = bench.run(["status", *bench.where(), "--repair"])
    assert "marked as killed: run" in out
    assert (code, err.count("\n")) == (1, 1) and "no sweep is known" in err
    assert bench.runs("RUNNING") == []


def test_folder_of_another_store_is_refused(bench: Bench) -> None:
    bench.place.prepare(bench.uri)
    line = bench.line(seeds="1")
    line[line.index("--tracking-uri") + 1] = other = str(bench.folder / "other.db")
    refused = f"is of runs for {bench.uri!r}, not for {other!r}; choose another --work-dir"
    code, _, err = bench.run(line)
    assert (code, err.count("\n")) == (1, 1) and refused in err
    assert not Path(other).exists()
    shutil.copy(bench.database, other)
    code, _, err = bench.run(["status", "--repair", "--tracking-uri", other, "--work-dir", str(bench.place.root)])
    assert (code, err.count("\n")) == (1, 1) and refused in err
    assert bench.place.store.read_text() == f"{bench.uri}\n"


def test_repair_makes_no_store_of_a_slip(bench: Bench) -> None:
    slip = bench.folder / "slip.db"
    code, _, err = bench.run(["status", "--repair", "--tracking-uri", str(slip), "--work-dir", str(bench.place.root)])
    assert (code, err.count("\n")) == (1, 1) and "there is no store at" in err
    assert not slip.exists() and not bench.place.root.exists()


@pytest.mark.slow
def test_suite_edited_between_restarts(bench: Bench) -> None:
    suite = bench.folder / "mine.yaml"
    text = f"grids:\n- models: standard\n  datasets: {bench.icons}\n  evaluations: 2\n  kernel_sizes: 3\n  epochs: 1\n"
    suite.write_text(text + "  seeds: 1-2\n")
    assert bench.run(["sweep", "--suite", str(suite), *bench.where(), "--workers", "1"])[0] == 0
    suite.write_text(text + "  seeds: 2-3\n")
    code, out, _ = bench.run(["sweep", "--suite", str(suite), *bench.where(), "--workers", "1"])
    assert code == 0
    assert "2 runs: 1 done before" in out
    assert bench.seeds() == [1, 2, 3]
    suite.write_text(text + "  sedes: 1\n")
    code, out, err = bench.run(["sweep", "--suite", str(suite), *bench.where()])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Did you mean 'seeds'" in err


@pytest.mark.slow
def test_rate_is_chosen_on_the_way(bench: Bench) -> None:
    line = bench.line("--workers", "1", "--lrs", "1e-2,1e-3", "--select-lr-over-seeds", "1-2", seeds="1-4", epochs="2")
    code, out, err = bench.run(line)
    assert (code, err) == (0, "")
    assert "6 runs, of which 2 wait for the choice of their rate: 0 done before" in out
    assert bench.seeds() == [1, 1, 2, 2, 3, 4]
    medians = {
        lr: sum(run.best_acc or 0 for run in bench.runs() if run.lr == lr and int(run.seed) < 3)
        for lr in ("0.01", "0.001")
    }
    best = "0.01" if medians["0.01"] > medians["0.001"] else "0.001"
    assert {run.lr for run in bench.runs() if int(run.seed) > 2} == {best}


def test_status_of_a_model_and_data_in_the_folder_of_the_sweep_from_elsewhere(bench: Bench) -> None:
    shutil.copy(bench.icons, bench.folder / "mine.npz")
    line = line_of_net(bench, "--seeds", "1", "--executor", "inline", times=0, trouble="pass")
    line[line.index("--datasets") + 1] = "mine.npz"
    assert bench.run(line)[0] == 0
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    # Another process, which has not imported the model.
    done = subprocess.run([SCRIPT, "status", *bench.where()], cwd=elsewhere, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 runs: 1 done, 0 failed, 0 to do" in done.stdout
