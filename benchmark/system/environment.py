"""What a run was made with: versions, machine, device, commit. Recorded with every result."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import socket
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siconvnet.errors import SiconvnetError, UnknownName

if TYPE_CHECKING:
    import torch

PACKAGES = ("siconvnet", "torch", "torchvision", "numpy", "scipy", "scikit-image", "safetensors", "mlflow")
DEVICES = ("auto", "cpu", "cuda")


def find_device(name: str) -> torch.device:
    """The device called `name`: cpu, cuda, cuda:N, or auto (cuda where there is one).

    Raises:
        UnknownName: no such device name.
        SiconvnetError: cuda was asked for and there is none.
    """
    import torch

    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and not (kind == "cuda" and index.isdigit())):
        raise UnknownName("device", name, DEVICES)
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return torch.device("cuda" if found else "cpu")
    if kind == "cuda" and found <= int(index or 0):
        built = "" if torch.version.cuda else f" (torch {torch.__version__} is built without CUDA)"
        number = f"CUDA device {index}" if index and found else "CUDA device"
        raise SiconvnetError(f"--device {name}: no {number} here{built}; use --device cpu or auto.")
    return torch.device(name)


def describe(device: torch.device) -> dict[str, Any]:
    """The environment record of a run on `device`: plain JSON values."""
    import torch

    gpu = device.type == "cuda"
    properties = torch.cuda.get_device_properties(device) if gpu else None
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "platform": platform.platform(),
        **process(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "device_name": properties.name if properties else cpu_name(),
        "device_memory_bytes": properties.total_memory if properties else None,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        # Convolutions in TF32 differ in the fourth digit, so a result has to say which it is.
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if gpu else None,
        "git": git_state(),
    }


def process() -> dict[str, Any]:
    """This process, so that another one of this machine can tell whether it still lives."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "process_space": process_space(),
    }


def process_space() -> str:
    """Where a process number means the same process: machine, boot and PID namespace; empty where that is unknown.

    Containers may share a host name and yet see other processes than each other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except (OSError, ValueError):
        return ""
    try:
        # Not meant to be shown to others as it is.
        machine = hashlib.sha256(b"siconvnet " + Path("/etc/machine-id").read_bytes()).hexdigest()[:12]
    except OSError:
        machine = ""
    return f"{machine}/{boot}/{namespace}"


def process_start(pid: int) -> str:
    """When a process was started, in the system's own count; empty where there is none such, or nobody knows.

    Numbers of processes are given out again, but not with the same start.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone, or a system without such files
        import psutil

        try:
            return str(psutil.Process(pid).create_time())
        except (psutil.Error, ValueError, OverflowError):
            return ""
    # The second field is the program's name in brackets, which may hold spaces; the start is the 22nd.
    return text.rpartition(")")[2].split()[19]


def process_exists(pid: int) -> bool:
    """Whether a process of this number is there, of whichever user. It is not disturbed by the question."""
    import psutil

    # Where processes are asked by sending them signal 0, Windows ends them.
    return psutil.pid_exists(pid)


def versions() -> dict[str, str | None]:
    """Installed versions, None where a package is absent. Imports none of them."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def git_state(source: Path = Path(__file__)) -> dict[str, Any] | None:
    """Commit of the checkout that a source file is part of, this package's own by default, and whether anything in it
    is changed; None outside of one."""
    source = source.resolve()
    # A package installed inside someone else's repository is not of its commit: the file must be tracked.
    if _git("ls-files", "--error-unmatch", source.name, folder=source.parent) is None:
        return None
    commit = _git("rev-parse", "HEAD", folder=source.parent)
    if commit is None:
        return None
    changes = _git("status", "--porcelain", "--untracked-files=no", folder=source.parent)
    return {"commit": commit, "modified": bool(changes)}


def _git(*arguments: str, folder: Path) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
