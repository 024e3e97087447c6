"""From record folders to MLflow, each record once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.training import records
from benchmark.training.records import Record, RecordError
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from benchmark.store import Store


class Busy(SiconvnetError):
    """Another process logs the same records."""


@dataclass(frozen=True)
class Outcome:
    """What became of one record folder.

    Attributes:
        record: None where the folder could not be read.
        run_id: of MLflow, where it was logged now.
        error: why it could not be read; the folder stays.
    """

    folder: Path
    record: Record | None = None
    run_id: str | None = None
    error: str = ""


def ingest(
    root: Path | str, store: Store, *, keep: bool = False, once: bool = False, wait: float = -1
) -> Iterator[Outcome]:
    """Log the records under `root` and remove each after it is logged.

    Safe to run twice at a time: one waits for the other. A record that the store has already is not logged
    again, so a crash between logging and removing does no harm either.

    Args:
        keep: leave the folders where they are.
        once: do not log a run whose spec the store has a finished run of, whoever made that.
        wait: seconds for which another process that logs them is waited for; negative: as long as it takes.

    Raises:
        RecordError: there is no folder `root`.
        Busy: another process logs them.
        TrackingError: the store fails; what is not logged yet stays.
    """
    from filelock import FileLock, Timeout

    root = Path(root)
    first = records.find(root)
    # Of a single record the lock lies beside it, where it survives the record.
    beside = root.parent if first == [root] else root
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(beside / ".ingest.lock", timeout=wait))
        except Timeout:
            raise Busy(f"another process logs the records in {str(root)!r}.") from None
        for folder in records.find(root) if root.is_dir() else ():
            try:
                record = records.read(folder)
            except RecordError as error:
                yield Outcome(folder, error=str(error))
                continue
            run_id = store.log_record(record, once=once)
            if not keep:
                _remove(folder)
            yield Outcome(folder, record, run_id)


def _remove(folder: Path) -> None:
    # Out of sight first: half a record must not be found by anyone.
    hidden = folder.with_name(f"{records.PARTIAL}{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
