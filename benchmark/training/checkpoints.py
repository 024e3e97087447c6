"""Where a long run stood, on disk, so that a run that is killed goes on from there to the same end.

That is the state after a whole epoch, also if the run is stopped between two batches of the next one or in its test.
A checkpoint belongs to one spec and to the versions that it was made with; any other is refused, and the run
starts from the beginning. So it does after a damaged one, which is set aside: the file begins with the checksum of what
follows, and nothing of it is used before that was compared. It is read without running code from it (`weights_only`).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec
from benchmark.system import environment
from siconvnet.errors import SiconvnetError
from siconvnet.whole_files import replacing

if TYPE_CHECKING:
    import torch

    from benchmark.training.loop import Training

FORMAT = 2
#: How a file begins; the SHA-256 of all that follows it comes next, in hex digits, and a line end.
_MAGIC = b"siconvnet checkpoint sha256 "


class CheckpointError(SiconvnetError):
    """A checkpoint that cannot be used."""


class Damaged(CheckpointError):
    """A file that is not what was once written as a checkpoint."""


class Checkpoint:
    """The checkpoint of one run.

    Args:
        path: the file; its folder is made.
        seconds: it is written after an epoch if so many have passed since the last time, so a long run loses no
            more than that and one epoch, and a short one is not slowed down.

    Attributes:
        note: what `resume` found, for a person.
    """

    def __init__(self, path: Path | str, spec: RunSpec, *, seconds: float = 30.0):
        self.path, self.spec, self.seconds = Path(path), spec, seconds
        self.note = ""
        self._training: Training | None = None
        self._state: dict[str, Any] | None = None
        self._made_by: dict[str, Any] = {}
        self._before = 0.0
        self._start = self._last = time.monotonic()

    def resume(self, training: Training) -> float:
        """Put `training` where the checkpoint stood, if there is one; seconds that were spent until then.

        One that cannot be used leaves `training` as it is, and `note` says why.
        """
        import torch

        self._training, self._start = training, time.monotonic()
        self._last, self._made_by = self._start, self._key(training)
        if not self.path.is_file():
            return 0.0
        fresh = copy.deepcopy(training.state_dict())
        try:
            saved = read_content(self.path, training.train.labels.device)
            made_by = saved["made_by"]
            different = [key for key, ours in self._made_by.items() if made_by.get(key) != ours]
            if different:
                raise CheckpointError(f"it is of another {', '.join(different).replace('_', ' ')}")
            training.load_state_dict(_unpacked(saved["state"]))
            before, threads = _seconds(saved), saved.get("threads")
        except Exception as error:
            # Training again is always right, only slower. What was loaded before the mistake was found must not stay.
            training.load_state_dict(fresh)
            self.note = f"checkpoint refused: {' '.join(str(error).split())[:200]}"
            if isinstance(error, Damaged):
                self._set_aside()
            return 0.0
        self._remember()
        self._before = before
        self.note = f"resumed after epoch {len(training.history)}"
        if training.train.labels.device.type == "cpu" and threads != torch.get_num_threads():
            # Sums in another order: no error, but not the result of a run that was never stopped either.
            self.note += (
                f" with {torch.get_num_threads()} threads in place of {threads}; the result may differ in its last "
                "digits from that of a run without a break"
            )
        return self._before

    def _set_aside(self) -> None:
        """Keep a damaged file under another name, for a person to look at, until the run is over."""
        with contextlib.suppress(OSError):
            self.path.replace(self._aside)
            self.note += f"; set aside as {self._aside}, and the run starts from the beginning"

    @property
    def _aside(self) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged")

    def after_epoch(self) -> None:
        """Remember the state, and write it if the time has come. A disk that takes no more does not stop the run."""
        self._remember()
        if time.monotonic() - self._last >= self.seconds:
            with contextlib.suppress(OSError, RuntimeError):
                self.save()

    def save(self) -> None:
        """Write the state after the last whole epoch, whole or not at all.

        Raises:
            OSError, RuntimeError: the disk is full or not writable (torch raises either).
        """
        import torch

        if self._state is None:
            return
        self._last = time.monotonic()
        content = {
            "made_by": self._made_by,
            "state": _packed(self._state),
            "seconds": self._before + self._last - self._start,
            "threads": torch.get_num_threads(),
        }
        write_content(self.path, content)

    def _remember(self) -> None:
        assert self._training is not None, "resume comes first"
        # A copy: the tensors of model and optimizer change with every batch, and the model's when the best weights
        # are restored for the test.
        self._state = copy.deepcopy(self._training.state_dict())

    def remove(self) -> None:
        """The run is over; its checkpoint would only take room."""
        for path in (self.path, self._aside):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _key(self, training: Training) -> dict[str, Any]:
        versions = environment.versions()
        return {
            "checkpoint_format": FORMAT,
            "spec": self.spec.hash,
            "siconvnet": versions["siconvnet"],
            "torch": versions["torch"],
            "numpy": versions["numpy"],
            "commit": (environment.git_state() or {}).get("commit"),
            "device": training.train.labels.device.type,
        }


def write_content(path: Path, content: dict[str, Any]) -> None:
    """Write the content of a checkpoint after its checksum.

    Raises:
        OSError, RuntimeError: the disk is full or not writable (torch raises either).
    """
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    with replacing(path) as file:
        file.write(_MAGIC + digest.encode("ascii") + b"\n")
        file.write(buffer.getbuffer())


def read_content(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `write_content` wrote.

    Raises:
        CheckpointError: the file is not of this version, or damaged.
        OSError: it cannot be read.
    """
    import torch

    content = path.read_bytes()
    begin = len(_MAGIC) + 64 + 1
    if not content.startswith(_MAGIC) and content[:2] == b"PK":
        raise CheckpointError("it is of another checkpoint format")
    if content[:begin] != _MAGIC + hashlib.sha256(memoryview(content)[begin:]).hexdigest().encode("ascii") + b"\n":
        raise Damaged("it is damaged: its content does not have the checksum that it begins with")
    return dict(torch.load(io.BytesIO(memoryview(content)[begin:]), map_location=device, weights_only=True))


def _seconds(saved: dict[str, Any]) -> float:
    """How long the run had taken; 0 where the checkpoint does not say so in a way that can be used."""
    seconds = saved.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < math.inf else 0.0


def _packed(state: dict[str, Any]) -> dict[str, Any]:
    """NumPy's random state holds an array, which torch reads back only as a tensor."""
    import torch

    name, keys, *rest = state["numpy"]
    return {**state, "numpy": (name, torch.from_numpy(keys.astype("int64")), *rest)}


def _unpacked(state: dict[str, Any]) -> dict[str, Any]:
    name, keys, *rest = state["numpy"]
    # The generators of torch take their state on the CPU only, wherever the model is.
    return {
        **state,
        "numpy": (name, keys.cpu().numpy().astype("uint32"), *rest),
        "torch": state["torch"].cpu(),
        "cuda": [part.cpu() for part in state["cuda"]],
    }
