"""What a task of Ray does with a run, on whatever node it is.

A node that shares the folder of the sweep with the driver works in it, so that a run whose node dies goes on from its
checkpoint on another. A node that does not works in a folder of its own and sends the finished record back as the
task's result; there a run begins anew, with the same result. Which it is each node finds out by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import socket
import uuid
from pathlib import Path
from typing import Any

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import DIED, FINISHED, NO_ROOM, UNFIT, Outcome, Progress, Settings
from benchmark.sweeps.executors.parcel import Parcel, pack
from benchmark.sweeps.executors.worker import print_into, work
from benchmark.system.files import write_text
from benchmark.training.records import RecordError, find_finished
from benchmark.training.work_folder import Workplace


@dataclasses.dataclass(frozen=True)
class Home:
    """Where the driver is, for a task that may be anywhere.

    Attributes:
        token: what a file in the folder of the sweep says; who reads it there shares that folder.
        folder: in which the driver was started.
        data: SICONVNET_DATA of the driver.
    """

    token: str
    folder: str
    data: str | None

    @classmethod
    def here(cls, root: Path) -> Home:
        path = root / "ray.id"
        if not path.is_file():
            write_text(path, uuid.uuid4().hex)
        return cls(path.read_text(encoding="utf-8"), str(Path.cwd()), os.environ.get("SICONVNET_DATA"))

    def is_shared(self, root: Path) -> bool:
        """Whether `root` is the same folder here as where the driver is."""
        try:
            return bool(self.token) and (root / "ray.id").read_text(encoding="utf-8") == self.token
        except OSError:
            return False


def job(spec: RunSpec, settings: Settings, home: Home, mail: Any = None) -> tuple[Outcome, Parcel | None]:
    """What a task does; the record comes with it where the driver cannot see it.

    Args:
        mail: a handle of `Mailbox`, for progress.
    """
    # It is how Ray tells a task to end, and ignored where the driver was started in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    shared = home.is_shared(settings.root)
    with contextlib.suppress(OSError):
        os.chdir(home.folder)
    if home.data:
        os.environ.setdefault("SICONVNET_DATA", home.data)
    place = Workplace(settings.root if shared else _own_folder(home))
    host = socket.gethostname()

    def report(progress: Progress) -> None:
        # Nobody waits for the answer, so a driver that is gone holds nobody.
        if mail is not None:
            mail.put.remote(dataclasses.replace(progress, worker=host))

    log = log_of(place, spec)
    try:
        if not shared:
            place.prepare()
        place.tidy(spec.hash)
        with contextlib.suppress(OSError):
            print_into(log)
        outcome = work(spec, dataclasses.replace(settings, root=place.root), report)
        log.unlink(missing_ok=True)
        if not shared and outcome.kind == NO_ROOM:
            # Its own disk is full, and not the driver's: another node may do better.
            return dataclasses.replace(outcome, kind=UNFIT), None
        if shared or outcome.kind != FINISHED:
            return outcome, None
        record = find_finished(place.records, spec.hash)
        if record is None:
            return Outcome(spec, DIED, "its record is gone", host=host), None
        parcel = pack(record.folder)
        shutil.rmtree(record.folder, ignore_errors=True)
        return outcome, parcel
    except (OSError, RecordError) as error:
        return Outcome(spec, NO_ROOM if shared else UNFIT, str(error), host=host), None


class Mailbox:
    """An actor beside the driver, in which tasks leave how far they are."""

    def __init__(self) -> None:
        self._held: list[Progress] = []

    def put(self, progress: Progress) -> None:
        self._held.append(progress)

    def take(self) -> list[Progress]:
        held, self._held = self._held, []
        return held


def _own_folder(home: Home) -> Path:
    import platformdirs

    key = hashlib.sha256(home.token.encode()).hexdigest()[:12]
    return Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "sweeps" / f"ray-{key}"


def log_of(place: Workplace, spec: RunSpec) -> Path:
    """What the process of a run prints, as long as it is not over."""
    return place.logs / f"ray-{spec.hash[:16]}.log"
