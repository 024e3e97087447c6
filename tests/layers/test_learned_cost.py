"""What learned scales cost: a step of training against the same step with fixed scales and kernels as large.

Run it by hand on a quiet machine: ``pytest -m slow -s tests/layers/test_learned_cost.py`` prints the ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.timing.steps import _peak
from siconvnet.layers.learned_scales import scale_modules
from siconvnet.models import create_model

#: At the models' own 1.5 and 2 pixels the first step would enlarge the kernels: they stand where the side jumps.
SIGMA = 1.4
TIME, MEMORY, REPEATS = 1.5, 1.3, 7


def stir(kind: str) -> tuple[nn.Module, Tensor]:
    model = create_model("ses_learned", num_channels=1, num_classes=10, scale_parameterisation=kind, sigma=SIGMA)
    return model, torch.rand(16, 1, 64, 64)


def digits(kind: str) -> tuple[nn.Module, Tensor]:
    model = create_model("ses_learned_56", num_channels=1, num_classes=10, scale_parameterisation=kind, sigma=SIGMA)
    return model, torch.rand(16, 1, 28, 28)


def probe(kind: str) -> tuple[nn.Module, Tensor]:
    options = {"image_size": 84, "scale_parameterisation": kind, "sigma": SIGMA}
    return create_model("scale_probe", num_channels=1, num_classes=10, **options), torch.rand(16, 1, 84, 84)


def step_of(model: nn.Module, images: Tensor) -> Callable[[], None]:
    labels = torch.arange(len(images)) % 10
    # So small a rate that the sides stay, and large enough that each step has scales, and so a basis, of its own.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


@pytest.mark.slow
@pytest.mark.parametrize("make", [stir, digits, probe])
def test_a_step_costs_little_more_than_with_fixed_scales(make):
    steps, models = {}, {}
    for kind in ("fixed", "isr"):
        torch.manual_seed(0)
        models[kind], images = make(kind)
        steps[kind] = step_of(models[kind], images)
        steps[kind]()
    (learned,) = scale_modules(models["isr"]).values()
    before = learned.values()
    peaks = {kind: _peak(step, torch.device("cpu")) for kind, step in steps.items()}
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(REPEATS):
        for kind, step in steps.items():
            began = time.process_time()
            step()
            times[kind].append(time.process_time() - began)
    assert learned.values() != before  # each step made a new basis
    ratio, memory = min(times["isr"]) / min(times["fixed"]), peaks["isr"] / peaks["fixed"]
    print(f"\n{make.__name__}: time {ratio:.2f} of {TIME}, memory {memory:.2f} of {MEMORY}")
    assert ratio <= TIME
    assert memory <= MEMORY
