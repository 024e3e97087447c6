"""Whatever a file claims or however it is damaged: one line that names it, and no memory for what it only claims."""

from __future__ import annotations

import io
import os
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from siconvnet.datasets import data_dir, list_datasets, load_dataset
from siconvnet.datasets.identity import identify_file
from siconvnet.datasets.schema import read_canvases, read_header, read_images, read_summary
from siconvnet.errors import DatasetError

COUNT = 3000
MAGIC = b"\x93NUMPY"


def array_bytes(header: bytes, data: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    """An array as it is stored, with any header."""
    said = len(header) if length is None else length
    return MAGIC + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", said) + header + data


def described(shape: str, descr: str = "'|u1'") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()


def with_member(path: Path, key: str, content: bytes, *, repeat: int = 1, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    """A copy of the file with another member; `content` is followed by `repeat` MiB of zeros."""
    target = path.with_name("hostile.npz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", kind) as archive:
        for name in source.namelist():
            if name == f"{key}.npy":
                with archive.open(name, "w", force_zip64=True) as member:
                    member.write(content)
                    for _ in range(repeat):
                        member.write(bytes(2**20))
            else:
                archive.writestr(name, source.read(name))
    return target


HEADERS = {
    "tokens that do not end": described("(3, 48"),
    "an open string": b"{'descr': '|u1, 'shape': \"\"\"",
    "deep nesting": b"(" * 5000,
    "deep minuses": b"-" * 9000 + b"1",
    "a null byte": b"{'descr': '\x00'}",
    "no dictionary": b"[1, 2]",
    "a huge number": described("(" + "9" * 5000 + ",)"),
    "a negative side": described("(-3, 48, 2, 2, 64, 64)"),
    "text for a shape": described("'abc'"),
    "true for a side": described("(True, 48, 2, 2, 64, 64)"),
    "an unknown type": described("(3, 48, 2, 2, 64, 64)", "'spam'"),
    "a type of types": described("(3, 48, 2, 2, 64, 64)", "[('a', [('b', '|u1')])]"),
    "no letters": b"\xff\xfe\xfd",
    "nothing": b"",
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers(case, stir_file):
    for version in (1, 2, 3):
        path = with_member(stir_file()[0], "imgs", array_bytes(HEADERS[case], bytes(100), version), repeat=0)
        with pytest.raises(DatasetError) as caught:
            read_header(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


BOMBS = {
    "metadata": (array_bytes(described("(6, 2)", f"'<U{2**20}'")), 48),
    "lbldata": (array_bytes(described("(2,)", f"'<U{2**23}'")), 64),
    "imgs": (array_bytes(b"", version=2, length=2**26), 64),
}


@pytest.mark.parametrize("key", BOMBS)
def test_a_small_file_does_not_take_gigabytes(key, stir_file):
    """64 MiB of zeros, which stand for any number of them, take 64 KiB compressed and are refused unread."""
    content, mebibytes = BOMBS[key]
    path = with_member(stir_file()[0], key, content, repeat=mebibytes)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=f"hostile.npz: {key} h"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_more_images_than_a_disk_holds(stir_file, monkeypatch):
    monkeypatch.setattr("siconvnet.datasets.schema.MAX_IMAGES", 3 * 48 * 2 * 2 - 1)
    with pytest.raises(DatasetError, match="imgs holds 576 images, expected at most 575"):
        read_summary(stir_file()[0])


def test_memory_that_is_not_there(stir_file, monkeypatch):
    def exhausted(*arguments, **options):
        raise MemoryError

    path, _ = stir_file()
    monkeypatch.setattr(np.lib.format, "read_array", exhausted)
    with pytest.raises(DatasetError, match="its arrays do not fit into memory"):
        read_header(path)


def test_names_with_control_characters_are_shown_as_escapes(stir_file):
    title = ["title", "\x9b31m\u202e\u00e4"]
    names = {
        "lbldata": np.array(["\x1b[2Jone", "two\n"]),
        "metadata": np.array([title, *[[key, ""] for key in "abcde"]]),
    }
    dataset = load_dataset(stir_file(change=lambda arrays: arrays | names)[0])
    assert dataset.class_names == ("\\x1b[2Jone", "two\\n") and dataset.metadata["title"] == "\\x9b31m\\u202eä"


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_in_the_data_folder_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    os.mkfifo(data_dir() / "pipe.npz")
    assert "pipe" not in list_datasets()
    with pytest.raises(DatasetError, match=r"cannot read .*pipe\.npz: not a regular file"):
        load_dataset("pipe")


def small_file(kind: int) -> bytes:
    """A STIR file of one object with plain images, so that most of its bytes are structure."""
    grid = (3, 48, 1, 1)
    scales = np.broadcast_to(np.arange(64, 16, -1, dtype="u1").reshape(1, -1, 1, 1), grid)
    arrays = {
        "imgs": np.zeros((*grid, 64, 64), np.uint8),
        "lbls": np.zeros(grid, "u1"),
        "scls": scales,
        "psts": np.zeros((*grid, 2), "u1"),
        "metadata": np.array([[key, key] for key in "abcdef"]),
        "lbldata": np.array(["one"]),
        "identity": np.array("content"),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for key, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{key}.npy", content.getvalue())
    return stream.getvalue()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The file with up to eight changes, of which each is a flipped bit, a byte, or a piece cut, copied or repeated."""
    data = bytearray(content)
    # Most bytes are compressed zeros; names, headers and the directory are at the end.
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data)) if rng.random() < 0.3 else len(data) - 1 - rng.randrange(min(len(data), 6000))
        action = rng.randrange(5)
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif action == 2:
            del data[at : at + rng.randint(1, 40)]
        elif action == 3:
            data[at:at] = data[at : at + rng.randint(1, 40)]
        else:
            data[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)]))
        if not data:
            return b""
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_damage_is_one_line(kind, tmp_path):
    """Thousands of damaged files for each way of compression, each read in every way there is."""
    content, path = small_file(kind), tmp_path / "damaged.npz"
    readers = (read_summary, read_header, read_images, lambda p: read_canvases(p, [5, 0]), identify_file)
    path.write_bytes(content)
    for read in readers:
        read(path)
    rng, refused = random.Random(kind), 0
    for _ in range(COUNT):
        path.write_bytes(mutated(content, rng))
        for read in readers:
            try:
                read(path)
            except DatasetError as error:
                refused += 1
                assert "\n" not in str(error) and "damaged.npz" in str(error)
    assert refused > COUNT, "nearly all damage is found"


@pytest.mark.slow
def test_every_header_is_one_line(stir_file):
    """Thousands of headers made of pieces of the right one, in whole archives, so that no checksum finds them."""
    source, _ = stir_file()
    pieces = [b"{", b"}", b"(", b")", b"[", b"]", b",", b":", b"'", b'"', b"'descr'", b"'|u1'", b"'<U9'", b"'shape'",
              b"'fortran_order'", b"False", b"3", b"48", b"64", b"-", b"1e9", b"9" * 30, b"\\", b"\n", b"#", b"\x00",
              b"\xff", b"0x", b"1j", b"None", b"lambda", b" ", b"L"]  # fmt: skip
    rng, path = random.Random(0), source.with_name("header.npz")
    for _ in range(COUNT):
        header = bytearray(described("(3, 48, 2, 2, 64, 64)"))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(header) + 1)
            header[at : at + rng.choice([0, 0, 1, 5])] = rng.choice(pieces) * rng.choice([1, 1, 1, 50])
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("imgs.npy", array_bytes(bytes(header), bytes(50), rng.choice([1, 2])))
        with pytest.raises(DatasetError) as caught:
            read_header(path)
        assert "\n" not in str(caught.value)
