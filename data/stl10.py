"""STL-10: the official archive, downloaded, checked, and of it the labelled images unpacked."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path

from siconvnet.datasets.catalog import data_dir
from siconvnet.datasets.stl10 import FOLDER, SPLIT_SIZES, file_sizes, find_stl10, load_stl10
from siconvnet.errors import DatasetError
from siconvnet.whole_files import link_target

from .fetch import GZIP, Patience, Tell, download, md5, note_of
from .files import exclusive, replacing
from .verification import Check, Report

ARCHIVE = "stl10_binary.tar.gz"
URL = f"http://ai.stanford.edu/~acoates/stl10/{ARCHIVE}"
ARCHIVE_MD5 = "91f7769df0f17e558f3565bffb0c7dfb"
"""Of the archive, as torchvision has it."""
FILE_MD5 = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}
"""Of its files, likewise."""

USUAL = Patience()
_BLOCK = 2**20


def fetch(
    *,
    url: str | None = None,
    force: bool = False,
    progress: bool = True,
    tell: Tell = lambda note: None,
    patience: Patience = USUAL,
) -> Path:
    """Download STL-10 into the data folder, unless it is there, and unpack the labelled images.

    An archive that lies in the data folder already, put there by hand or by torchvision, is used and kept; one that is
    downloaded here is removed when its files are unpacked.

    Args:
        url: where from; its home if not given. The checksum must be right in any case.
        force: unpack it even if it is there.
        progress: show a progress bar on stderr.
        tell: called with each thing that its user should know, a sentence each.
        patience: with the server.

    Returns:
        the folder of the files.

    Raises:
        DatasetError: no network, the server's answer is not the archive, or a file cannot be written.
    """
    if not force and (found := _found()):
        tell(f"{found} holds STL-10 already (--force downloads it again).")
        return found
    folder, archive = data_dir() / FOLDER, link_target(data_dir() / ARCHIVE)
    with exclusive(archive, lambda: tell(f"waiting for another process that writes {archive} ...")):
        if not force and (found := _found()):
            return found
        try:
            given = archive.exists()
            if given:
                _check(archive, f"{archive} is damaged: remove it, and type the same again")
            else:
                part = archive.with_name(f".{ARCHIVE}.download")
                download(url or URL, part, archive, "stl10" if progress else None, patience, GZIP)
                _check(part, f"{url or URL} gave another archive: try again", remove=True)
                part.replace(archive)
                note_of(part).unlink(missing_ok=True)
            tell(f"checksum right; unpacking {archive} ...")
            unpack(archive, folder)
            if not given:
                archive.unlink()
        except OSError as error:
            raise DatasetError(f"cannot write into {data_dir()}: {error.strerror or error}.") from error
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of the labelled images, each whole or not at all, and nothing else that the archive holds.

    Raises:
        DatasetError: the archive is damaged or lacks one of them, or a file is not STL-10's or cannot be written.
    """
    wanted = {f"{FOLDER}/{name}": (name, size) for name, size in file_sizes().items()}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                name, size = wanted.get(member.name.removeprefix("./"), ("", 0))
                if not name or not member.isreg():
                    continue
                if member.size != size:
                    raise DatasetError(f"{archive} holds {member.name} of {member.size:,} bytes, not {size:,}.")
                content = tar.extractfile(member)
                assert content is not None
                # The names are ours, not the archive's: nothing is written anywhere else.
                with replacing(folder / name) as stream:
                    shutil.copyfileobj(content, stream, _BLOCK)
                del wanted[f"{FOLDER}/{name}"]
                if not wanted:
                    break  # the unlabelled images, most of the archive, come last
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DatasetError(f"{archive} is no intact archive ({error}).") from error
    if wanted:
        raise DatasetError(f"{archive} holds no {next(iter(wanted))}.")
    for split in SPLIT_SIZES:
        load_stl10(split, folder)


def _found() -> Path | None:
    try:
        return find_stl10()
    except DatasetError:
        return None


def _check(archive: Path, complaint: str, *, remove: bool = False) -> None:
    if (found := md5(archive)) == ARCHIVE_MD5:
        return
    if remove:
        archive.unlink(missing_ok=True)
        note_of(archive).unlink(missing_ok=True)
    raise DatasetError(f"{complaint} (MD5 {found}, published {ARCHIVE_MD5}).")


def verify() -> Report:
    """Check the files in the data folder: their sizes, and their bytes against the published.

    Raises:
        DatasetError: one is missing or of another size.
    """
    folder = find_stl10()
    content = ", ".join(f"{split}: {size:,} images" for split, size in SPLIT_SIZES.items())
    checks = tuple(Check(name, expected, md5(folder / name)) for name, expected in FILE_MD5.items())
    return Report(folder, "stl10", content, checks)
