"""A sweep on a real Slurm cluster of one node, on the loopback, under a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_bench import Bench

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
KillWait=2
MinJobAge=2
MaxArraySize=4
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=500 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its folder; SLURM_CONF names it to all programs."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here (Debian: slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs as root only")
    folder = tmp_path_factory.mktemp("slurm")
    # The daemons want folders that no other user can write into, all the way up.
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, host=socket.gethostname().split(".")[0], ports=ports))
    environment = {**os.environ, "PATH": path, "SLURM_CONF": str(configuration)}
    subprocess.run(["mungekey", "--create", f"--keyfile={folder}/munge.key"], check=True, env=environment)
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/munge.key"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    daemons = []
    try:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-c"]):
            with (folder / f"{command[0]}.out").open("wb") as out:
                daemons.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            time.sleep(1)
        end = time.monotonic() + 120
        while True:
            state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
            if state.stdout.strip() == "idle":
                break
            assert time.monotonic() < end, [path.read_text()[-1000:] for path in folder.glob("*.out")]
            time.sleep(0.5)
        yield folder
    finally:
        subprocess.run(["scancel", "--full", "--me"], env=environment, capture_output=True)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


@pytest.fixture
def slurm(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster / "slurm.conf"))


def jobs() -> list[str]:
    done = subprocess.run(["squeue", "-h", "-r", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
def test_sweep_by_sbatch_survives_a_killed_job_and_a_killed_driver(bench: Bench, slurm: None) -> None:
    more = ["--executor", "slurm", "--workers", "2", "--slurm-partition", "debug", "--checkpoint-every", "0"]
    line = bench.line(*more, seeds="1-3", epochs="12")
    driver = bench.start(line)
    bench.wait_for(lambda: any(epoch >= 1 for epoch in bench.epochs().values()), 300)
    # Without its job a run is begun again from its checkpoint.
    killed = jobs()[0]
    subprocess.run(["scancel", "--full", "--signal=KILL", killed], check=True)
    bench.wait_for(lambda: killed not in jobs(), 120)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    # Jobs do not need the driver; the next one takes over those that still run.
    code, out, err = bench.run(line)
    assert (code, err) == (0, ""), out
    assert bench.seeds() == [1, 2, 3]
    assert bench.place.waiting() == bench.halves() == bench.runs("RUNNING") == []
    assert out.rstrip().endswith("3 of 3 runs done, 0 failed")
    # Of a job that ended while no driver lived nothing is left either.
    assert list((bench.place.root / "slurm").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", ["TERM", "USR2"], ids=["preempted", "at its time limit"])
def test_job_that_is_asked_to_end_goes_on_in_another(bench: Bench, slurm: None, number: str) -> None:
    line = bench.line("--executor", "slurm", "--checkpoint-every", "3600", seeds="1", epochs="12")
    driver = bench.start(line)
    bench.wait_for(lambda: any(epoch >= 2 for epoch in bench.epochs().values()), 300)
    subprocess.run(["scancel", "--batch", f"--signal={number}", jobs()[0]], check=True)
    bench.wait_for(lambda: list((bench.place.root / "checkpoints").glob("*.pt")), 60)
    out, err = driver.communicate(timeout=300)
    assert (driver.returncode, err) == (0, ""), out
    assert out.rstrip().endswith("1 of 1 runs done, 0 failed")
    assert "died" not in out
    assert bench.seeds() == [1]
    assert bench.place.waiting() == bench.halves() == list((bench.place.root / "slurm").iterdir()) == []


@pytest.mark.slow
def test_runs_beyond_the_largest_array_are_several_arrays(
    bench: Bench, slurm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.spec import RunSpec
    from benchmark.sweeps.executors import slurm as module
    from benchmark.sweeps.executors.base import Settings

    sizes = []
    largest = module._largest_array()
    assert largest == 4
    made = module.SlurmExecutor(Settings(bench.place.root), lambda progress: None, workers=10, setup=["exit 0"])
    process = made._executor._internal_process_submissions
    monkeypatch.setattr(
        made._executor, "_internal_process_submissions", lambda specs: sizes.append(len(specs)) or process(specs)
    )
    for seed in range(10):
        made.submit(RunSpec("standard", "emoji", evaluation=2, lr=1e-3, seed=seed))
    made._flush()
    assert sizes == [4, 4, 2]
    assert len({one.handle.job_id for one in made._jobs.values()}) == 10


@pytest.mark.slow
def test_partition_that_is_not_there_is_one_line(bench: Bench, slurm: None) -> None:
    code, _, err = bench.run(bench.line("--executor", "slurm", "--slurm-partition", "nowhere"))
    assert (code, err.count("\n")) == (1, 1), err
    assert "sbatch refuses the jobs" in err
    assert "invalid partition specified: nowhere" in err


def test_without_sbatch_one_line_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(bench.folder))
    code, out, err = bench.run(bench.line("--executor", "slurm"))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "pip install 'siconvnet[slurm]'" in err or "no sbatch here" in err


@pytest.mark.slow
def test_option_that_is_no_pair_is_refused(bench: Bench, slurm: None) -> None:
    code, out, err = bench.run(bench.line("--executor", "slurm", "--slurm-option", "qos"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "KEY=VALUE" in err
