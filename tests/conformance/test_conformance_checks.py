"""The checks that every method must pass, each with a model that it must refuse."""

from __future__ import annotations

import pytest
import torch
from broken_models import BROKEN, DropoutAlways, Good, MapsForGray
from torch import Tensor, nn

from siconvnet import testing
from siconvnet.errors import InvalidArgument, UnknownName


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

    for model in ("standard", "siconvnet.models.stir.standard:Standard", Good, function):
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
    before = torch.get_rng_state()
    testing.conformance(DropoutAlways)
    assert torch.equal(torch.get_rng_state(), before)


def test_one_name_is_not_its_letters() -> None:
    [result] = testing.conformance("standard", stages="act1", checks="stages")
    assert result.status == "passed" and result.detail.startswith("act1 [16, ")


def test_what_is_no_subject_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="an object of str cannot be checked; give it to subject_of first"):
        testing.run_check("gray", "standard")  # type: ignore[arg-type]
