"""The folder in which the processes of a sweep meet: records, checkpoints, claims, logs.

It hands over and it remembers where a run stood; what is finished is in MLflow alone, and the folder may be
deleted whenever no sweep runs, at the price of what is not handed over yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.system.files import write_text
from benchmark.training.records import PARTIAL, RecordError, check_writable
from siconvnet.whole_files import SUFFIX

#: Seconds after which a small file that is still half written has no writer any more.
_HALF = 60.0


def default_folder(uri: str) -> Path:
    """One folder a store, so that a finished run is never handed to another store."""
    import platformdirs

    key = hashlib.sha256(uri.encode()).hexdigest()[:12]
    return Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "sweeps" / key


class Workplace:
    """The folder and what is where in it."""

    def __init__(self, root: Path | str):
        self.root = Path(root).absolute()
        self.records = self.root / "records"
        self.claims = self.root / "claims"
        self.logs = self.root / "logs"
        self.plan = self.root / "sweep.json"
        self.store = self.root / "store.txt"

    def prepare(self, store: str = "") -> None:
        """Make the folders, and remove the halves that a killed process left.

        Args:
            store: the MLflow store to which records are handed over from here, for a person to read; that of the first
                time is kept to.

        Raises:
            RecordError: they cannot be made or written, other users can write into them, a claim on a run would not
                end with its holder, or the folder is another store's.
        """
        for folder in (self.root, self.records, self.claims, self.logs):
            with contextlib.suppress(OSError):  # the next line says what is wrong
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_writable(folder)
        self._refuse_shared()
        if not _knows_locks(self.root):
            raise RecordError(
                f"the file system of {str(self.root)!r} knows no locks; choose another one with --work-dir."
            )
        if store:
            self._keep_to(store)
        self.tidy()

    def _refuse_shared(self) -> None:
        """Refuse folders into which other users can write: what is read from them is taken for our own."""
        for folder in (self.root, *self.root.iterdir()):
            if os.name == "posix" and folder.is_dir() and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise RecordError(
                    f"other users can write into {str(folder)!r}, so what is in it cannot be trusted; "
                    f"chmod go-w it, or choose another --work-dir."
                )

    def _keep_to(self, store: str) -> None:
        """Refuse another store than before: a finished run would be handed to the wrong one."""
        before = self.store.read_text(encoding="utf-8").strip() if self.store.is_file() else ""
        if before and before != store:
            raise RecordError(
                f"the folder {str(self.root)!r} is of runs for {before!r}, not for {store!r}; "
                f"choose another --work-dir, or remove {self.store.name} from it if the store has moved."
            )
        if not before:
            write_text(self.store, store + "\n")

    def tidy(self, spec_hash: str = "") -> None:
        """Remove the halves and claims that a killed process left, of one run or of all. Those of a run that goes on
        stay."""
        key = spec_hash[:16]
        for left in [*self.claims.glob(f"{key}*.lock"), *self.claims.glob(f"{key}*.json")]:
            with self.claim(left.stem):
                pass  # one that nobody holds goes with its end
        for partial in self.records.glob(f"{PARTIAL}{key}*"):
            with self.claim(partial.name.removeprefix(PARTIAL).partition("-")[0]) as mine:
                if mine:
                    shutil.rmtree(partial, ignore_errors=True)
        if not key:
            for half in self.root.glob(f".*{SUFFIX}"):
                with contextlib.suppress(OSError):
                    if time.time() - half.stat().st_mtime > _HALF:
                        half.unlink()
        for half in (self.root / "checkpoints").glob(f".{key}*{SUFFIX}"):
            with self.claim(half.name[1:].partition(".")[0]) as mine:
                if mine:
                    half.unlink(missing_ok=True)

    def checkpoint(self, spec_hash: str) -> Path:
        return self.root / "checkpoints" / f"{spec_hash[:16]}.pt"

    def stand(self, spec_hash: str) -> int:
        """When the checkpoint of a run was written, in nanoseconds since 1970; 0 if there is none."""
        try:
            return self.checkpoint(spec_hash).stat().st_mtime_ns
        except OSError:
            return 0

    @contextlib.contextmanager
    def claim(self, spec_hash: str) -> Iterator[bool]:
        """Hold a run: True for the one process that may train it, False while another does.

        The lock is the kernel's and goes with its holder, however that ends.
        """
        from filelock import FileLock, Timeout

        path = self.claims / f"{spec_hash[:16]}.lock"
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            # Whoever opened the file before it went may still lock it; the store takes a run once all the same.
            with contextlib.suppress(OSError):
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            lock.release()

    def say(self, spec_hash: str, **state: Any) -> None:
        """Let others see how far a claimed run is."""
        path = self.claims / f"{spec_hash[:16]}.json"
        values = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), **state}
        # It is only for show, so neither a full disk nor a reader in between matters.
        with contextlib.suppress(OSError):
            path.write_text(json.dumps(values), encoding="utf-8")

    def told(self, spec_hash: str) -> dict[str, Any]:
        """What the holder of a run said last: host, pid, time, and how far it was; empty if nothing."""
        return _read_json(self.claims / f"{spec_hash[:16]}.json")

    def running(self) -> dict[str, dict[str, Any]]:
        """First 16 digits of the hash -> how far that run is, of all claims that somebody holds."""
        claims = sorted(self.claims.glob("*.lock")) if self.claims.is_dir() else ()
        return {path.stem: self.told(path.stem) for path in claims if _is_held(path)}

    def held(self, spec_hash: str) -> bool:
        """Whether some process has a run in hand."""
        return _is_held(self.claims / f"{spec_hash[:16]}.lock")

    def waiting(self) -> list[Path]:
        """Records that are not in the store yet."""
        from benchmark.training.records import find

        return find(self.records) if self.records.is_dir() else []

    def write_plan(self, values: dict[str, Any]) -> None:
        """Remember what is being swept, for `benchmark status`."""
        write_text(self.plan, json.dumps(values, indent=1))

    def read_plan(self) -> dict[str, Any]:
        """What `write_plan` wrote; empty if there is none."""
        return _read_json(self.plan)


def _is_held(path: Path) -> bool:
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
        lock.release()
    except Timeout:
        return True
    except OSError:
        pass
    return False


def _knows_locks(folder: Path) -> bool:
    """Whether the kernel keeps locks there. Files that stand for locks would outlive whoever is killed."""
    import warnings

    from filelock import FileLock, SoftFileLock

    path = folder / f".probe-{os.getpid()}.lock"
    lock = FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire(timeout=10)
        hard = not isinstance(lock, SoftFileLock)
        lock.release()
    except (NotImplementedError, OSError):
        return False
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return hard


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
