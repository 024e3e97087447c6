"""What a training step costs: parameters, time and memory."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from siconvnet.names import IMAGE_SIZE


@dataclass(frozen=True)
class Cost:
    """Of one training step.

    Attributes:
        parameters: trained numbers.
        seconds: median time of a step: forward, backward and Adam.
        peak_bytes: what the tensors that a step makes take together at most, without parameters and data.
    """

    parameters: int
    seconds: float
    peak_bytes: int


def training_cost(
    model: nn.Module,
    num_channels: int,
    num_classes: int,
    *,
    image_size: int = IMAGE_SIZE,
    batch_size: int = 16,
    repeats: int = 3,
) -> Cost:
    """Measure training steps on noise, on the CPU and with torch's number of threads. The model is trained by them."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(batch_size, num_channels, image_size, image_size, generator=generator)
    labels = torch.arange(batch_size) % num_classes
    optimizer = torch.optim.Adam(model.parameters())
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()  # makes Adam's state, and what models make once
    seconds = statistics.median(_time(step) for _ in range(repeats))
    with TensorBytes() as held:
        step()
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Cost(parameters, seconds, held.peak)


def _time(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class TensorBytes(TorchDispatchMode):
    """Inside this context: how many bytes the tensors made in it take.

    Counted from the storages that operations return, so the number is the same on every machine; what an operation
    takes and gives back within itself is not seen.

    Attributes:
        now: bytes held at this moment.
        peak: the most that was held at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            # Views and in-place results lie in the storage of what was given.
            if isinstance(leaf, Tensor) and (key := _key(leaf)) not in self._known and key not in given:
                self._hold(leaf.untyped_storage(), key)
        return out

    def _hold(self, storage: torch.UntypedStorage, key: int) -> None:
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
