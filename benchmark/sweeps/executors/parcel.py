"""A record as bytes, for a worker that shares no disk with the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.training.records import laid, write_bytes


@dataclass(frozen=True)
class Parcel:
    """The folder `name` with its files."""

    name: str
    files: Mapping[str, bytes]


def pack(folder: Path) -> Parcel:
    """A record folder as bytes.

    Raises:
        OSError: it cannot be read.
    """
    return Parcel(folder.name, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def unpack(parcel: Parcel, root: Path) -> Path:
    """Lay a record under `root`, flushed to the disk, whole or not at all; its folder. One that is there already stays.

    Raises:
        RecordError: it cannot be written; nothing is left behind.
    """
    final = root / Path(parcel.name).name
    with laid(final) as folder:
        for name, content in parcel.files.items():
            write_bytes(folder / Path(name).name, content)
    return final
