"""Writing a text file whole or not at all, arrays without pickles, and tables without formulas."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from siconvnet.errors import SiconvnetError
from siconvnet.safe_text import csv_cell
from siconvnet.whole_files import replacing

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame


def write_text(path: Path, text: str) -> Path:
    """Write `text`, as UTF-8.

    Raises:
        SiconvnetError: the folder cannot be made or written; nothing is left behind.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise SiconvnetError(f"cannot write {str(path)!r}: {error.strerror or error}.") from None
    return path


def write_npz(target: Path | IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed ``.npz`` that can be read without pickle. The same arrays give the same bytes.

    Raises:
        OSError: it cannot be written.
        ValueError: an array holds Python objects.
    """
    import numpy as np

    # `savez_compressed(allow_pickle=False)` is for NumPy 2.1 and later; those before write an array of that name.
    for name, array in arrays.items():
        if np.asanyarray(array).dtype.hasobject:
            raise ValueError(f"the array {name!r} holds Python objects, which are never written.")
    named: dict[str, Any] = dict(arrays)
    with replacing(target) if isinstance(target, Path) else contextlib.nullcontext(target) as stream:
        np.savez_compressed(stream, **named)


def csv_text(table: DataFrame, **how: Any) -> str:
    """A table as CSV, without its index; `how` is passed on to `DataFrame.to_csv`."""
    safe = table.copy()
    for name, column in table.items():
        # Only text needs care; left as they are, the other columns keep their types, as integers beside empty cells.
        if any(isinstance(value, str) for value in column):
            safe[name] = [csv_cell(value) if isinstance(value, str) else value for value in column]
    return str(safe.to_csv(index=False, lineterminator="\n", **how))
