"""Runs as jobs of a Slurm cluster, through submitit.

Jobs go in arrays of what is free, never more than `workers` at a time. What counts is what a job leaves behind: without
accounting Slurm forgets a job's state, so a job that is in no queue and has left nothing is taken for lost and its
run is begun again from its checkpoint. Jobs outlive the driver; the next one takes them over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import DIED, Executor, Outcome, Progress, Settings
from benchmark.sweeps.executors.outcome_file import read_outcome, write_outcome
from benchmark.sweeps.executors.worker import last_lines, work
from benchmark.training.work_folder import Workplace
from siconvnet.errors import InvalidArgument, SiconvnetError

#: Jobs at once, where nothing is said.
AT_ONCE = 100
MINUTES = 720
#: Seconds before its limit at which a job is told, so that it leaves a checkpoint.
WARNING = 90
#: Seconds between two looks into the queue, for which a job may be in no queue, and until a refused job is tried again.
POLL, GRACE, PAUSE = 5.0, 30.0, 60.0
#: The largest array, where Slurm does not say; it is Slurm's own default.
ARRAY = 1000


def job(spec: RunSpec, settings: Settings, result: Path) -> None:
    """Do a run, and leave what became of it in `result`: submitit's own results are pickles, which nobody reads.

    Its time limit, preemption and scancel stop it at a checkpoint.
    """
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.default_int_handler)
    result.unlink(missing_ok=True)
    write_outcome(work(spec, settings), result)


@dataclasses.dataclass
class _Job:
    spec: RunSpec
    handle: Any  # submitit's
    seen: float  # when it was last known to be in the queue


class SlurmExecutor(Executor):
    """Submits runs with sbatch. The folder of the sweep must be one that the nodes see.

    Args:
        workers: the most jobs at once.
        time: limit of a job in minutes.
        gpus: of a job.
        setup: shell lines before each run.
        option: others of sbatch, as ``key=value``.

    Raises:
        SiconvnetError: submitit or sbatch is missing.
        InvalidArgument: an option is not of that form.
    """

    def __init__(
        self,
        settings: Settings,
        notify: Callable[[Progress], None],
        *,
        workers: int | None = None,
        partition: str | None = None,
        time: int | None = None,
        gpus: int | None = None,
        setup: Sequence[str] = (),
        option: Sequence[str] = (),
    ):
        super().__init__(settings, notify)
        self._submitit = _import_submitit()
        self.slots = workers or AT_ONCE
        self.name = f"Slurm, at most {self.slots} jobs at once, which outlive this process"
        self.folder = settings.root / "slurm"
        threads = settings.threads or 1
        parameters: dict[str, Any] = {
            "job_name": "benchmark",
            "time": time or MINUTES,
            "cpus_per_task": threads,
            "array_parallelism": self.slots,
            "setup": [f"export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads}", *setup],
            # A job is one process on one node, which srun would only wrap.
            "use_srun": False,
            "additional_parameters": {"signal": f"B:USR2@{WARNING}"} | dict(_pair(one) for one in option),
        }
        if partition:
            parameters["partition"] = partition
        if gpus:
            parameters["gpus_per_node"] = gpus
        # In the place of the shell, so that it is the one to which Slurm sends its signals.
        self._executor = self._submitit.SlurmExecutor(folder=self.folder, python=f"exec {shlex.quote(sys.executable)}")
        self._executor.update_parameters(**parameters)
        self._new: list[RunSpec] = []
        self._jobs: dict[str, _Job] = {}
        self._array = 0
        self._looked = self._refused = float("-inf")
        self._queue: set[str] | None = None

    def submit(self, spec: RunSpec) -> None:
        if handle := self._submitted(spec.hash):
            self._look()
            if self._queue is None or handle.job_id in self._queue or handle.paths.result_pickle.exists():
                self._jobs[spec.hash] = _Job(spec, handle, time.monotonic())
                return
        self._new.append(spec)

    def settle(self, spec_hashes: Iterable[str]) -> None:
        noted = {path.stem for path in self.folder.glob("*.json")}
        for key in {spec_hash[:16] for spec_hash in spec_hashes} & noted:
            if handle := self._submitted(key):
                self._forget(key, handle)

    def _submitted(self, key: str) -> Any:
        """The job that an earlier driver noted for a run; None if there is none."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            number = json.loads(self._note(key).read_text(encoding="utf-8"))["job"]
            return self._submitit.SlurmJob(folder=self.folder, job_id=number)
        return None

    def wait(self, seconds: float) -> list[Outcome]:
        self._flush()
        outcomes = self._ended()
        if not outcomes:
            time.sleep(seconds)
            outcomes = self._ended()
        self._tell()
        return outcomes

    def close(self) -> None:
        """Jobs stay in the queue: they leave records, and another driver takes them over."""

    def _flush(self) -> None:
        """Submit what is new.

        Raises:
            SiconvnetError: Slurm refuses it, and nothing of ours runs that would go on meanwhile.
        """
        while self._new and time.monotonic() - self._refused >= PAUSE:
            self._array = self._array or _largest_array()
            specs = self._new[: self._array]
            try:
                # What sbatch says is in the error; submitit says it once more to the terminal.
                with contextlib.redirect_stderr(io.StringIO()), self._executor.batch():
                    handles = [
                        self._executor.submit(job, spec, self.settings, self._result(spec.hash)) for spec in specs
                    ]
            except Exception as error:  # submitit has its own for sbatch
                self._refused = time.monotonic()
                if not self._jobs:
                    raise SiconvnetError(f"sbatch refuses the jobs: {_reason(error)}") from error
                # A limit on jobs that wait, or a controller under load.
                return
            del self._new[: len(specs)]
            for spec, handle in zip(specs, handles, strict=True):
                self._jobs[spec.hash] = _Job(spec, handle, time.monotonic())
                # Only what lets another driver find the job; without it the run would be submitted twice.
                with contextlib.suppress(OSError):
                    self._note(spec.hash).write_text(json.dumps({"job": handle.job_id}), encoding="utf-8")
            for script in (handles[0].paths.submission_file, *self.folder.glob(".submission_file_*")):
                if script == handles[0].paths.submission_file or script.is_symlink():
                    script.unlink(missing_ok=True)

    def _ended(self) -> list[Outcome]:
        outcomes = [self._outcome(k) for k, one in list(self._jobs.items()) if one.handle.paths.result_pickle.exists()]
        if self._jobs and self._look():
            outcomes += [self._outcome(key) for key in list(self._jobs) if self._lost(key)]
        return outcomes

    def _look(self) -> bool:
        """Whether the queue was looked at just now and answered; not more often than is polite."""
        if time.monotonic() - self._looked < POLL:
            return False
        self._queue = _jobs_in_queue()
        self._looked = time.monotonic()
        return self._queue is not None

    def _lost(self, key: str) -> bool:
        one = self._jobs[key]
        if one.handle.job_id in (self._queue or ()):
            one.seen = self._looked
        # What a job on another node has written may be late.
        return one.handle.paths.result_pickle.exists() or self._looked - one.seen > GRACE

    def _outcome(self, key: str) -> Outcome:
        one = self._jobs.pop(key)
        spec, handle, paths = one.spec, one.handle, one.handle.paths
        lines = last_lines(Path(paths.stderr))
        host = Workplace(self.settings.root).told(spec.hash).get("host", "")
        try:
            outcome = read_outcome(self._result(key), spec)
        except (OSError, ValueError):
            outcome = Outcome(spec, DIED, f"job {handle.job_id} is gone without a result", lines, host=host)
        self._forget(key, handle)
        return outcome

    def _forget(self, key: str, handle: Any) -> None:
        """Remove what a job and the note of it have left."""
        paths = handle.paths
        ours = (self._result(key), self._note(key))
        for path in (paths.result_pickle, paths.submitted_pickle, paths.stdout, paths.stderr, *ours):
            with contextlib.suppress(OSError):
                Path(path).unlink(missing_ok=True)

    def _tell(self) -> None:
        place = Workplace(self.settings.root)
        for key, one in self._jobs.items():
            with contextlib.suppress(KeyError):
                state = place.told(key)
                epoch, best, left = (state[name] for name in ("epoch", "best_acc", "patience_left"))
                self.notify(Progress(one.spec, epoch, best, left, f"job {one.handle.job_id}"))

    def _note(self, key: str) -> Path:
        """Which job has a run."""
        return self.folder / f"{key[:16]}.json"

    def _result(self, key: str) -> Path:
        """What became of a run."""
        return self.folder / f"{key[:16]}.result"


def _jobs_in_queue() -> set[str] | None:
    """The jobs of this user that Slurm knows as waiting or running; None if it does not answer."""
    found = _ask("squeue", "--noheader", "--array", "--me", "--format=%i")
    return None if found is None else set(found.split())


def _largest_array() -> int:
    """How many jobs an array may have here."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config") or "", re.M)
    return max(1, int(found[1])) if found else ARRAY


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _reason(error: Exception) -> str:
    """What sbatch says, without what submitit says around it."""
    said = re.findall(r"sbatch: (?:error: )?(.*)", str(error))
    return " ".join("; ".join(dict.fromkeys(said or [str(error)])).split())[:300]


def _import_submitit() -> Any:
    try:
        submitit = importlib.import_module("submitit")
    except ModuleNotFoundError:
        raise SiconvnetError("--executor slurm needs submitit: pip install 'siconvnet[slurm]'.") from None
    if shutil.which("sbatch") is None:
        raise SiconvnetError(
            "no sbatch here: run the sweep on a login node of the cluster, or use --executor processes."
        )
    return submitit


def _pair(option: str) -> tuple[str, str]:
    key, separator, value = option.partition("=")
    if not separator or not key:
        raise InvalidArgument(f"--slurm-option {option!r} is no KEY=VALUE, such as qos=long.")
    return key.replace("-", "_"), value
