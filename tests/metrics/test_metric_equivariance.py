"""The vectorised error against one image at a time, and against maps whose error is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.protocol import SCENARIOS
from siconvnet import create_model
from siconvnet.datasets import load_dataset
from siconvnet.metrics import NotMeasurable
from siconvnet.metrics.equivariance import (
    PAIRS,
    PUBLISHED_PAIRS,
    common_sides,
    crop,
    equivariance_errors,
    pairs_outside,
    relative_error,
    without_scales,
)


@pytest.fixture(scope="module")
def emoji():
    return load_dataset("emoji")


@pytest.fixture(scope="module")
def standard() -> nn.Module:
    torch.manual_seed(0)
    return create_model("standard", num_channels=1, num_classes=36)


def one_by_one(model: nn.Module, dataset, stage: str, factor: float) -> np.ndarray:
    """The formula of the paper, an object and a pair at a time, with plain slices."""
    errors = np.empty((dataset.num_classes, dataset.num_instances, len(PAIRS)))
    kept = {}
    handle = dict(model.named_modules())[stage].register_forward_hook(lambda m, i, o: kept.update(map=o))
    per_scale = {scale: dataset.select("test", [scale]) for pair in PAIRS for scale in pair}
    with torch.no_grad():
        for number in range(dataset.num_classes * dataset.num_instances):
            for place, pair in enumerate(PAIRS):
                cut = []
                for scale in pair:
                    model(torch.from_numpy(per_scale[scale].images[number : number + 1]) * factor)
                    feature = kept["map"][0]
                    side = scale - (64 - feature.shape[-1])
                    left, top = per_scale[scale].positions[number]
                    cut.append(feature[:, top : top + side, left : left + side])
                ref, other = cut
                resized = functional.interpolate(other[None], size=ref.shape[-2:], mode="bicubic")[0]
                error = torch.linalg.vector_norm(ref - resized) ** 2 / torch.linalg.vector_norm(ref) ** 2
                errors[divmod(number, dataset.num_instances)][place] = error
    handle.remove()
    return errors


@pytest.mark.parametrize("published", [False, True], ids=["0..1", "0..255"])
@pytest.mark.parametrize("stage", ["act1", "act2"])
def test_equals_the_paper_one_image_at_a_time(emoji, standard, stage, published):
    found = equivariance_errors(standard, emoji, [stage], published_input_range=published, batch_size=7)[stage]
    assert found.shape == (36, 1, 6)
    expected = one_by_one(standard, emoji, stage, 255.0 if published else 1.0)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_the_input_range_matters(emoji, standard):
    """A bias counts for nothing beside inputs of 0..255: the published figures are not those of the trained range."""
    ours = equivariance_errors(standard, emoji, ["act2"])["act2"]
    published = equivariance_errors(standard, emoji, ["act2"], published_input_range=True)["act2"]
    assert abs(ours / published - 1).max() > 0.05


class Pointwise(nn.Module):
    """Equivariant to scale as far as pixels allow: each works for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(1, 4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(x)


class Positional(Pointwise):
    """Not equivariant: what it gives depends on where a pixel is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(64, 64, generator=torch.Generator().manual_seed(1))
        return self.map(x + 4 * noise)


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).amax(dim=(2, 3))


def test_a_pointwise_map_has_a_small_error_and_a_positional_one_a_large(emoji):
    good = equivariance_errors(Wrapped(Pointwise()), emoji, ["inner"])["inner"]
    bad = equivariance_errors(Wrapped(Positional()), emoji, ["inner"])["inner"]
    assert good.mean() < 0.2 < bad.mean()


class MovesAlongTheScaleAxis(Pointwise):
    """The maps lie at one of two scales, at the next call at the other: ``[B, 1, H, W] -> [B, 4, 2, H, W]``."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        maps = self.map(x).abs()
        both = [maps, torch.zeros_like(maps)]
        return torch.stack(both if self.calls % 2 else both[::-1], 2)


def test_of_a_scale_axis_the_maximum_is_measured(emoji):
    emoji = Few(emoji)
    torch.manual_seed(0)
    moving = Wrapped(MovesAlongTheScaleAxis())
    torch.manual_seed(0)
    flat = Wrapped(nn.Sequential(Pointwise(), Absolute()))
    expected = equivariance_errors(flat, emoji, ["inner"])["inner"]
    np.testing.assert_array_equal(equivariance_errors(moving, emoji, ["inner"])["inner"], expected)
    # Negative control: scale by scale, the maps of the two sizes have nothing in common.
    by_scale = Wrapped(nn.Sequential(MovesAlongTheScaleAxis(), nn.Flatten(1, 2)))
    assert equivariance_errors(by_scale, emoji, ["inner"])["inner"].min() >= 1 > 9 * expected.mean()
    maps = torch.rand(2, 3, 4, 5, 5)
    assert torch.equal(without_scales(maps)[1, 2], maps[1, 2].max(0).values)
    assert torch.equal(without_scales(maps[:, :, 0]), maps[:, :, 0])


class Absolute(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs()


@pytest.mark.parametrize("name", ["hermite", "disco"])
def test_stages_of_steerable_networks(emoji, name):
    """Their maps have four scales; an object of 17 pixels leaves 3 pixels of the first and none of the second map."""
    torch.manual_seed(0)
    model = create_model(name, num_channels=1, num_classes=36)
    errors = equivariance_errors(model, Few(emoji), ["act1", "act2"])
    assert np.isfinite(errors["act1"]).all()
    assert np.isfinite(errors["act2"][..., :4]).all() and np.isnan(errors["act2"][..., 4:]).all()


class Few:
    """The first objects of a dataset."""

    def __init__(self, dataset) -> None:
        self.dataset, self.num_classes, self.num_instances = dataset, 2, 1

    def select(self, split, scales):
        subset = self.dataset.select(split, scales)
        return type(subset)(*(array[:2] for array in vars(subset).values()))


def test_equal_maps_have_no_error_and_a_zero_map_none_at_all():
    maps = torch.rand(2, 3, 8, 8)
    np.testing.assert_allclose(relative_error(maps, maps), 0, atol=1e-10)
    np.testing.assert_allclose(relative_error(maps, torch.zeros(2, 3, 5, 5)), 1)
    assert relative_error(torch.zeros(2, 3, 8, 8), maps).isnan().all()


def test_crop_takes_left_from_the_first_and_top_from_the_second():
    maps = torch.arange(2 * 58 * 58, dtype=torch.float32).reshape(2, 1, 58, 58)
    cut = crop(maps, np.array([[3, 10], [0, 0]]), 14, 9)
    assert cut.shape == (2, 1, 14, 9)
    assert torch.equal(cut[0, 0], maps[0, 0, 10:24, 3:12])


def test_a_map_holds_less_of_an_object_by_what_the_canvas_lost():
    inside = [np.array([[0, 0]]), np.array([[3, 10]])]
    assert common_sides(inside, (64, 49), 64).tolist() == [[[64, 64], [49, 49]]]
    assert common_sides(inside, (64, 49), 58).tolist() == [[[58, 58], [43, 43]]]
    assert common_sides(inside, (64, 49), 15).tolist() == [[[0, 0], [0, 0]]]


class Upright:
    """One object three times as high as wide, at the right edge, so that its square box leaves the canvas."""

    num_classes = num_instances = 1

    def select(self, split, scales):
        (scale,) = scales
        width = round(scale / 3)
        along = torch.linspace(0, 3, scale)[:, None] + torch.linspace(0, 1, width)
        image = torch.zeros(1, 1, 64, 64)
        image[0, 0, :scale, 64 - width :] = 1.5 + torch.sin(2 * along)
        return SimpleNamespace(images=image.numpy(), positions=np.array([[64 - width, 0]]))


def test_of_an_oblong_object_the_part_on_the_canvas_is_compared():
    upright = Upright()
    sides = common_sides([upright.select("test", [scale]).positions for scale in (64, 49)], (64, 49), 64)
    assert sides.tolist() == [[[21, 64], [16, 49]]]
    errors = equivariance_errors(Wrapped(Pointwise()), upright, ["inner"])["inner"]
    assert errors.max() < 0.01
    # Negative control: what is not equivariant.
    bad = equivariance_errors(Wrapped(Positional()), upright, ["inner"])["inner"]
    assert bad.min() > 0.05


def test_pairs_outside_the_training_range():
    assert pairs_outside(range(17, 33)) == [0, 1, 2, 3]
    assert pairs_outside(range(33, 49)) == [0, 1, 4, 5]
    assert pairs_outside(range(49, 65)) == [2, 3, 4, 5]
    assert pairs_outside(range(17, 65)) == [0, 1, 2, 3, 4, 5]


def test_the_published_choice_of_pairs_exchanges_two_scenarios():
    outside = {number: tuple(pairs_outside(scenario.train_scales)) for number, scenario in SCENARIOS.items()}
    assert outside == {**PUBLISHED_PAIRS, 1: PUBLISHED_PAIRS[3], 3: PUBLISHED_PAIRS[1]}


def test_models_without_one_map_give_a_reason(emoji):
    model = create_model("conv3d", num_channels=1, num_classes=36)
    with pytest.raises(NotMeasurable, match="no stage"):
        equivariance_errors(model, emoji, ())


def test_a_stage_of_another_shape_gives_a_reason(emoji, standard):
    linear = [name for name, module in standard.named_modules() if isinstance(module, nn.Linear)]
    with pytest.raises(NotMeasurable, match="not square maps"):
        equivariance_errors(standard, emoji, linear)


def test_an_object_too_small_for_the_map_is_unknown_and_the_others_are_not(emoji):
    """Two unpadded kernels of 15 pixels leave nothing of an object of 17."""
    model = create_model("sesn", num_channels=1, num_classes=36)
    errors = equivariance_errors(model, emoji, ["act2"])["act2"]
    assert np.isnan(errors[..., 4:]).all()
    assert np.isfinite(errors[..., :4]).all()


def test_the_model_is_left_as_it_was(emoji, standard):
    standard.train()
    equivariance_errors(standard, emoji, ["act1"])
    assert standard.training
    assert not dict(standard.named_modules())["act1"]._forward_hooks
