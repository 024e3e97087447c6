"""The toy study of learned scales: its digits and their sizes, how scales are trained, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.spec import RunSpec
from benchmark.studies import object_scales
from benchmark.training.divergence import TrainingError
from benchmark.training.execution import execute
from benchmark.training.loop import Training, seed_everything
from siconvnet.errors import InvalidArgument
from siconvnet.layers.learned_scales import scale_modules, scale_parameters

CPU = torch.device("cpu")


def small(**more: object) -> RunSpec:
    """Embedded digits on the smallest canvas."""
    values = {"canvas": 28, "scale_range": "0.35,1.4", "digits": "embedded", "sigma": 0.7, "batch_size": 250}
    return RunSpec("scale_probe", "mnist-range", **{**values, **more}).validate()  # type: ignore[arg-type]


def training(spec: RunSpec) -> Training:
    seed_everything(spec.seed)
    task = spec.study.open(spec, CPU)
    model = task.create_model()
    return Training(model, task.train, task.valid, spec.lr, spec.batch_size, spec.max_epochs, None, spec.study.protocol)


def test_a_run_learns_its_scales_after_the_warm_up() -> None:
    result = execute(small(max_epochs=2), device="cpu")
    isrs = [epoch.own["isr"] for epoch in result.history]
    assert isrs[0] == pytest.approx(3.0)  # 5 of 60 epochs are frozen: of 2 the first
    assert isrs[1] != isrs[0]
    assert set(result.history[0].own) == {"scale_1", "scale_2", "scale_3", "isr"}
    assert result.metrics["test_err"] == pytest.approx(100 - result.metrics["test_acc"])


def test_fixed_scales_stay() -> None:
    run = training(small(max_epochs=2, scale_parameterisation="fixed"))
    figures = [run.epoch().own for _ in range(2)]
    assert figures[0] == figures[1] and figures[0]["isr"] == pytest.approx(3.0)


def test_scales_have_a_group_and_a_rate_of_their_own() -> None:
    run = training(small())
    weights, scales = run.optimizer.param_groups
    assert scales["params"] == scale_parameters(run.model) and len(scales["params"]) == 2
    assert not {id(p) for p in scales["params"]} & {id(p) for p in weights["params"]}
    rates = {}
    for epoch in (1, 5, 6, 20, 21, 41):
        run._set_rates(epoch)
        rates[epoch] = scales["lr"]
        assert all(parameter.requires_grad == (epoch > 5) for parameter in scales["params"])
    assert rates == pytest.approx({1: 0, 5: 0, 6: 0.01, 20: 0.01, 21: 0.0075, 41: 0.005625})


def test_a_scale_that_a_model_has_frozen_stays_so() -> None:
    run = training(small())
    (scales,) = scale_modules(run.model).values()
    scales.sigma.requires_grad_(False)
    run = replace(run)
    run._set_rates(6)
    assert run.optimizer.param_groups[1]["params"] == [scales.free] and not scales.sigma.requires_grad


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda scales: scales.free.fill_(torch.nan), "no finite numbers"),
        (lambda scales: scales.sigma.fill_(0.1), r"below 0\.5 pixels"),
        (lambda scales: scales.free.fill_(9.0), "left the canvas"),
    ],
)
def test_scales_that_run_away_end_the_run(change, reason) -> None:
    run = training(small())
    (scales,) = scale_modules(run.model).values()
    with torch.no_grad():
        change(scales)
    with pytest.raises(TrainingError, match=f"epoch 1: .*{reason}.*a smaller learning rate"):
        run.epoch()


def test_batches_follow_from_the_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        spec = small(seed=seed)
        task = spec.study.open(spec, CPU)
        torch.manual_seed(0)
        return next(iter(task.train.batches(8)))[0]

    images = first(0)
    assert images.shape == (8, 1, 28, 28) and images.dtype == torch.float32
    assert torch.equal(images, first(0)) and not torch.equal(images, first(1))


def test_digits_have_the_sizes_that_are_drawn() -> None:
    spec = RunSpec("scale_probe", "mnist-range", scale_range="1,4", canvas=84, digits="embedded").validate()
    task = spec.study.open(spec, CPU)
    scales = task.test.scales.numpy()
    assert scales.min() >= 1 and scales.max() <= 4 and len(scales) == 500
    assert np.mean(np.log2(scales)) == pytest.approx(1, abs=0.1)
    images, _ = next(iter(task.test.batches(60)))
    ink = images.squeeze(1) > images.min() + 0.5
    # The longer side of MNIST's digits is 20 pixels.
    sides = [max(int(m.any(0).sum()), int(m.any(1).sum())) for m in ink]
    assert np.abs(np.array(sides) - 20 * scales[:60]).max() <= 6
    mean = torch.cat([images for images, _ in task.train.batches(100)]).double()
    assert mean.mean().item() == pytest.approx(0, abs=1e-4) and mean.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("distribution", object_scales.DISTRIBUTIONS)
def test_distributions(distribution) -> None:
    low, high = (2.0, 2.0) if distribution == "fixed" else (1.0, 4.0)
    drawn = object_scales.draw(distribution, low, high, 20_000, (0, 1))
    assert drawn.min() >= low and drawn.max() <= high
    assert np.array_equal(drawn, object_scales.draw(distribution, low, high, 20_000, (0, 1)))
    if distribution == "fixed":
        return
    edges = np.linspace(0, 2, 9)
    counts, _ = np.histogram(np.log2(drawn), edges)
    middles = 2 ** ((edges[1:] + edges[:-1]) / 2)
    expected = object_scales.density(distribution, low, high, middles) * 0.25
    assert counts / len(drawn) == pytest.approx(expected, abs=0.02)
    assert expected.sum() == pytest.approx(1, abs=0.02)


def test_the_distribution_is_part_of_the_spec() -> None:
    hashes = {small().hash, small(distribution="uniform").hash, small(scale_range="0.35,1.3").hash, small(isr=2.0).hash}
    assert len(hashes) == 4
    # What a run leaves open and what it says of the same are one.
    assert small(scale_range=(0.35, 1.4), isr=3, scale_parameterisation="isr", learn_sigma=True).hash == small().hash


def test_a_single_size_may_be_a_number() -> None:
    one, other = (small(distribution="fixed", scale_range=value) for value in (1.2, " 1.2 "))
    assert one.hash == other.hash and one.settings.scale_range == "1.2,1.2"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale_range": True}, "must be text"),
        ({"scale_range": "1,9"}, "leaves the canvas"),
        ({"scale_range": "0.01,1"}, "too small"),
        ({"scale_range": "8,1"}, "smallest and the largest"),
        ({"scale_range": "2"}, "two different scales"),
        ({"distribution": "fixed", "scale_range": "1,8"}, "takes one scale"),
        ({"distribution": "lognormal"}, "unknown distribution"),
        ({"canvas": 30}, "multiple of 4"),
        ({"digits": "all"}, "unknown choice of digits"),
        ({"isr": 1.0}, "above 1"),
        ({"sigma": 0.0}, "at least 0.5"),
        ({"sigma": 60.0}, "would start at 180 pixels, and the canvas holds no more than 167.5"),
        ({"scale_parameterisation": "irs"}, "Did you mean 'isr'"),
        ({"scale_parameterisation": "fixed", "learn_sigma": True}, "learns nothing"),
        ({"learn_sigma": 1}, "must be true or false"),  # it would be another run than True
        ({"model": "ses_scalar_28"}, "is a model for MNIST-Scale"),
        ({"batch_size": 1}, "batch of one image"),
    ],
)
def test_refuses(given, message) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        RunSpec(**{"model": "scale_probe", "dataset": "mnist-range", **given}).validate()
    assert "\n" not in str(caught.value)
