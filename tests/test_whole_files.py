"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from siconvnet.whole_files import SUFFIX, replacing


def test_a_file_is_there_at_the_end_of_the_block_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with replacing(path) as stream:
        stream.write(b"new")
        assert not path.exists()
        (hidden,) = path.parent.iterdir()
        assert hidden.name.startswith(".file.") and hidden.suffix == SUFFIX
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_what_was_there_stays_if_the_block_or_the_check_raises(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def refuse(written: Path) -> None:
        seen.append(written.read_bytes())
        raise ValueError("no good")

    with pytest.raises(ZeroDivisionError), replacing(path) as stream:
        stream.write(b"half")
        1 / 0  # noqa: B018
    with pytest.raises(ValueError, match="no good"), replacing(path, refuse) as stream:
        stream.write(b"whole")
    assert seen == [b"whole"]
    assert [one.name for one in tmp_path.iterdir()] == ["file"] and path.read_bytes() == b"old"


def test_writers_at_a_time_do_not_mix(tmp_path: Path) -> None:
    path, ready = tmp_path / "file", threading.Barrier(8)

    def write(number: int) -> None:
        with replacing(path) as stream:
            ready.wait(30)
            for _ in range(1000):
                stream.write(bytes([number]) * 100)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert len(content) == 100_000 and len(set(content)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = """
import sys, time
from pathlib import Path
from siconvnet.whole_files import replacing
with replacing(Path(sys.argv[1])) as stream:
    stream.write(b"half" * 10000)
    print("writing", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError), replacing(tmp_path / "file" / "below"):
        pass
