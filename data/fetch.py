"""Download a published file: resumed when interrupted, checked in full, and put in place whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from siconvnet.datasets.catalog import CATALOG, RECORD, dataset_info, dataset_path
from siconvnet.datasets.schema import read_header
from siconvnet.errors import DatasetError, InvalidArgument
from siconvnet.whole_files import link_target

from .files import exclusive

BLOCK = 2**18
MAX_BYTES = 4 * 2**30
RECORD_API = "https://zenodo.org/api/records/6578038"
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        timeout: seconds after which the server counts as stalled if it sent nothing, or less than `least` bytes.
        attempts: in a row that bring less than `least` before giving up; one that brings more restarts the count.
        pause: seconds before the second attempt; twice that before the third, and so on.
        least: bytes that are worth an attempt.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    least: int = 2**12


@dataclass(frozen=True)
class FileKind:
    """What a file begins with, and what it is called."""

    magic: bytes
    noun: str


NPZ = FileKind(b"PK", ".npz file")
GZIP = FileKind(b"\x1f\x8b", ".gz archive")


class _Refused(Exception):
    """An answer that asking again will not change."""


def fetch(
    name: str,
    *,
    url: str | None = None,
    record: str | None = None,
    force: bool = False,
    progress: bool = True,
    tell: Tell = lambda note: None,
    patience: Patience = Patience(),
) -> Path:
    """Download the published file of a dataset into the data folder, unless it is there.

    Args:
        name: a dataset that is published and not built here: trafficsign or aerial.
        url: where from; the file of Zenodo record 6578038 if not given.
        record: where the record's description is, which states the checksum; that record's if `url` is not given.
        force: download it even if it is there.
        progress: show a progress bar on stderr.
        tell: called with each thing that its user should know, a sentence each.
        patience: with the server.

    Returns:
        the file.

    Raises:
        UnknownName: no such dataset.
        InvalidArgument: the dataset needs no download.
        DatasetError: no network, the server's answer is not the file, or the file cannot be written.
    """
    info, path = dataset_info(name), link_target(dataset_path(name))
    if info.embedded or info.own or not info.fetched:
        fetched = ", ".join([*(other.name for other in CATALOG.values() if other.fetched), "stl10"])
        raise InvalidArgument(f"{name!r} is not downloaded ({info.how_to_get}); those that are: {fetched}.")
    if path.exists() and not force:
        tell(f"{path} is there already (--force downloads it again).")
        return path
    if url is None:
        url, record = f"{RECORD}/files/{info.published_file}?download=1", record or RECORD_API
    with exclusive(path, lambda: tell(f"waiting for another process that writes {path} ...")):
        if path.exists() and not force:
            return path
        part = path.with_name(f".{path.name}.download")
        try:
            download(url, part, path, name if progress else None, patience)
            checksum = _published_checksum(record, info.published_file, patience) if record else None
            _check(part, name, url, checksum)
            part.replace(path)
            note_of(part).unlink(missing_ok=True)
        except OSError as error:
            raise DatasetError(f"cannot write {path}: {error.strerror or error}.") from error
    tell(f"checksum {'right' if checksum else 'not known'}, format and every array intact.")
    return path


def download(url: str, part: Path, path: Path, title: str | None, patience: Patience, kind: FileKind = NPZ) -> None:
    """Bring `part` to its end; what is there of it is kept, also when this fails.

    Args:
        path: what it is to become, for messages.
        title: of the progress bar; None: there is none.

    Raises:
        DatasetError: no network, or the server's answer is not the file.
        OSError: it cannot be written.
    """
    failures = 0
    with _bar(title) as advance:
        while True:
            before = _size(part)
            try:
                _attempt(url, part, patience, advance, kind)
                return
            except _Refused as error:
                if _size(part) == 0:
                    part.unlink(missing_ok=True)
                    note_of(part).unlink(missing_ok=True)
                raise DatasetError(f"{url} {error}; to get it by hand, save it as {path}") from None
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                failures = 1 if _size(part) >= before + patience.least else failures + 1
                if failures >= patience.attempts:
                    raise DatasetError(
                        f"{urlsplit(url).netloc} cannot be reached or stopped answering ({_reason(error)}) with "
                        f"{_size(part):,} bytes there; to go on, type the same again, or download {url} elsewhere and "
                        f"save it as {path}"
                    ) from None
                time.sleep(patience.pause * 2 ** (failures - 1))


def _attempt(url: str, part: Path, patience: Patience, advance: Callable[[int, int], object], kind: FileKind) -> None:
    """One request, which goes on behind what is there."""
    have, validator = _size(part), _read_note(part)
    headers = {"User-Agent": "siconvnet", "Accept-Encoding": "identity"}
    # Without a validator the rest could be that of another file.
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        response = _OPENER.open(urllib.request.Request(url, headers=headers), timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is there is no beginning of what the server has
            part.unlink(missing_ok=True)
        if error.code in (408, 416, 425, 429) or error.code >= 500:
            raise
        raise _Refused(f"answered {error.code} {_reason(error)}") from None
    except ValueError as error:
        raise _Refused(f"is no address ({error})") from None
    with response:
        resumed = response.status == 206 and _starts_at(response.headers) == have
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise ConnectionError("it sent another part than was asked for")
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise _Refused("answered with a web page in place of the file")
        total = _total(response, have if resumed else 0)
        if total > MAX_BYTES:
            raise _Refused(f"offers {total:,} bytes, which is not that file")
        if not resumed:
            _write_note(part, response.headers)
        with part.open("ab" if resumed else "wb") as stream:
            _copy(response, stream, have if resumed else 0, total, advance, kind, patience)


def _copy(
    response: http.client.HTTPResponse,
    stream: IO[bytes],
    have: int,
    total: int,
    advance: Callable[[int, int], object],
    kind: FileKind,
    patience: Patience,
) -> None:
    since, then = time.monotonic(), have
    while block := response.read1(BLOCK):
        if have == 0 and not block.startswith(kind.magic[: len(block)]):
            raise _Refused(f"answered with something other than a {kind.noun}")
        stream.write(block)
        have += len(block)
        advance(have, total)
        if have > (total or MAX_BYTES):
            raise _Refused("sent more than it announced")
        if (now := time.monotonic()) - since > patience.timeout:
            if have - then < patience.least and have != total:
                raise TimeoutError(f"it sent {have - then:,} bytes in {now - since:.0f} seconds")
            since, then = now, have
    if have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _check(part: Path, name: str, url: str, checksum: str | None) -> None:
    """Checksum, every array, and the format; what fails is removed, as to go on with it would be of no use."""
    info = CATALOG[name]
    try:
        if checksum and (found := md5(part)) != checksum:
            raise DatasetError(f"{url} gave a damaged file: MD5 {found}, published {checksum}; try again.")
        try:
            with zipfile.ZipFile(part) as archive:
                damaged = archive.testzip()
        except Exception as error:  # zipfile and its decompressors raise many kinds on damaged data
            raise DatasetError(f"{url} gave no intact .npz file ({_reason(error)}); try again.") from None
        if damaged:
            raise DatasetError(f"{url} gave a damaged file: {damaged} is broken; try again.")
        header = read_header(part, oblong=info.oblong)
        found_sizes = (*header.labels.shape[2:], header.num_channels)
        if found_sizes != (info.num_classes, info.num_instances, info.num_channels):
            raise DatasetError(f"{url} gave another dataset: (classes, instances, channels) = {found_sizes}.")
    except DatasetError:
        part.unlink(missing_ok=True)
        note_of(part).unlink(missing_ok=True)
        raise


def _published_checksum(record: str, file: str, patience: Patience) -> str | None:
    """The MD5 that the record states for a file; None if it cannot be had, as the format is checked in any case."""
    try:
        with _OPENER.open(urllib.request.Request(record), timeout=patience.timeout) as response:
            content: Any = json.loads(response.read(2**22))
        (checksum,) = [entry["checksum"] for entry in content["files"] if entry["key"] == file]
        kind, _, digest = checksum.partition(":")
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return digest.lower() if kind == "md5" and digest else None


def md5(path: Path) -> str:
    """Of a file's bytes, in hex."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(2**22):
            digest.update(block)
    return digest.hexdigest()


_NUMBER = re.compile(r"[0-9]{1,18}")


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to a plain one."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if old == "https" and new != "https":
            raise _Refused(f"redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_NoDowngrade)


def _starts_at(headers: Any) -> int:
    unit, _, rest = str(headers.get("Content-Range", "")).partition(" ")
    first = rest.partition("-")[0]
    return _count(first, -1) if unit == "bytes" else -1


def _total(response: http.client.HTTPResponse, before: int) -> int:
    """The file's whole size; 0 if the server does not say."""
    length = _count(str(response.headers.get("Content-Length", "")), 0)
    return before + length if length else 0


def _count(text: str, otherwise: int) -> int:
    """A number of bytes in a server's header; `str.isdigit` and `int` also take digits that no header may have."""
    return int(text) if _NUMBER.fullmatch(text) else otherwise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def note_of(part: Path) -> Path:
    """Where it is kept which version of the file the part belongs to."""
    return part.with_name(f"{part.name}-version")


def _read_note(part: Path) -> str:
    note = note_of(part)
    return note.read_text(encoding="latin-1") if note.exists() else ""


def _write_note(part: Path, headers: Any) -> None:
    part.unlink(missing_ok=True)
    tag = str(headers.get("ETag", ""))
    # A weak tag names a page that looks the same; bytes may differ.
    validator = headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    note_of(part).write_text(str(validator), encoding="latin-1")


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return " ".join(str(inner).split()) or type(error).__name__


@contextmanager
def _bar(title: str | None) -> Iterator[Callable[[int, int], object]]:
    if title is None:
        yield lambda have, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total or None)
