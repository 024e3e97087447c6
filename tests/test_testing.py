"""The checks for authors of methods, each with a model that it must refuse."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from siconvnet import testing
from siconvnet.cost import TensorBytes
from siconvnet.errors import InvalidArgument, UnknownName


class Good(nn.Module):
    """The smallest model that passes everything; each broken one below changes one thing."""

    stages: tuple[str, ...] = ("act",)
    scale_pools: tuple[str, ...] = ("pool",)

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(num_channels, 4, 5)
        self.pool = LargestOfTwo()
        self.act = nn.ReLU()
        self.lin = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(self.act(self.pool(self.conv(x))).amax((2, 3)))


class LargestOfTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, -x)

    def scale_indices(self, x: Tensor) -> Tensor:
        return (x < 0).long()


class RaisesWhenBuilt(Good):
    def __init__(self, num_channels: int, num_classes: int):
        raise RuntimeError("out of ideas")


class EndsTheProgram(Good):
    def __init__(self, num_channels: int, num_classes: int):
        raise SystemExit(3)


class MapsForGray(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., None] if x.shape[1] == 1 else super().forward(x)


class OverflowsOnGray(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (math.inf if x.shape[1] == 1 else 1)


class GrayOnly(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(1, num_classes)


class TenClassesOnly(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, 10)


class Frozen(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.requires_grad_(False)


class UnusedParameter(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.spare = nn.Parameter(torch.zeros(1))


class RootOfZero(Good):
    """Its value is finite, the derivative at zero is not."""

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.gain.sqrt()


class Detached(Good):
    def forward(self, x: Tensor) -> Tensor:
        zero = sum((p * 0).sum() for p in self.parameters())
        return super().forward(x).detach() + zero


class WritesToItsInput(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))


class Unseeded(Good):
    draws = itertools.count()

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        with torch.no_grad():
            self.lin.bias.add_(next(self.draws))


class OneSeedForAll(Good):
    def __init__(self, num_channels: int, num_classes: int):
        torch.manual_seed(0)
        super().__init__(num_channels, num_classes)


class DropoutAlways(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, training=True))


class CountsItsCalls(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class BackToTraining(Good):
    def forward(self, x: Tensor) -> Tensor:
        self.act.train()
        return super().forward(x)


class MoreThreads(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        torch.set_num_threads(torch.get_num_threads() + 1)


class CentresTheBatch(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class WeightOutsideTheState(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.hidden = torch.rand(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.hidden.to(x.dtype)


class TextInTheState(Good):
    def get_extra_state(self) -> str:
        return "a word"

    def set_extra_state(self, state: Any) -> None:
        pass


class SinglePrecisionOnly(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class SinglePrecisionInside(Good):
    """Gives float64 for float64, but what it computes has lost its digits on the way."""

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.01 if x.dtype == torch.float64 else 0.0
        return super().forward(x) + noise


class CopiesOnlyTheShell(Good):
    def __deepcopy__(self, memo: dict[int, Any]) -> CopiesOnlyTheShell:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        return clone


class HoldsALambda(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.twice = lambda x: 2 * x

    def __deepcopy__(self, memo: dict[int, Any]) -> HoldsALambda:
        clone = HoldsALambda(self.conv.in_channels, self.lin.out_features)
        clone.load_state_dict(self.state_dict())
        return clone


class StageThatIsNot(Good):
    stages = ("act", "akt2")


class StageOfVectors(Good):
    stages = ("lin",)


class StageNeverCalled(Good):
    stages = ("idle",)

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.idle = nn.ReLU()


class PoolWithoutIndices(Good):
    scale_pools = ("act",)


class PoolOfFractions(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = Fractions()


class Fractions(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x) / 2


class PoolOfTheBatch(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = OneForAll()


class OneForAll(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x).amax((0, 2, 3))


class PoolBelowZero(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = Below()


class Below(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x) - 1


BROKEN: dict[type[nn.Module], tuple[str, str]] = {
    RaisesWhenBuilt: ("builds", r"cannot be built: RuntimeError: out of ideas \(test_testing.py, line \d+\)"),
    EndsTheProgram: ("builds", r"SystemExit: 3 \(test_testing.py, line \d+\)"),
    MapsForGray: ("gray", r"\[2, 10, 1\] for 2 images of 10 classes; logits are \[2, 10\]"),
    OverflowsOnGray: ("gray", "not finite"),
    GrayOnly: ("colour", "expected input.* to have 1 channels, but got 3 channels"),
    TenClassesOnly: ("colour", r"\[2, 10\] for 2 images of 4 classes"),
    Frozen: ("trainable", "nothing to train"),
    UnusedParameter: ("gradients", "no gradient reaches spare"),
    RootOfZero: ("gradients", "gradients of gain are not finite"),
    Detached: ("gradients", "all gradients are zero"),
    WritesToItsInput: ("images_kept", "writes to its input"),
    Unseeded: ("same_seed", "lin.bias differ"),
    OneSeedForAll: ("other_seed", "all seeds give the same"),
    DropoutAlways: ("repeatable", "other logits the second time"),
    CountsItsCalls: ("state_kept", "an evaluation changes calls"),
    BackToTraining: ("state_kept", "an evaluation puts act into training mode"),
    MoreThreads: ("settings_kept", "it changes torch's number of threads"),
    CentresTheBatch: ("batch_independence", "depend on the others"),
    WeightOutsideTheState: ("state_dict", "a loaded state_dict does not give the same logits"),
    TextInTheState: ("state_dict", "_extra_state of the state_dict is no tensor"),
    SinglePrecisionOnly: ("float64", "should be the same"),
    SinglePrecisionInside: ("float64", "logits in float64 are others"),
    CopiesOnlyTheShell: ("deepcopy", "shares conv.weight, conv.bias, lin.weight, lin.bias"),
    HoldsALambda: ("pickle", "lambda"),
    StageThatIsNot: ("stages", "unknown submodule 'akt2'. Did you mean 'act'"),
    StageOfVectors: ("stages", r"stage 'lin' gives \[2, 10\]"),
    StageNeverCalled: ("stages", "stage 'idle' is not called"),
    PoolWithoutIndices: ("scale_pools", r"'act' has no method scale_indices\(x\)"),
    PoolOfFractions: ("scale_pools", "torch.float32, not whole numbers"),
    PoolOfTheBatch: ("scale_pools", r"gives \[4\], not one index for each channel or pixel"),
    PoolBelowZero: ("scale_pools", "-1 to 0"),
}


def test_the_good_one_passes_everything() -> None:
    assert {result.status for result in testing.conformance(Good)} == {"passed"}
    testing.assert_conforms(Good)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_model_fails_exactly_its_check(broken: type[nn.Module]) -> None:
    check, message = BROKEN[broken]
    failed = [result for result in testing.conformance(broken) if result.status == "failed"]
    assert [result.check for result in failed] == [check]
    assert "\n" not in failed[0].detail
    with pytest.raises(AssertionError, match=message):
        testing.assert_conforms(broken)


def test_what_a_model_does_to_torch_does_not_outlive_its_check() -> None:
    class Spoils(Good):
        def forward(self, x: Tensor) -> Tensor:
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            return super().forward(x)

    failed = {result.check: result.detail for result in testing.conformance(Spoils) if result.status == "failed"}
    assert "torch's default dtype, gradient mode" in failed["settings_kept"]
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


def test_every_check_has_a_model_that_fails_it() -> None:
    assert {check for check, _ in BROKEN.values()} == set(testing.CHECKS)


def test_what_needs_a_failed_check_is_skipped() -> None:
    results = {result.check: result for result in testing.conformance(MapsForGray)}
    assert results["deepcopy"] == testing.Result("deepcopy", "skipped", "needs repeatable", needs="repeatable")
    assert results["trainable"].status == "passed"


def test_nothing_declared_is_no_failure() -> None:
    for result in testing.conformance(Good, stages=(), scale_pools=(), checks=("stages", "scale_pools")):
        assert result.status == "skipped"
        assert "none declared" in result.detail


def test_the_complaint_counts_the_checks_that_ran() -> None:
    class Untrained(Good):
        def __init__(self, num_channels: int, num_classes: int):
            super().__init__(num_channels, num_classes)
            self.requires_grad_(False)

    with pytest.raises(AssertionError, match=r"^1 of 2 checks failed:\n  trainable: "):
        testing.assert_conforms(Untrained, checks=("builds", "trainable"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_check_leaves_the_random_state_of_a_gpu() -> None:
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    testing.run_check("builds", testing.subject_of(Good))
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_names_targets_classes_functions_and_modules() -> None:
    def function(num_channels: int, num_classes: int) -> nn.Module:
        return Good(num_channels, num_classes)

    for model in ("standard", "siconvnet.models.standard:Standard", Good, function):
        [builds] = testing.conformance(model, checks=("builds",))
        assert builds.status == "passed"
    assert testing.subject_of("standard").stages == ("act1", "act2")
    assert testing.subject_of(Good).scale_pools == ("pool",)


@pytest.mark.parametrize(("num_channels", "setting"), [(1, "gray"), (3, "colour")])
def test_a_built_module_is_checked_as_it_is(num_channels: int, setting: str) -> None:
    module = Good(num_channels, 7)
    results = {result.check: result for result in testing.conformance(module)}
    assert {name for name, result in results.items() if result.status == "failed"} == set()
    skipped = {name for name, result in results.items() if result.status == "skipped"}
    assert skipped == {"same_seed", "other_seed", "colour" if setting == "gray" else "gray"}
    assert module.training
    assert all(p.dtype == torch.float32 for p in module.parameters())


def test_options_reach_the_factory() -> None:
    seen = {}

    def factory(num_channels: int, num_classes: int, kernel_size: int, width: int) -> nn.Module:
        seen.update(kernel_size=kernel_size, width=width)
        return Good(num_channels, num_classes)

    testing.conformance(factory, checks=("builds",), kernel_size=9, width=5)
    assert seen == {"kernel_size": 9, "width": 5}


def test_what_is_no_model_is_refused() -> None:
    for thing in (3, dict, "tests.nowhere:Net"):
        with pytest.raises(InvalidArgument):
            testing.conformance(thing)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="neither gray nor colour"):
        testing.conformance(nn.Linear(3, 3))
    with pytest.raises(UnknownName, match="Did you mean 'gray'"):
        testing.conformance(Good, checks=("grey",))


def test_a_head_that_starts_at_zero_passes() -> None:
    def factory(num_channels: int, num_classes: int) -> nn.Module:
        model = Good(num_channels, num_classes)
        nn.init.zeros_(model.lin.weight)
        nn.init.zeros_(model.lin.bias)
        return model

    testing.assert_conforms(factory)


def test_random_state_is_left_as_it_was() -> None:
    module = Good(1, 2)
    before = torch.get_rng_state()
    testing.conformance(DropoutAlways)
    testing.equivariance_error(module)
    assert torch.equal(torch.get_rng_state(), before)


class Pointwise(nn.Module):
    """Commutes with any rescaling but for interpolation: it looks at one pixel at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_equivariance_error_is_zero_for_what_commutes() -> None:
    errors = testing.equivariance_error(lambda x: 2 * x)
    assert list(errors) == list(testing.equivariance_error(Pointwise())) == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert all(error < 1e-20 for error in errors.values())
    assert all(error < 1e-10 for error in testing.equivariance_error(Pointwise()).values())
    testing.assert_equivariant(Pointwise(), tolerance=1e-10)


def test_equivariance_error_by_hand() -> None:
    # The mean of an image shrunk to a factor s about the centre is s^2 of the mean, so Delta = (1 - s^2)^2.
    errors = testing.equivariance_error(lambda x: x.mean((2, 3)), factors=(0.8, 0.5))
    assert errors == pytest.approx({factor: (1 - factor**2) ** 2 for factor in (0.8, 0.5)}, rel=0.05)


def test_equivariance_error_sees_what_does_not_commute() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(1, 8, 9, padding=4, bias=False)
    errors = testing.equivariance_error(plain, factors=(0.9, 0.5))
    assert 0 < errors[0.9] < errors[0.5]
    with pytest.raises(AssertionError, match=r"above 0.001 \(factor: error\): 0.9: 0\.\d+, 0.5: \d"):
        testing.assert_equivariant(plain, tolerance=1e-3, factors=(0.9, 0.5))


def test_an_error_that_is_no_number_is_not_equivariance() -> None:
    with pytest.raises(AssertionError, match="nan"):
        testing.assert_equivariant(lambda x: 0 * x)


def test_equivariance_error_keeps_mode_and_precision() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout(0.5)).train()
    images = torch.rand(2, 3, 64, 64)
    one, two = (testing.equivariance_error(module, images, factors=(0.5,)) for _ in range(2))
    assert one == two
    assert module.training
    assert testing.equivariance_error(module, num_channels=3, factors=(0.5,))


def test_equivariance_error_needs_a_factor() -> None:
    with pytest.raises(InvalidArgument, match="factors"):
        testing.equivariance_error(Pointwise(), factors=())
    with pytest.raises(InvalidArgument, match="border must be 0 or more"):
        testing.equivariance_error(nn.Identity(), border=-1)
    with pytest.raises(InvalidArgument, match="outside 0 < s <= 1"):
        testing.equivariance_error(Pointwise(), factors=(2.0,))


def test_smooth_images() -> None:
    images = testing.smooth_images(3, 2)
    assert images.shape == (3, 2, 64, 64)
    assert 0 <= images.min() < images.max() <= 1
    assert not images[..., 0, :].any() and not images[..., -1].any()
    assert torch.equal(images, testing.smooth_images(3, 2))
    assert not torch.equal(images, testing.smooth_images(3, 2, seed=1))


def test_cost_counts_parameters_and_grows_with_the_work() -> None:
    small = testing.training_cost(Good(1, 10), 1, 10, batch_size=2, repeats=1)
    large = testing.training_cost(Good(1, 10), 1, 10, batch_size=8, repeats=1)
    assert small.parameters == 4 * 25 + 4 + 4 * 10 + 10
    assert small.seconds > 0
    # Each image keeps at least the 60 x 60 maps of its four channels.
    assert large.peak_bytes - small.peak_bytes >= 6 * 4 * 60 * 60 * 4


def test_bytes_of_tensors_are_those_held_at_once() -> None:
    with TensorBytes() as held:
        one = torch.zeros(1000)
        two = one + 1
        assert held.now == 8000
        del one
        assert held.now == 4000
        two.add_(1)
        view = two.view(10, 100)
        assert held.now == 4000
        three = [view * 2, view * 3]
        del three, two
        assert held.now == 4000
        del view
        assert held.now == 0
    assert held.peak == 12000


def test_bytes_of_tensors_do_not_count_what_was_there() -> None:
    outside = torch.zeros(1000)
    with TensorBytes() as held:
        outside.add_(1)
        outside.view(10, 100)
    assert held.peak == 0


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.rand(1, 64, 64), r"\[1, 64, 64\]"),
        (torch.rand(0, 1, 64, 64), r"\[0, 1, 64, 64\]"),
        (torch.zeros(1, 1, 64, 64, dtype=torch.uint8), ".*uint8"),
        (torch.rand(1, 1, 64, 64).numpy(), "ndarray"),
    ],
)
def test_images_of_another_kind_are_refused(images: Any, found: str) -> None:
    with pytest.raises(InvalidArgument, match=f"images are {found}.*not a tensor"):
        testing.equivariance_error(nn.Identity(), images)


def test_one_name_is_not_its_letters() -> None:
    [result] = testing.conformance("standard", stages="act1", checks="stages")
    assert result.status == "passed" and result.detail.startswith("act1 [16, ")


def test_what_is_no_subject_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="an object of str cannot be checked; give it to subject_of first"):
        testing.run_check("gray", "standard")  # type: ignore[arg-type]
