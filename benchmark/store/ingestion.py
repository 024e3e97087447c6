"""From record folders to MLflow, each record once."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.store.errors import Refused
from benchmark.training import records
from benchmark.training.records import Record, RecordError
from siconvnet.errors import SiconvnetError
from siconvnet.safe_text import printable

if TYPE_CHECKING:
    from benchmark.store import Store


class Busy(SiconvnetError):
    """Another process logs the same records."""


@dataclass(frozen=True)
class Outcome:
    """What became of one record folder.

    Attributes:
        record: None where it could not be read or logged; of a copy that is gone.
        run_id: of MLflow, where it was logged now.
        repeats: the run of MLflow that was there of the same spec, and still counts in tables.
        error: why it could not be read, logged or removed; the folder stays.
    """

    folder: Path
    record: Record | None = None
    run_id: str | None = None
    error: str = ""
    repeats: str = ""


def ingest(
    root: Path | str,
    store: Store,
    *,
    keep: bool = False,
    once: bool = False,
    wait: float = -1,
    skip: Collection[Path] = (),
) -> Iterator[Outcome]:
    """Log the records in `root`, and `root` itself if it is one, and remove the files of each after it is logged.

    Safe to run twice at a time: one waits for the other. A record that the store has already is not logged
    again, so a crash between logging and removing does no harm either. Nothing is removed but the files that a record
    is made of; a folder that holds others stays with these. A record that is broken, or that the store refuses, stays
    as it is, and the others go on.

    Args:
        keep: leave the folders where they are.
        once: do not log a run whose spec the store has a finished run of, whoever made that.
        wait: seconds for which another process that logs them is waited for; negative: as long as it takes.
        skip: record folders to leave out.

    Raises:
        RecordError: there is no folder `root`.
        Busy: another process logs them.
        TrackingError: the store fails; what is not logged yet stays.
    """
    from filelock import FileLock, Timeout

    root = Path(root).absolute()
    with contextlib.ExitStack() as stack:
        for folder in _locked(root):
            try:
                stack.enter_context(FileLock(folder / ".ingest.lock", timeout=wait))
            except Timeout:
                raise Busy(f"another process logs the records in {str(root)!r}.") from None
        # Another process may have logged the last of them meanwhile, and removed the folder with it.
        found = (records.find(root), records.find_removed(root)) if root.is_dir() else ((), ())
        for folder in found[1]:
            if not keep:
                with contextlib.suppress(RecordError):  # another time
                    records.remove(folder)
        for folder in found[0]:
            if folder not in skip:
                yield _ingest(folder, store, keep=keep, once=once)


def _locked(root: Path) -> list[Path]:
    """The folders that hold the locks: each is that in which a record lies, where the lock survives the record.

    Always in the same order, so that two processes never wait for each other.
    """
    return sorted({folder.parent for folder in records.find(root)}) or [root]


def _ingest(folder: Path, store: Store, *, keep: bool, once: bool) -> Outcome:
    try:
        with records.private_copy(folder) as copy:
            record = records.read(copy)
            known = None if once or record.status != "FINISHED" else store.find_repeated(record)
            run_id = store.log_record(record, once=once, repeats=known.run_id if known else "")
    except RecordError as error:
        return Outcome(folder, error=str(error))
    except Refused as error:
        return Outcome(folder, error=printable(f"{folder.name}: {error}"))
    try:
        if not keep:
            records.remove(folder)
    except RecordError as error:
        return Outcome(folder, record, run_id, error=str(error))
    return Outcome(folder, record, run_id, repeats=known.run_id if known else "")
