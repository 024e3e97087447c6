"""Where a long run stood, on disk, so that a run that is killed goes on from there to the same end.

That is the state after a whole epoch, also if the run is stopped between two batches of the next one or in its test.
A checkpoint belongs to one spec and to the versions that it was made with; any other is refused, and the run
begins anew. It is read without running code from it (`weights_only`).
"""

from __future__ import annotations

import contextlib
import copy
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec
from benchmark.system import environment
from siconvnet.whole_files import replacing

if TYPE_CHECKING:
    from benchmark.training.loop import Training

FORMAT = 1


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
        """Put `training` where the checkpoint stood, if there is one; seconds that were spent until then."""
        import torch

        self._training, self._start = training, time.monotonic()
        self._last, self._made_by = self._start, self._key(training)
        if not self.path.is_file():
            return 0.0
        fresh = copy.deepcopy(training.state_dict())
        try:
            saved = torch.load(self.path, map_location=training.train.labels.device, weights_only=True)
            made_by = saved["made_by"]
            different = [key for key, ours in self._made_by.items() if made_by.get(key) != ours]
            if different:
                raise ValueError(f"it is of another {', '.join(different).replace('_', ' ')}")
            training.load_state_dict(_unpacked(saved["state"]))
        except Exception as error:
            # A full or torn disk, another version: training again is always right, only slower.
            # What was loaded before the mistake was found must not stay.
            training.load_state_dict(fresh)
            self.note = f"checkpoint refused: {' '.join(str(error).split())[:200]}"
            return 0.0
        self._remember()
        self._before = float(saved["seconds"])
        self.note = f"resumed after epoch {len(training.history)}"
        return self._before

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
        }
        with replacing(self.path) as file:
            torch.save(content, file)

    def _remember(self) -> None:
        assert self._training is not None, "resume comes first"
        # A copy: the tensors of model and optimizer change with every batch, and the model's when the best weights
        # are restored for the test.
        self._state = copy.deepcopy(self._training.state_dict())

    def remove(self) -> None:
        """The run is over; its checkpoint would only take room."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

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
