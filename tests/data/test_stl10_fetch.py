"""STL-10's archive from a server, by hand, damaged, hostile; and what is unpacked of it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stl10_files import write_stl10
from test_fetch import QUICK, Server

from benchmark.data import stl10
from siconvnet.datasets import stl10 as reader
from siconvnet.datasets.stl10 import file_sizes, find_stl10, load_stl10
from siconvnet.errors import DatasetError

SIZES = {"train": 3, "test": 2}
Extra = Callable[[tarfile.TarFile], None]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reader, "SPLIT_SIZES", SIZES)
    monkeypatch.setattr(stl10, "SPLIT_SIZES", SIZES)
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "data"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def archive(tmp_path: Path, extra: Extra = lambda tar: None, without: str = "") -> bytes:
    """An archive as the published one: a folder, the files, lists and unlabelled images."""
    source = tmp_path / "source"
    write_stl10(source, SIZES)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        folder = tarfile.TarInfo("stl10_binary")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        extra(tar)
        for name in file_sizes():
            if name != without:
                add(tar, f"stl10_binary/{name}", (source / name).read_bytes())
        add(tar, "stl10_binary/class_names.txt", b"airplane\nbird\n")
        add(tar, "stl10_binary/unlabeled_X.bin", bytes(50_000))
    return stream.getvalue()


@pytest.fixture
def server(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        running.content = archive(tmp_path)
        monkeypatch.setattr(stl10, "ARCHIVE_MD5", hashlib.md5(running.content).hexdigest())
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


def get(server: Server, **options: bool) -> list[str]:
    notes: list[str] = []
    stl10.fetch(url=server.url, progress=False, tell=notes.append, patience=QUICK, **options)
    return notes


def left(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


WHOLE = sorted(f"stl10_binary/{name}" for name in file_sizes())


def test_the_labelled_images_are_unpacked_and_nothing_is_left(root: Path, server: Server, tmp_path: Path) -> None:
    assert "checksum right; unpacking" in get(server)[0]
    assert left(root) == WHOLE
    assert all((root / name).read_bytes() == (tmp_path / "source" / Path(name).name).read_bytes() for name in WHOLE)
    assert load_stl10("test").labels.tolist() == [0, 1]
    assert "holds STL-10 already" in get(server)[0] and server.requests == [None], "not asked again"
    (root / "stl10_binary" / "test_X.bin").write_bytes(b"short")
    get(server)
    assert find_stl10() == root / "stl10_binary" and len(server.requests) == 2, "what is truncated is fetched again"
    get(server, force=True)
    assert len(server.requests) == 3


def test_goes_on_where_it_was_cut_off(root: Path, server: Server) -> None:
    server.mood = "truncates"
    get(server)
    assert server.requests[1] == f"bytes={len(server.content) // 2}-" and left(root) == WHOLE


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        ("text", r"answered with something other than a \.gz archive; to get it by hand, save it as .*\.tar\.gz"),
        ("html", "answered with a web page"),
        ("404", "answered 404"),
    ],
)
def test_answers_that_are_not_the_archive(root: Path, server: Server, mood: str, message: str) -> None:
    server.mood = mood
    with pytest.raises(DatasetError, match=message) as caught:
        get(server)
    assert "\n" not in str(caught.value) and left(root) == []


def test_another_archive_is_thrown_away(root: Path, server: Server, tmp_path: Path) -> None:
    server.content = archive(tmp_path, lambda tar: add(tar, "more", b"x"))
    with pytest.raises(DatasetError, match=r"gave another archive: try again \(MD5 [0-9a-f]{32}, published"):
        get(server)
    assert left(root) == []


def test_an_archive_that_is_there_is_used_and_kept(root: Path, server: Server) -> None:
    root.mkdir()
    (root / stl10.ARCHIVE).write_bytes(server.content)
    get(server)
    assert server.requests == [] and left(root) == [stl10.ARCHIVE, *WHOLE]
    (root / stl10.ARCHIVE).write_bytes(server.content[:-9])
    with pytest.raises(DatasetError, match="is damaged: remove it, and type the same again"):
        get(server, force=True)
    assert left(root) == [stl10.ARCHIVE, *WHOLE]


def hostile(tar: tarfile.TarFile) -> None:
    """Paths that lead elsewhere, and links in the places of files."""
    add(tar, "../outside.bin", b"x")
    add(tar, "/tmp/../outside.bin", b"x")
    for name, kind in (("train_X.bin", tarfile.SYMTYPE), ("test_X.bin", tarfile.LNKTYPE)):
        link = tarfile.TarInfo(f"stl10_binary/{name}")
        link.type, link.linkname = kind, "../../outside.bin"
        tar.addfile(link)


def test_only_regular_files_in_their_places_are_unpacked(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.tar.gz"
    path.write_bytes(archive(tmp_path, hostile))
    stl10.unpack(path, root / "stl10_binary")
    assert left(root) == WHOLE and not (tmp_path / "outside.bin").exists()
    assert not any((root / name).is_symlink() for name in WHOLE)


def wrong_size(tar: tarfile.TarFile) -> None:
    add(tar, "stl10_binary/train_y.bin", b"12345")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda path: archive(path, without="test_y.bin"), r"holds no stl10_binary/test_y\.bin"),
        (lambda path: archive(path, wrong_size), r"holds stl10_binary/train_y\.bin of 5 bytes, not 3"),
        (lambda path: archive(path)[:2000], "is no intact archive"),
    ],
)
def test_damaged_archives(root: Path, tmp_path: Path, content: Callable[[Path], bytes], message: str) -> None:
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(content(tmp_path))
    with pytest.raises(DatasetError, match=message) as caught:
        stl10.unpack(path, root / "stl10_binary")
    assert "\n" not in str(caught.value)
    assert not [name for name in left(root) if name.endswith(".part")]
    with pytest.raises(DatasetError):
        find_stl10()


def test_the_published_archive_is_torchvisions() -> None:
    from benchmark.system.vision import vision_module

    theirs = vision_module("datasets").STL10
    assert (theirs.url, theirs.filename, theirs.tgz_md5) == (stl10.URL, stl10.ARCHIVE, stl10.ARCHIVE_MD5)
    assert theirs.base_folder == reader.FOLDER


def test_on_the_command_line(root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmark.cli import main

    assert main(["data", "fetch", "stl10", "--url", server.url, "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "note: checksum right" in out and f"stl10: {root / 'stl10_binary'} (0.1 MB)" in out
    assert main(["data", "build", "stl10", "--images", str(root)]) == 2
    assert "is the name of a built-in dataset" in capsys.readouterr().err
