"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from writers import calls_that_write

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


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written_where_that_is(tmp_path: Path, there: bool) -> None:
    for name in ("small", "big"):
        (tmp_path / name).mkdir()
    link, target = tmp_path / "small" / "x", tmp_path / "big" / "y"
    link.symlink_to(Path("..") / "big" / "y")
    if there:
        target.write_bytes(b"old")
    with replacing(link) as stream:
        stream.write(b"new")
        assert [path.name for path in link.parent.iterdir()] == ["x"]  # all of it is on the other disk
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_links_that_lead_in_a_circle_are_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError), replacing(tmp_path / "a"):
        pass
    assert (tmp_path / "a").is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with replacing(tmp_path / "pipe") as stream:
        stream.write(b"through")
    reader.join(30)
    assert read == [b"through"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_device_and_a_folder_stay_what_they_are(tmp_path: Path) -> None:
    before = Path(os.devnull).stat()
    with replacing(Path(os.devnull)) as stream:
        stream.write(b"gone")
    assert (Path(os.devnull).stat().st_rdev, Path(os.devnull).stat().st_ino) == (before.st_rdev, before.st_ino)
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass


def test_standard_output_by_its_name_goes_where_it_was_sent(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from siconvnet.whole_files import replacing
with replacing(Path("/dev/stdout")) as stream:
    stream.write(b"new\\n")
print("and more", flush=True)
"""
    log = tmp_path / "log"
    log.write_text("old\n")
    with log.open("a") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, timeout=60)
    assert log.read_text() == "old\nnew\nand more\n"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert piped.stdout == "new\nand more\n"


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with replacing(path) as stream:
        stream.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o600


#: Calls that may write past `replacing`: file -> what the call begins with -> why.
ELSEWHERE = {
    "siconvnet/whole_files.py": {"": "it is `replacing`"},
    "siconvnet/conformance/checks.py": {"pickle.dump(module, buffer)": "into memory"},
    "benchmark/cli/__init__.py": {"os.open(os.devnull": "a device"},
    "benchmark/store/sqlite.py": {"(hidden / file.name)": "a database, made under another name and renamed"},
    "benchmark/sweeps/board.py": {"self.log.open('a'": "a log, which grows"},
    "benchmark/sweeps/executors/slurm.py": {"self._note": "half of it is read as nothing"},
    "benchmark/sweeps/executors/worker.py": {"os.open(log": "a log, which grows"},
    "benchmark/system/files.py": {"np.savez_compressed(stream": "of `replacing`"},
    "benchmark/timing/steps.py": {"Path(os.devnull)": "a device"},
    "benchmark/training/checkpoints.py": {
        "self.path.replace(self._aside": "a damaged file, set aside",
        "torch.save(content, buffer": "into memory",
    },
    "benchmark/training/records.py": {"": "into a folder that appears whole; see `laid`"},
    "benchmark/training/work_folder.py": {"path.write_text": "half of it is read as nothing"},
    "data/assembly.py": {"task.images": "scratch", "self.images": "scratch", "self._journal_path": "scratch"},
    "data/cards.py": {"image.save(stream": "into memory"},
    "data/fetch.py": {"part.replace(path)": "a download that goes on", "note_of(part)": "a download that goes on"},
    "data/files.py": {"os.open(path": "a lock"},
    "data/stl10.py": {"part.replace(archive)": "a download that goes on"},
}


def test_all_that_write_a_file_go_one_way() -> None:
    root = Path(__file__).parent.parent
    used: set[tuple[str, str]] = set()
    for top in ("siconvnet", "benchmark", "data", "plots", "scripts"):
        for path in sorted((root / top).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for line, call in calls_that_write(path):
                reasons = [start for start in ELSEWHERE.get(name, {}) if call.startswith(start)]
                assert reasons, f"{name}:{line}: {call} does not write through siconvnet.whole_files.replacing"
                used.add((name, reasons[0]))
    assert used == {(name, start) for name, starts in ELSEWHERE.items() for start in starts}, (
        "an exception is not needed"
    )


@pytest.mark.parametrize(
    "code",
    [
        "path.write_text('x')",
        "open(path, 'w')",
        "path.open('ab')",
        "np.savez(path, x=x)",
        "table.to_csv(path)",
        "torch.save(x, path)",
        "figure.savefig(path)",
        "part.replace(path)",
        "os.replace(part, path)",
        "shutil.copyfile(part, path)",
    ],
)
def test_the_look_for_writers_finds_them(code: str, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(f"{code}\nwith replacing(path) as file:\n    np.savez(file, x=x)\n")
    assert [line for line, _ in calls_that_write(tmp_path / "one.py")] == [1]
