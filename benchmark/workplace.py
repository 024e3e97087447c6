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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.records import PARTIAL, check_writable


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

    def prepare(self) -> None:
        """Make the folders, and remove the halves that a killed process left.

        Raises:
            RecordError: they cannot be made or written.
        """
        for folder in (self.root, self.records, self.claims, self.logs):
            check_writable(folder)
        for partial in self.records.glob(f"{PARTIAL}*"):
            key = partial.name.removeprefix(PARTIAL).partition("-")[0]
            with self.claim(key) as mine:
                if mine:
                    shutil.rmtree(partial, ignore_errors=True)
        for half in (self.root / "checkpoints").glob(".*.part"):
            with self.claim(half.name[1:].partition(".")[0]) as mine:
                if mine:
                    half.unlink(missing_ok=True)

    def checkpoint(self, spec_hash: str) -> Path:
        return self.root / "checkpoints" / f"{spec_hash[:16]}.pt"

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

    def running(self) -> dict[str, dict[str, Any]]:
        """First 16 digits of the hash -> how far that run is, of all claims that somebody holds."""
        from filelock import FileLock, Timeout

        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self.claims.glob("*.lock")) if self.claims.is_dir() else ():
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
                lock.release()
            except Timeout:
                found[path.stem] = _read_json(path.with_suffix(".json"))
            except OSError:
                continue
        return found

    def waiting(self) -> list[Path]:
        """Records that are not in the store yet."""
        from benchmark.records import find

        return find(self.records) if self.records.is_dir() else []

    def write_plan(self, values: dict[str, Any]) -> None:
        """Remember what is being swept, for `benchmark status`."""
        temporary = self.plan.with_name(f".{self.plan.name}.{os.getpid()}.part")
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
        temporary.replace(self.plan)

    def read_plan(self) -> dict[str, Any]:
        """What `write_plan` wrote; empty if there is none."""
        return _read_json(self.plan)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
