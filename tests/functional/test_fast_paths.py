"""Every fast path gives the numbers of the plain one: values, gradients, winners, ties included."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from comparing import MODES, assert_same, dense, sparse, tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.functional import conv, costs, plain, spectral
from siconvnet.functional.correlation import Correlation
from siconvnet.layers.xu import XuConv2d

NUMBERS_A_PLACE = conv._NUMBERS_A_PLACE
IS_SMALL, GAINS_BY_PARTS = costs.is_small, costs.gains_by_parts
pytestmark = pytest.mark.usefixtures("few_are_few")

POOLS = [None, "pixel", "slice", "energy"]


def scale_conv(num_scales, mode, pool, **options):
    if pool is None:
        return lambda x, w, b: functional.scale_conv2d(x, w, b, num_scales, mode, **options)
    return lambda x, w, b: functional.scale_conv_pool2d(x, w, b, num_scales, mode, pool, **options)


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel_size", [3, 7, 11, 15])
def test_scale_convolution(way, kernel_size, mode, pool, upstream):
    for dtype, channels in ((torch.float64, 1), (torch.float32, 3)):
        side = kernel_size + 11
        inputs = tensors(channels, 4, kernel_size, side, side + 2, dtype)
        assert_same(scale_conv((side - kernel_size) // 2 + 1, mode, pool), inputs, upstream)


@pytest.mark.parametrize("pool", POOLS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scale_convolution_of_any_shape(way, pool, data):
    kernel_size = data.draw(st.sampled_from([1, 3, 5, 7]))
    height, width = (kernel_size + data.draw(st.integers(0, 14)) for _ in range(2))
    padding = data.draw(st.booleans())
    num_scales = data.draw(st.integers(1, 4 if padding else (min(height, width) - kernel_size) // 2 + 1))
    options = {"padding": padding, "stride": data.draw(st.integers(1, 3))}
    torch.manual_seed(data.draw(st.integers(0, 99)))
    inputs = tensors(data.draw(st.integers(1, 3)), 3, kernel_size, height, width, torch.float64)
    function = scale_conv(num_scales, data.draw(st.sampled_from(MODES)), pool, **options)
    assert_same(function, inputs, data.draw(st.sampled_from([dense, sparse])))


@pytest.mark.parametrize("pool", POOLS[1:])
@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0])
def test_an_empty_image_ties_everywhere(way, pool, bias):
    inputs = torch.zeros(2, 1, 16, 16), torch.randn(3, 1, 5, 5), torch.full((3,), bias)
    assert_same(scale_conv(6, "bicubic", pool), inputs, dense)


@pytest.mark.parametrize("pool", POOLS)
def test_bias_may_be_absent(pool):
    x, weight, _ = tensors(2, 3, 3, 12, 12, torch.float64)
    assert_same(lambda x, w: scale_conv(5, "bicubic", pool)(x, w, None), (x, weight), dense)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_the_function(way, pool, mode):
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((1, 2, 7, 7), (2, 2, 3, 3), (2,))
    )

    def function(*inputs):
        out = scale_conv(3, mode, pool)(*inputs)
        return out[0] if pool else out

    assert torch.autograd.gradcheck(function, (x, weight, bias))
    if mode == "bicubic":
        assert torch.autograd.gradgradcheck(function, (x, weight, bias))


@pytest.mark.parametrize("pool", POOLS)
def test_inputs_that_need_no_gradient_get_none(pool):
    x, weight, bias = tensors(1, 2, 3, 9, 9, torch.float32)
    weight.requires_grad_()
    out = scale_conv(3, "bicubic", pool)(x, weight, bias)
    (out[0] if pool else out).sum().backward()
    assert weight.grad is not None and x.grad is None and bias.grad is None


CONVOLUTIONS = [
    # batch, channels, out, kernel, side, padding, groups
    (2, 3, 4, 3, 9, 0, 1),
    (2, 4, 6, 5, 12, 2, 2),
    (3, 1, 8, 7, 20, 3, 1),
    (8, 8, 8, 15, 40, 0, 2),
    (8, 4, 8, 21, 44, 6, 1),
]


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("shape", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_convolution(way, shape, upstream, dtype):
    batch, channels, out_channels, kernel_size, side, padding, groups = shape
    x, weight, bias = tensors(channels, out_channels, kernel_size, side, side + 1, dtype, batch)
    weight = weight[:, : channels // groups].clone()
    assert_same(lambda x, w, b: functional.conv2d(x, w, b, padding=padding, groups=groups), (x, weight, bias), upstream)


def convolution(
    batch: int, channels: int, out_channels: int, side: int, pixels: int, padding: int = 0
) -> costs.Convolution:
    return costs.Convolution(
        batch, channels, out_channels, 1, pixels, pixels, side, padding,
        stride=1, taps=side, reach=padding, sharing=1,
    )  # fmt: skip


def test_shapes_of_the_models_take_the_way_that_is_faster_there():
    def spectral(*sizes, **options):
        return costs.prefers_spectral(convolution(*sizes), **options)

    assert not spectral(16, 16, 32, 7, 58), "the standard model"
    assert spectral(16, 16, 32, 31, 58), "the second stage of the pooled models"
    assert not spectral(16, 1, 16, 31, 64), "their first stage has one channel"
    assert not spectral(2, 128, 128, 3, 24), "many channels and small kernels"
    assert not spectral(2, 64, 64, 9, 56, 4), "a stage of a ResNet: the spectra of many kernels for few images"
    assert not spectral(2, 64, 64, 9, 56, 4, backward=True)
    assert spectral(128, 32, 64, 13, 14, 6), "many images"


def test_a_rescaled_kernel_costs_what_the_kernel_does_that_it_is_made_from():
    own = convolution(16, 16, 32, 31, 58)
    assert costs._spectral(own._replace(taps=7), costs.FORWARD) < costs._spectral(own, costs.FORWARD)


def test_many_scales_of_few_channels_are_convolved_at_once(monkeypatch):
    monkeypatch.setattr(costs, "gains_by_parts", GAINS_BY_PARTS)

    def gains(batch, channels, pixels, scales, side, sides):
        whole = convolution(batch, channels, channels * scales, side, pixels, side // 2)
        return costs.gains_by_parts(whole, sides)

    assert not gains(2, 1, 56, 29, 9, 29 * (9,)), "eight times slower one by one"
    assert gains(2, 64, 56, 3, 9, (5, 7, 9)), "a stage of a ResNet, with a half of the taps"
    assert gains(16, 16, 58, 4, 15, (7, 9, 11, 15)), "the steerable models of STIR"


def test_what_is_small_is_computed_plainly(monkeypatch):
    monkeypatch.setattr(costs, "is_small", IS_SMALL)
    assert costs.is_small(convolution(2, 3, 3, 3, 28, 1)), "choosing takes a tenth of the time"
    assert not costs.is_small(convolution(16, 16, 32, 7, 58)), "the standard model"
    assert not costs.is_small(convolution(1, 3, 8, 25, 40, 12)), "direct convolution falls behind"
    inputs = [tensor.requires_grad_() for tensor in tensors(2, 3, 3, 12, 12, torch.float32)]
    functions = (
        functional.conv2d,
        scale_conv(3, "area", None),
        lambda *inputs: scale_conv(3, "area", "pixel")(*inputs)[0],
    )
    for function in functions:
        assert_same(function, inputs, dense)
        assert not isinstance(function(*inputs).grad_fn, torch.autograd.function.BackwardCFunction)
    monkeypatch.setattr(costs, "is_small", lambda *convolutions: False)
    for function in functions:
        assert isinstance(function(*inputs).grad_fn, torch.autograd.function.BackwardCFunction)


def test_strided_outputs_are_computed_by_products_and_cost_as_much():
    own = convolution(16, 16, 32, 31, 96, padding=15)
    strided = spectral.maps_cost(48, 48, 128, 128, stride=2)
    assert strided == (128 + 48) * 48 * 65 != spectral.maps_cost(96, 96, 128, 128, stride=1)
    assert costs._direct_forward(own) == 4 * costs._direct_forward(own._replace(stride=2))


def test_which_gradients_are_sparse(monkeypatch):
    monkeypatch.setattr(conv, "_NUMBERS_A_PLACE", NUMBERS_A_PLACE)

    def sparse_enough(share, channels, kernel_size):
        gradient = torch.zeros(100_000)
        gradient[: int(share * len(gradient))] = 1
        return conv.is_sparse(gradient, torch.empty(1, channels, kernel_size, kernel_size))

    assert sparse_enough(1 / 2704, 16, 7), "the standard model: one place of 52 x 52"
    assert not sparse_enough(0.15, 1, 5), "the first layer of ses_vector_28: 25 times as slow as a direct convolution"
    assert not sparse_enough(0.03, 1, 7), "that of ses_scalar_28"
    assert not sparse_enough(1 / 2704, 1024, 7), "patches that would take more memory than they save time"


def test_transforms_are_of_even_lengths_with_small_prime_factors():
    lengths = [spectral.transform_length(side) for side in (1, 2, 7, 58, 64, 78, 92, 101)]
    assert lengths == [2, 2, 8, 60, 64, 80, 96, 108]


def test_fast_transforms_are_for_many_outputs_of_long_ones():
    assert spectral.is_fast(64, 80), "the second stage of SACNN"
    assert not spectral.is_fast(24, 60), "large kernels of the pooled models"
    assert not spectral.is_fast(26, 30), "short ones"


@pytest.mark.parametrize(("length", "kernel", "padding"), [(7, 13, 6), (14, 15, 7), (28, 5, 0), (9, 3, 1), (5, 9, 6)])
def test_taps_on_padding_are_not_counted(length: int, kernel: int, padding: int) -> None:
    counted = torch.nn.functional.conv1d(torch.ones(1, 1, length), torch.ones(1, 1, kernel), padding=padding).sum()
    assert costs._taps(length, kernel, padding) == counted.item()


@pytest.mark.parametrize("backward", [False, True])
def test_small_maps_under_large_kernels_are_convolved_directly(backward: bool) -> None:
    # The last layer of ses_scalar_28, most of whose taps meet nothing but padding, and the one before.
    assert not costs.prefers_spectral(convolution(128, 63, 95, 13, 7, 6), backward=backward)
    assert costs.prefers_spectral(convolution(128, 32, 63, 13, 14, 6), backward=backward)


def test_rounding_opens_no_closed_relu(monkeypatch):
    # A kernel with empty taps over an image with an empty half: exact zeros have to stay exact.
    x, weight, _ = tensors(8, 16, 15, 36, 36, torch.float32, batch=8)
    weight[..., :4, :], weight[..., -4:, :] = 0, 0
    monkeypatch.setattr(costs, "prefers_spectral", lambda convolution, backward=False: True)
    fast, slow = functional.conv2d(x, weight), torch.nn.functional.conv2d(x, weight)
    assert slow.eq(0).any() and torch.equal(fast == 0, slow == 0)


def test_convolution_is_twice_differentiable(way):
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((1, 2, 6, 6), (2, 2, 3, 3), (2,))
    )
    assert torch.autograd.gradcheck(functional.conv2d, (x, weight, bias))
    assert torch.autograd.gradgradcheck(functional.conv2d, (x, weight, bias))


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_conv3d_to_its_maximum(way, dtype, rectify):
    x = torch.randn(2, 3, 6, 14, 15, dtype=dtype)
    for scale in range(6):
        inside = torch.zeros(14, 15, dtype=torch.bool)
        inside[scale : 14 - scale, scale : 15 - scale] = True
        x[:, :, scale, ~inside] = 0
    weight, bias = torch.randn(4, 3, 3, 3, 3, dtype=dtype), torch.randn(4, dtype=dtype)
    assert_same(partial(functional.conv3d_max, rectify=rectify), (x, weight, bias), dense)


def test_conv3d_to_its_maximum_is_twice_differentiable(way):
    x = torch.randn(1, 2, 3, 7, 7, dtype=torch.float64)
    x[:, :, 1:, 0] = x[:, :, 1:, -1] = x[:, :, 1:, :, 0] = x[:, :, 1:, :, -1] = 0
    x[:, :, 2, 1] = x[:, :, 2, -2] = x[:, :, 2, :, 1] = x[:, :, 2, :, -2] = 0
    weight, bias = torch.randn(2, 2, 3, 3, 3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)

    def of_parameters(weight, bias):
        return functional.conv3d_max(x, weight, bias)

    parameters = (weight.requires_grad_(), bias.requires_grad_())
    assert torch.autograd.gradcheck(of_parameters, parameters)
    assert torch.autograd.gradgradcheck(of_parameters, parameters)


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rescaled_inputs(dtype, upstream):
    # No empty background here: there rounding decides which size wins, in either computation.
    x, weight, bias = tensors(3, 4, 5, 20, 24, dtype)
    x = torch.randn_like(x)
    scales = tuple(1.26**exponent for exponent in range(-2, 4))
    assert_same(lambda x, w, b: functional.rescaled_input_conv2d(x, w, b, scales), (x, weight, bias), upstream)


def test_rescaled_inputs_are_twice_differentiable():
    x, weight, bias = tensors(2, 2, 2, 9, 8, torch.float64)
    inputs = tuple(torch.randn_like(tensor).requires_grad_() for tensor in (x, weight, bias))

    def rescaled(x, weight, bias):
        return functional.rescaled_input_conv2d(x, weight, bias, (0.7, 1.0, 1.6))

    assert torch.autograd.gradcheck(rescaled, inputs)
    assert torch.autograd.gradgradcheck(rescaled, inputs)


@pytest.mark.parametrize("upstream", [dense, sparse])
@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("kernel_size", [3, 7, 11])
def test_columns_without_their_empty_taps(kernel_size, initial, upstream):
    layer = XuConv2d(2, 3, kernel_size, [3, 5, 7, 9, 11], initial=initial).double()
    x = torch.randn(2, 2 if initial else 10, 18, 18, dtype=torch.float64)
    assert_same(
        lambda x, weight: torch.func.functional_call(layer, {"weight": weight}, (x,)), (x, layer.weight), upstream
    )


@pytest.mark.parametrize("pool", POOLS)
def test_autocast_and_half_precision_do_not_break_the_fast_paths(pool):
    x, weight, bias = (t.requires_grad_() for t in tensors(1, 4, 5, 16, 16, torch.float32))
    expected = scale_conv(5, "bicubic", pool)(x, weight, bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = scale_conv(5, "bicubic", pool)(x, weight, bias)
        features = functional.conv2d((out[0] if pool else out[:, :, 0]).relu(), torch.randn(2, 4, 3, 3))
        features.flatten(2).max(2).values.sum().backward()
    torch.testing.assert_close(out[0] if pool else out, expected[0] if pool else expected)
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (x, weight, bias))
    half = [t.detach().bfloat16() for t in (x, weight, bias)]
    out = scale_conv(5, "bicubic", pool)(*half)
    assert (out[0] if pool else out).dtype == torch.bfloat16


def test_plain_math_ends_with_its_block():
    with pytest.raises(RuntimeError), functional.plain_math():
        assert functional.plain_requested()
        raise RuntimeError
    assert not functional.plain_requested()


def test_the_comparison_sees_a_wrong_value_gradient_and_winner():
    inputs = tensors(1, 2, 3, 9, 9, torch.float64)

    def pooled(x, weight, bias):
        return functional.scale_conv_pool2d(x, weight, bias, 3, "bicubic", "pixel")

    def wrong_value(*inputs):
        return pooled(*inputs)[0] * (1 if functional.plain_requested() else 1 + 1e-6)

    def wrong_gradient(*inputs):
        value = pooled(*inputs)[0]
        return value if functional.plain_requested() else value * 2 - value.detach()

    def wrong_winner(*inputs):
        value, winner = pooled(*inputs)
        return value, winner + (not functional.plain_requested())

    assert_same(pooled, inputs, dense)
    for wrong in (wrong_value, wrong_gradient, wrong_winner):
        with pytest.raises(AssertionError):
            assert_same(wrong, inputs, dense)


def test_without_the_mask_of_empty_patches_rounding_would_break_ties(monkeypatch):
    inputs = tensors(1, 4, 5, 24, 24, torch.float32)
    monkeypatch.setattr(costs, "prefers_spectral", lambda convolution, backward=False: True)
    everything = lambda self, scale: torch.ones(1, 1, 1, dtype=torch.bool)  # noqa: E731
    monkeypatch.setattr(Correlation, "_covers_something", everything)
    with pytest.raises(AssertionError):
        assert_same(scale_conv(8, "bicubic", "pixel"), inputs, dense)


ALL_POOLS = pytest.mark.parametrize("pool", POOLS)


@ALL_POOLS
def test_an_empty_batch(pool):
    _, weight, bias = tensors(2, 3, 3, 12, 12, torch.float32)
    x = torch.zeros(0, 2, 12, 12, requires_grad=True)
    out = scale_conv(4, "bicubic", pool)(x, weight, bias)
    value = out[0] if pool else out
    assert value.shape[0] == 0
    value.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


@ALL_POOLS
def test_nan_is_not_hidden(way, pool):
    x, weight, bias = tensors(1, 2, 3, 12, 12, torch.float32)
    weight[0, 0, 1, 1] = torch.nan
    out = scale_conv(4, "bicubic", pool)(x, weight, bias)
    assert (out[0] if pool else out)[:, 0].isnan().any()
    with functional.plain_math():
        out = scale_conv(4, "bicubic", pool)(x, weight, bias)
    assert (out[0] if pool else out)[:, 0].isnan().any()


def test_nan_is_not_hidden_by_the_maximum_of_conv3d(way):
    x, weight = torch.rand(2, 3, 5, 9, 9), torch.randn(4, 3, 3, 3, 3)
    weight[1] = torch.nan
    out = functional.conv3d_max(x, weight, torch.zeros(4))
    assert out[:, 1].isnan().all() and out[:, [0, 2, 3]].isfinite().all()
    x[0, 1, 2, 4, 4] = torch.nan
    for rectify in (False, True):
        assert functional.conv3d_max(x, weight, torch.zeros(4), rectify=rectify)[0].isnan().all()


def test_conv3d_over_an_empty_part_is_exactly_the_bias(way):
    # All responses to the bright part are negative, so the maximum is that of the empty one: zero, at the first window.
    x = torch.rand(2, 2, 5, 16, 16)
    x[..., :8] = 0
    assert_same(lambda w: functional.conv3d_max(x, w, torch.zeros(3)), (-torch.rand(3, 2, 3, 3, 3),), dense)
    assert functional.conv3d_max(x, -torch.rand(3, 2, 3, 3, 3), torch.zeros(3)).eq(0).all()


def test_conv3d_takes_any_input(way):
    assert_same(
        functional.conv3d_max,
        (torch.randn(2, 3, 6, 10, 9).double(), torch.randn(4, 3, 3, 3, 3).double(), torch.randn(4).double()),
        dense,
    )


def test_constants_made_in_inference_mode_serve_training():
    x, weight, bias = tensors(2, 4, 5, 20, 24, torch.float32)
    scales = (0.7, 1.0, 1.5)
    functional.clear_caches()
    with torch.inference_mode():
        functional.rescaled_input_conv2d(x, weight, bias, scales)
        functional.scale_conv_pool2d(x, weight, bias, 4, "area", "pixel")
    weight.requires_grad_()
    functional.rescaled_input_conv2d(x, weight, bias, scales).sum().backward()
    functional.scale_conv_pool2d(x, weight, bias, 4, "area", "pixel")[0].sum().backward()
    with functional.plain_math():
        functional.scale_conv_pool2d(x, weight, bias, 4, "area", "pixel")[0].sum().backward()
    assert weight.grad is not None


def test_constants_of_a_trace_do_not_outlive_it():
    from torch._subclasses.fake_tensor import FakeTensorMode

    functional.clear_caches()
    with FakeTensorMode():
        functional.scale_conv2d(torch.rand(2, 1, 12, 12), torch.rand(2, 1, 3, 3), None, 4, "bicubic")
    out = functional.scale_conv2d(torch.rand(2, 1, 12, 12), torch.rand(2, 1, 3, 3), None, 4, "bicubic")
    assert type(out) is torch.Tensor


@ALL_POOLS
def test_functional_transforms_take_the_plain_way(pool):
    x, weight, bias = tensors(1, 2, 3, 9, 9, torch.float64)

    def loss(weight):
        out = scale_conv(3, "bicubic", pool)(x, weight, bias)
        return (out[0] if pool else out).sum()

    expected = torch.autograd.grad(loss(weight.requires_grad_()), weight)[0]
    torch.testing.assert_close(torch.func.grad(loss)(weight.detach()), expected)
    assert torch.func.vmap(loss)(torch.stack([weight.detach()] * 2)).shape == (2,)


@ALL_POOLS
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_forward_mode_takes_the_plain_way(pool):
    x, weight, bias = tensors(1, 2, 3, 12, 12, torch.float64)
    direction = torch.randn_like(weight)

    def pooled(weight):
        out = scale_conv(4, "bicubic", pool)(x, weight, bias)
        out = functional.conv2d((out[0] if pool else out[:, :, 0]).relu(), weight.transpose(0, 1))
        return out.flatten(1).amax(1)

    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(pooled(forward_ad.make_dual(weight, direction)))
    _, expected = torch.func.jvp(pooled, (weight,), (direction,))
    torch.testing.assert_close(found.tangent, expected)
    assert not functional.plain_requested()


@ALL_POOLS
def test_layouts_of_input_and_output(way, pool):
    x, weight, bias = tensors(3, 4, 3, 12, 14, torch.float32)
    strided = x.contiguous(memory_format=torch.channels_last)
    assert_same(scale_conv(4, "bicubic", pool), (strided, weight, bias), dense)
    out = scale_conv(4, "bicubic", pool)(x, weight, bias)
    assert (out[0] if pool else out).is_contiguous()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((torch.rand(1, 1, 12, 12), torch.rand(1, 1, 4, 4), None, 2, "bicubic"), "odd"),
        ((torch.rand(1, 1, 12, 12), torch.rand(1, 1, 3, 5), None, 2, "bicubic"), "square"),
        ((torch.rand(1, 1, 12, 12), torch.rand(1, 1, 3, 3), None, 9, "bicubic"), "at most 5 scales"),
        ((torch.rand(1, 1, 12, 12), torch.rand(1, 1, 3, 3), None, 2, "cubic"), "bicubic"),
    ],
)
def test_bad_input_is_said(arguments, words):
    with pytest.raises(InvalidArgument, match=words):
        functional.scale_conv2d(*arguments)


@pytest.mark.parametrize("pool", ["pixel", "slice"])
def test_of_equal_scales_the_smallest_wins_and_a_nan_is_not_hidden(pool):
    maps = torch.randint(3, (2, 3, 7, 6, 5), generator=torch.Generator().manual_seed(0)).float()
    scores = maps if pool == "pixel" else maps.flatten(3).amax(3)
    _, winner = plain.scale_pool(maps, pool)
    first = (scores == scores.amax(2, keepdim=True)).int().numpy().argmax(2)
    assert winner.numpy().tolist() == first.tolist()
    maps[0, 0, 4, 2, 2] = math.nan
    pooled, winner = plain.scale_pool(maps, pool)
    assert pooled[0, 0, 2, 2].isnan() and winner[0, 0].flatten()[2 * 5 + 2 if pool == "pixel" else 0] == 4
