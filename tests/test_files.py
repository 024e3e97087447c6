"""Files of text and arrays: whole, and without pickles."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmark.system.files import write_npz


def test_arrays_come_back_and_nothing_else(tmp_path: Path) -> None:
    """NumPy before 2.1 takes an argument that it does not know for one more array."""
    arrays = {"numbers": np.arange(6).reshape(2, 3), "words": np.array(["a", "bc"])}
    for name in ("one.npz", "two.npz"):
        with (tmp_path / name).open("wb") as stream:
            write_npz(stream, arrays)
    write_npz(tmp_path / "path.npz", arrays)
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert archive.namelist() == ["numbers.npy", "words.npy"]
    with np.load(tmp_path / "one.npz", allow_pickle=False) as read:
        assert all(np.array_equal(read[key], array) for key, array in arrays.items())
    assert len({(tmp_path / name).read_bytes() for name in ("one.npz", "two.npz", "path.npz")}) == 1


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'things' holds Python objects"):
        write_npz(tmp_path / "x.npz", {"numbers": np.arange(3), "things": np.array([{}, None], dtype=object)})
    assert not list(tmp_path.iterdir())
