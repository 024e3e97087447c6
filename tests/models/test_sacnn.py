"""Scale-adaptive convolution: what its candidates are, which of them is chosen, and what can be seen of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import siconvnet
from siconvnet.datasets import load_dataset
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import plain
from siconvnet.layers import SacnnConv2d
from siconvnet.layers.sacnn import GAIN, odd_size
from siconvnet.metrics.indices import scale_indices, selection_consistency
from siconvnet.models.stir.sacnn import _FACTORS

FACTORS = (1.0, 2.0)


def layer(select: str = "max", num_bases: int = 1, **options) -> SacnnConv2d:
    torch.manual_seed(0)
    return SacnnConv2d(2, 3, 5, FACTORS, num_bases, select=select, **options).double()


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 2, 20, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_hand(conv: SacnnConv2d, x: Tensor) -> Tensor:
    """All candidates, one convolution each: base kernels slow, scales fast."""
    found = []
    for base in range(conv.weight.shape[1]):
        for factor in conv.factors:
            side = odd_size(conv.kernel_size, factor)
            kernel = F.interpolate(conv.weight[:, base], size=(side, side), mode="bicubic", align_corners=False)
            kernel = kernel * (conv.kernel_size / side) ** 2
            found.append(F.conv2d(x, kernel, conv.bias[:, base], padding=side // 2))
    return torch.stack(found, 2)


@pytest.mark.parametrize(
    ("size", "factor", "side"), [(7, 1, 7), (7, 2, 15), (7, 4, 29), (3, 1.5, 5), (5, 0.5, 3), (3, 0.1, 1)]
)
def test_sides_are_odd_and_near(size, factor, side):
    assert odd_size(size, factor) == side
    assert abs(side - size * factor) <= 1


def test_sides_of_the_network():
    assert [odd_size(7, factor) for factor in _FACTORS] == [7, 9, 15, 19, 29]


@pytest.mark.parametrize("num_bases", [1, 3])
def test_candidates_are_rescaled_kernels_on_padded_input(num_bases):
    conv = layer(num_bases=num_bases)
    found = plain.scale_candidates(images(), conv.weight, conv.bias, conv.sides, "bicubic")
    assert found.shape == (2, 3, num_bases * 2, 20, 20)
    torch.testing.assert_close(found, by_hand(conv, images()))


@pytest.mark.parametrize("num_bases", [1, 2])
def test_max_passes_on_the_map_with_the_largest_response(num_bases):
    conv = layer(num_bases=num_bases)
    x = images()
    candidates, found, indices = by_hand(conv, x), conv(x), conv.scale_indices(x)
    for image in range(2):
        for channel in range(3):
            best = int(candidates[image, channel].flatten(1).max(1).values.argmax())
            torch.testing.assert_close(found[image, channel], candidates[image, channel, best])
            assert indices[image, channel] == best % 2


@pytest.mark.parametrize("num_bases", [1, 2])
def test_attention_is_the_mean_weighted_by_a_softmax_over_peaks(num_bases):
    conv = layer("attention", num_bases)
    with torch.no_grad():
        conv.attention.weight.add_(torch.randn_like(conv.attention.weight))
        conv.attention.bias.add_(torch.randn_like(conv.attention.bias))
    x = images()
    candidates = by_hand(conv, x)
    scores = candidates.flatten(3).max(3).values @ conv.attention.weight.T + conv.attention.bias
    weights = scores.exp() / scores.exp().sum(2, keepdim=True)
    torch.testing.assert_close(conv(x), (candidates * weights[..., None, None]).sum(2))
    assert torch.equal(conv.scale_indices(x), weights.argmax(2) % 2)


def test_attention_starts_as_the_soft_form_of_max():
    hard, soft = layer(), layer("attention")
    assert torch.equal(hard.weight, soft.weight)
    assert torch.equal(hard.scale_indices(images()), soft.scale_indices(images()))
    with torch.no_grad():
        soft.attention.weight.mul_(1e6)
    torch.testing.assert_close(soft(images()), hard(images()))


@pytest.mark.parametrize("name", ["sacnn_s_at", "sacnn_m_at"])
def test_attention_does_not_start_as_a_mean_of_all(name):
    """Half-way to a choice on real images; with a gain of 1 every candidate would weigh about the same."""
    torch.manual_seed(1)
    conv = siconvnet.create_model(name, num_channels=1, num_classes=36).conv1
    x = torch.from_numpy(load_dataset("emoji").select("train", [40]).images[:8])
    with torch.no_grad():
        scores = conv.attention(conv._candidates(x).peaks)
    largest, gentle = (part.softmax(2).max(2).values.mean() for part in (scores, scores / GAIN))
    uniform = 1 / scores.shape[2]
    assert largest > 1.8 * uniform and gentle < 1.5 * uniform


def test_of_equals_the_first_is_chosen():
    conv = layer(num_bases=2)
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.zero_()
    assert not conv.scale_indices(images()).any()


@pytest.mark.parametrize("select", ["max", "attention"])
def test_the_chosen_scale_follows_the_size_of_a_blob(select):
    conv = SacnnConv2d(1, 1, 7, _FACTORS, select=select).double()
    blob = blobs([2.0], 7)
    with torch.no_grad():
        conv.weight.copy_(blob - blob.mean())
        conv.bias.zero_()
    winners = conv.scale_indices(blobs([1.0, 2.0, 3.0, 5.0, 8.0], 64))
    assert winners.flatten().tolist() == [0, 1, 2, 3, 4]


def blobs(widths: list[float], side: int) -> Tensor:
    along = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    profiles = [(-along.square() / (2 * width**2)).exp() for width in widths]
    return torch.stack([profile[:, None] * profile for profile in profiles])[:, None]


@pytest.mark.parametrize("select", ["max", "attention"])
def test_half_precision_and_autocast(select):
    conv = SacnnConv2d(2, 3, 5, FACTORS, select=select)
    x = images().float()
    expected = conv(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = conv(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)  # the attention's linear map follows autocast
    found.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in conv.parameters())
    assert conv.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("select", ["max", "attention"])
def test_gradients_are_those_of_finite_differences(select):
    conv = SacnnConv2d(1, 2, 3, FACTORS, 2, select=select).double()
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, (x,))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((1, 1, 4, FACTORS), {}, InvalidArgument, "odd"),
        ((0, 1, 3, FACTORS), {}, InvalidArgument, "at least 1"),
        ((1, 1, 3, FACTORS), {"num_bases": 0}, InvalidArgument, "at least 1"),
        ((1, 1, 3, ()), {}, InvalidArgument, "factors"),
        ((1, 1, 3, (1.0, -2.0)), {}, InvalidArgument, "positive"),
        ((1, 1, 3, FACTORS), {"select": "attenton"}, UnknownName, "Did you mean 'attention'"),
        ((1, 1, 3, FACTORS), {"interp_mode": "cubic"}, UnknownName, "Did you mean 'bicubic'"),
    ],
)
def test_nonsense_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        SacnnConv2d(*arguments, **options)


def test_other_channels_are_refused():
    with pytest.raises(InvalidArgument, match=r"expected an input \[B, 2, H, W\], got \[1, 3, 8, 8\]"):
        layer()(torch.zeros(1, 3, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("sacnn_s_mp", 27_108), ("sacnn_s_at", 27_168), ("sacnn_m_mp", 53_028), ("sacnn_m_at", 53_248)],
)
def test_networks_are_those_of_the_grid(name, parameters):
    model = siconvnet.create_model(name, num_channels=1, num_classes=36)
    assert sum(p.numel() for p in model.parameters()) == parameters  # standard has 27,108
    info = siconvnet.model_info(name)
    assert (info.stages, info.scale_pools) == (("act1", "act2"), ("conv1", "conv2"))
    assert info.uses_kernel_size
    assert info.uses_interpolation


@pytest.mark.parametrize("name", ["sacnn_s_mp", "sacnn_s_at"])
def test_kernel_selection_consistency_applies(name):
    torch.manual_seed(1)
    model = siconvnet.create_model(name, num_channels=1, num_classes=36)
    subset = load_dataset("emoji").select("test", [17, 64])
    rows = [0, 1, 36, 37]  # two icons at two sizes
    [found] = scale_indices(model, subset.images[rows], ("conv1", "conv2"))
    assert {pool: indices.shape for pool, indices in found.items()} == {"conv1": (4, 16), "conv2": (4, 32)}
    assert (
        selection_consistency(found["conv1"], subset.scales[rows]) == (found["conv1"][:2] == found["conv1"][2:]).mean()
    )
    if model.conv1.attention is not None:
        with torch.no_grad():
            model.conv1.attention.bias[1] = 1e6
        [fixed] = scale_indices(model, subset.images[rows], ("conv1",))
        assert selection_consistency(fixed["conv1"], subset.scales[rows]) == 1
        assert (fixed["conv1"] == 1).all()
