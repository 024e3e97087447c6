"""Terminals that know few characters, streams that are closed, and memory that is short: none of these is a defect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli import explain

COMMAND = """
import os, sys
import click
from benchmark.cli import run_command

@click.command()
def show():
    from rich.console import Console
    first = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
    os.write(first, b"kept")
    print("Kümmerer \\u00b7 \\u25b0")
    Console().print("5.0 \\u00b1 0.1")
    print("caf\\u00e9", file=sys.stderr)

sys.exit(run_command(show, "show", []))
"""


def start(file: Path, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-c", COMMAND, str(file)]
    return subprocess.run(line, capture_output=True, timeout=120, env={**os.environ, **environment})


def test_characters_that_the_terminal_does_not_know_are_written_as_codes(tmp_path: Path) -> None:
    done = start(tmp_path / "file", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"K\\xfcmmerer \\xb7 \\u25b0\n5.0 \\xb1 0.1\n"
    assert done.stderr == b"caf\\xe9\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_take_nothing_and_spoil_nothing(closed: str, tmp_path: Path) -> None:
    done = start(tmp_path / "file", closed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 9.1 GiB for an array"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_memory_that_is_short_is_no_defect(error: Exception) -> None:
    code, line = explain(error)
    assert code == 1
    assert line.startswith("out of memory") and "defect" not in line and "--batch-size" in line
    assert "defect" in explain(RuntimeError("boom"))[1]
