"""Winning scales of real poolings, and statistics on winners that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from siconvnet import create_model, list_models, model_info
from siconvnet.datasets import load_dataset
from siconvnet.metrics import NotMeasurable
from siconvnet.metrics.indices import most_frequent, pearson_r, per_channel, scale_indices, selection_consistency

SCALES = np.repeat(np.arange(17, 65), 3)


def test_r_is_that_of_numpy():
    values = np.random.default_rng(0).normal(size=(len(SCALES), 4)) + SCALES[:, None] / 20
    r = pearson_r(values, SCALES)
    assert r.shape == (3, 4)
    for item in range(3):
        for channel in range(4):
            expected = np.corrcoef(values[item::3, channel], np.arange(17, 65))[0, 1]
            assert r[item, channel] == pytest.approx(expected)


def test_r_of_a_winner_that_follows_is_one_and_of_a_constant_unknown():
    values = np.stack([SCALES * 0.5, -SCALES, np.full(len(SCALES), 4.0)], axis=1)
    r = pearson_r(values, SCALES)
    np.testing.assert_allclose(r[:, 0], 1)
    np.testing.assert_allclose(r[:, 1], -1)
    assert np.isnan(r[:, 2]).all()


def test_selection_consistency():
    steady = np.tile(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint8), (48, 1))
    assert selection_consistency(steady, SCALES) == 1
    changed = steady.copy()
    changed[7, 1] = 9
    assert selection_consistency(changed, SCALES) == pytest.approx(5 / 6)


def test_pixels_are_reduced_to_channels():
    maps = np.zeros((1, 2, 2, 2), dtype=np.uint8)
    maps[0, 0] = [[3, 3], [3, 7]]
    maps[0, 1] = [[5, 5], [2, 2]]
    np.testing.assert_array_equal(most_frequent(maps), [[3, 2]])
    np.testing.assert_allclose(per_channel(maps), [[4, 3.5]])


def test_between_two_batches_the_model_and_torch_are_as_they_were():
    model = create_model("energy_pool", num_channels=1, num_classes=36)
    images = load_dataset("emoji").select("test", [40]).images[:2]
    batches = scale_indices(model, images, model_info("energy_pool").scale_pools, batch_size=1)
    next(batches)
    assert model.training and not torch.is_inference_mode_enabled()
    assert not any(module._forward_hooks for module in model.modules())
    assert len(list(batches)) == 1


@pytest.mark.parametrize("name", ["slice_pool", "pixel_pool", "energy_pool", "sesn"])
def test_indices_of_a_model_are_those_of_its_poolings(name):
    torch.manual_seed(0)
    model = create_model(name, num_channels=1, num_classes=36)
    images = load_dataset("emoji").select("test", [40]).images[:3]
    pools = model_info(name).scale_pools
    batches = list(scale_indices(model, images, pools, batch_size=2))
    assert [len(batch[pools[0]]) for batch in batches] == [2, 1]
    seen = {}
    module = dict(model.named_modules())[pools[1]]
    handle = module.register_forward_hook(lambda m, given, out: seen.update(x=given[0]))
    with torch.no_grad():
        model(torch.from_numpy(images))
    handle.remove()
    found = np.concatenate([batch[pools[1]] for batch in batches])
    # Another batch size rounds otherwise, which decides near ties otherwise.
    assert (found != module.scale_indices(seen["x"]).numpy()).mean() < 1e-3
    assert found.shape[:2] == (3, 32)


def test_every_model_has_poolings_or_gives_a_reason():
    images = load_dataset("emoji").select("test", [40]).images[:1]
    without = [name for name in list_models(study="stir") if not model_info(name).scale_pools]
    assert "standard" in without
    for name in without:
        model = create_model(name, num_channels=1, num_classes=36)
        with pytest.raises(NotMeasurable, match="no pooling over scales"):
            next(scale_indices(model, images, ()))
