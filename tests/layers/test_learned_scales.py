"""Scales as parameters: where they start, what they may become, and layers that follow them."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import warnings

import pytest
import torch
import torch.nn.functional as F

from siconvnet.errors import InvalidArgument
from siconvnet.layers import LearnableScales
from siconvnet.layers.learned_scales import (
    ScaleError,
    ScaleWarning,
    check_scales,
    find_parameterisation,
    scale_figures,
    scale_modules,
    scale_parameters,
)
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H
from siconvnet.models import LEARNERS, create_model
from siconvnet.models.mnist_range.scale_probe import ScaleProbe
from siconvnet.scale_starts import PARAMETERISATIONS

BASIS = {"basis_type": "hermite_b", "mult": 1.5, "max_order": 4}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def layers(scales: LearnableScales, ceiling: int = 51, **more: object) -> torch.nn.Sequential:
    shared = {"scales": scales, "padding": ceiling // 2, "bias": True, **BASIS, **more}
    lift = SESConv_Z2_H(1, 3, ceiling, 5, **shared)
    return torch.nn.Sequential(lift, SESConv_H_H(3, 2, 2, ceiling, 5, **shared))


@pytest.mark.parametrize("name", PARAMETERISATIONS)
@pytest.mark.parametrize(("count", "sigma", "isr"), [(2, 1.0, 1.5), (3, 2.0, 3.0), (4, 1.5, 2.0), (5, 0.7, 8.0)])
def test_starts_at_the_stated_range(name, count, sigma, isr):
    scales = LearnableScales(count, name, sigma, isr)
    expected = [sigma * isr ** (i / (count - 1)) for i in range(count)]
    assert scales.values() == pytest.approx(expected, rel=3e-7)
    assert scales.isr == pytest.approx(isr, rel=3e-7)
    assert LearnableScales(count, name, sigma, isr).double().values() == pytest.approx(expected, rel=3e-7)


@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_a_whole_number_of_scales_may_be_a_float(name):
    assert len(LearnableScales(3.0, name).values()) == 3


@pytest.mark.parametrize("name", ["direct", "fixed"])
def test_scales_that_are_the_parameters_do_not_follow_sigma(name):
    scales = LearnableScales(3, name, sigma=1.5)
    with torch.no_grad():
        scales.free[0] = 1.25
    assert scales.values()[0] == 1.25 and scales.sigma == 1.5


@pytest.mark.parametrize(
    ("name", "learn_sigma", "expected"),
    [
        ("isr", None, {"sigma", "free_isr"}),
        ("isr", False, {"free_isr"}),
        ("spacing", True, {"sigma", "free_spacing"}),
        ("direct", None, {"free_direct"}),
        ("fixed", None, set()),
        ("fixed", False, set()),
    ],
)
def test_what_is_learned(name, learn_sigma, expected):
    scales = LearnableScales(3, name, learn_sigma=learn_sigma)
    assert {key for key, _ in scales.named_parameters()} == expected
    assert set(scales.state_dict()) == {"sigma", f"free_{name}"}
    if expected:
        scales().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in scales.parameters())


def test_weights_of_another_parameterisation_are_refused():
    learned = LearnableScales(3, "isr").state_dict()
    LearnableScales(3, "isr", learn_sigma=False).load_state_dict(learned)
    with pytest.raises(RuntimeError, match="free_isr_leaky"):
        LearnableScales(3, "isr_leaky").load_state_dict(learned)


def test_parameterisations_are_those_of_the_paper():
    p = torch.tensor([0.5, 0.3])
    sigma = torch.tensor(2.0)

    def scales(name: str, free: torch.Tensor) -> list[float]:
        return find_parameterisation(name).scales(sigma, free, 3).tolist()

    assert scales("isr", p[0]) == pytest.approx([2, 2 * 1.25, 2 * 1.25**2])
    assert scales("isr_leaky", p[0]) == pytest.approx([2, 2 * 1.5, 2 * 1.5**2])
    assert scales("isr_leaky", -p[0]) == pytest.approx([2, 2 * 0.995, 2 * 0.995**2])
    assert scales("spacing", p) == pytest.approx([2, 2 * 1.25, 2 * 1.25 * 1.09])
    assert scales("spacing_linear", p) == pytest.approx([2, 2 * 1.5, 2 * 1.5 * 1.3])
    assert scales("direct", torch.tensor([1.0, 2.0, 4.0])) == [1, 2, 4]


@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_ascending_by_construction_or_says_why_not(name):
    scales = LearnableScales(4, name)
    for step in range(20):
        with torch.no_grad():
            scales.free.copy_(torch.randn(scales.free.shape, generator=torch.Generator().manual_seed(step)))
        values = scales.values()
        if any(low > high for low, high in itertools.pairwise(values)):
            assert not find_parameterisation(name).caveat.startswith("Ascending by construction")
            assert find_parameterisation(name).caveat or name == "fixed"
            return
    assert find_parameterisation(name).caveat.startswith("Ascending by construction")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"isr": 1.0}, "ISR 1 is not accepted: .* above 1"),
        ({"isr": 0.5}, "above 1"),
        ({"isr": math.nan}, "above 1"),
        ({"isr": math.inf}, "above 1"),
        ({"sigma": 0.0}, "sigma 0 is not accepted"),
        ({"sigma": -2.0}, "sigma -2 is not accepted"),
        ({"sigma": 0.4}, r"at least 0\.5 pixels"),
        ({"num_scales": 1}, "at least 2, not 1"),
        ({"num_scales": 2.5}, r"whole number of scales, at least 2, not 2\.5"),
        ({"parameterisation": "irs"}, "unknown parameterisation 'irs'. Did you mean 'isr'"),
        ({"parameterisation": "fixed", "learn_sigma": True}, "learns nothing"),
        ({"parameterisation": "direct", "learn_sigma": False}, "sigma cannot stay fixed"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        LearnableScales(**{"num_scales": 3, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((math.nan, 1.0), "no finite numbers"),
        ((1.0, math.inf), "no finite numbers"),
        ((-1.0, 1.0), r"below 0\.5 pixels"),
        ((0.4, 1.0), r"below 0\.5 pixels"),
        ((2.0, 1.0), "ascending"),
        ((1.0, 40.0), "left the canvas"),
    ],
)
def test_scales_that_have_run_away(scales, message):
    with pytest.raises(ScaleError, match=message):
        check_scales(scales, 28.5)
    check_scales((1.0, 1.0, 28.5), 28.5)


def test_equals_fixed_layers_of_the_same_size():
    values = [1.5, 1.5 * 2**0.5, 3.0]
    learned = layers(LearnableScales(3, "isr", 1.5, 2.0), ceiling=25)
    fixed = layers(values, ceiling=25)  # type: ignore[arg-type]
    fixed.load_state_dict(learned.state_dict(), strict=False)
    x = torch.randn(2, 1, 20, 20)
    torch.testing.assert_close(learned(x), fixed(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", [0, 4, 15])
@pytest.mark.parametrize("stride", [1, 2])
def test_output_does_not_depend_on_the_ceiling_but_for_its_size(padding, stride):
    scales = LearnableScales(2, "isr", 1.0, 1.5)  # kernels of 13 pixels
    wide, narrow = (
        SESConv_Z2_H(1, 2, ceiling, 5, scales, stride, pad, **BASIS)
        for ceiling, pad in ((31, padding), (13, max(padding - 9, 0)))
    )
    narrow.load_state_dict(wide.state_dict())
    x = torch.randn(1, 1, 37, 37)
    crop = max(9 - padding, 0)
    expected = narrow(x[..., crop : 37 - crop, crop : 37 - crop])
    torch.testing.assert_close(wide(x), expected, atol=1e-5, rtol=1e-5)
    assert wide(x).shape[-1] == (37 + 2 * padding - 31) // stride + 1


@pytest.mark.parametrize("name", [name for name in PARAMETERISATIONS if name != "fixed"])
def test_gradients_of_a_network(name):
    net = layers(LearnableScales(3, name, 1.2, 2.3), ceiling=25).double()
    x = torch.randn(1, 1, 9, 9, dtype=torch.float64)
    parameters = scale_parameters(net)
    target = torch.randn_like(net(x))

    def loss() -> torch.Tensor:
        return (net(x) - target).square().mean()

    found = torch.autograd.grad(loss(), parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        for place in range(parameter.numel()):
            moved = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter.view(-1)[place] += step
                moved.append(loss().item())
                with torch.no_grad():
                    parameter.view(-1)[place] -= step
            assert gradient.view(-1)[place].item() == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-7)


def test_shared_scales_are_one_and_own_ones_are_two():
    net = layers(LearnableScales(3))
    assert len(scale_parameters(net)) == 2
    assert set(scale_figures(net)) == {"scale_1", "scale_2", "scale_3", "isr"}
    own = torch.nn.Module()
    own.conv1 = SESConv_Z2_H(1, 2, 31, 5, LearnableScales(2), **BASIS)
    own.conv2 = SESConv_H_H(2, 2, 1, 31, 5, LearnableScales(2, isr=1.5), **BASIS)
    figures = scale_figures(own)
    assert figures["conv1_isr"] == pytest.approx(3) and figures["conv2_isr"] == pytest.approx(1.5)
    assert len(scale_parameters(own)) == 4
    assert scale_figures(torch.nn.Linear(1, 1)) == {}


def test_names_of_layers_become_names_that_a_store_accepts():
    net = torch.nn.ModuleDict({"k=3": LearnableScales(2), "größe 5": LearnableScales(2)})
    assert [name for name in scale_figures(net) if name.endswith("isr")] == ["k_3_isr", "gr__e_5_isr"]
    net["k_3"] = LearnableScales(2)
    with pytest.raises(InvalidArgument, match="'k=3' and 'k_3' have the same names; rename one"):
        scale_figures(net)


def test_copies_keep_sharing_and_share_nothing_with_the_original():
    net, x = layers(LearnableScales(3)), torch.randn(1, 1, 20, 20)
    expected = net(x)
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(clone(x), expected)
        assert clone[0].learned is clone[1].learned
        with torch.no_grad():
            clone[0].learned.free.add_(0.3)
        assert not torch.allclose(clone(x), expected)
    assert torch.equal(net(x), expected)


def test_a_loaded_state_is_followed():
    net, x = layers(LearnableScales(3)), torch.randn(1, 1, 20, 20)
    other = layers(LearnableScales(3, isr=2.0))
    assert not torch.allclose(net(x), other(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))


def test_every_way_of_changing_a_scale_is_followed():
    net, x = layers(LearnableScales(3)), torch.randn(1, 1, 20, 20)
    seen = [net(x).detach()]
    scales = net[0].learned
    changes = [
        lambda: scales.free.data.mul_(1.1),  # not counted by torch's versions
        lambda: setattr(scales.sigma, "data", torch.tensor(1.7)),
        lambda: torch.optim.Adam(scales.parameters(), lr=0.05).step(),
    ]
    net(x).sum().backward()
    for change in changes:
        change()
        with torch.inference_mode():
            seen.append(net(x).clone())
    assert all(not torch.allclose(a, b) for a, b in itertools.pairwise(seen))
    net(x).sum().backward()


def test_two_passes_before_two_backwards():
    net = layers(LearnableScales(3))
    first, second = (net(torch.randn(1, 1, 20, 20)).square().mean() for _ in range(2))
    first.backward()
    second.backward()


def test_frozen_scales_get_no_gradient_and_cost_none():
    net = layers(LearnableScales(3))
    for parameter in scale_parameters(net):
        parameter.requires_grad_(False)
    basis, _ = net[0].current_basis()
    assert not basis.requires_grad
    net(torch.randn(1, 1, 20, 20)).sum().backward()
    assert all(parameter.grad is None for parameter in scale_parameters(net))


def test_kernels_grow_up_to_the_ceiling_and_say_so():
    scales = LearnableScales(2, "direct", 1.0, 2.0)
    layer = SESConv_Z2_H(1, 1, 31, 5, scales, padding=15, **BASIS)
    sides = []
    for largest in (2.0, 3.0, 3.7):
        with torch.no_grad():
            scales.free[1] = largest
        sides.append(layer.current_basis()[0].shape[-1])
    assert sides == [17, 25, 31]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.current_basis()
    with torch.no_grad():
        scales.free[1] = 3.8
    with pytest.warns(ScaleWarning, match="ceiling of 31 pixels"):
        assert layer.current_basis()[0].shape[-1] == 31
    with torch.no_grad():
        scales.free[1] = 16.0
    with pytest.raises(ScaleError, match="left the canvas"):
        layer.current_basis()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 30}, "odd"),
        ({"kernel_size": 3}, "at least the effective size 5"),
        ({"basis_type": "bspline"}, "cannot follow learned scales; use hermite_a or hermite_b"),
        ({"basis_type": "hermite_a", "mult": 2.0}, "unknown option of hermite_a"),
        ({"mult": 0.9}, "above 1"),
    ],
)
def test_layers_refuse(arguments, message):
    given = {"kernel_size": 31, "effective_size": 5, "scales": LearnableScales(2), **BASIS, **arguments}
    if given["basis_type"] != "hermite_b" and "mult" not in arguments:
        given = {key: value for key, value in given.items() if key not in ("mult", "max_order")}
    with pytest.raises(InvalidArgument, match=message):
        SESConv_Z2_H(1, 1, **given)


def test_window_beyond_the_learned_scales():
    with pytest.raises(InvalidArgument, match=r"1\.\.2"):
        SESConv_H_H(1, 1, 3, 9, 3, LearnableScales(2))


def test_scales_move_toward_those_of_a_target():
    # A layer of unknown scales is imitated: both the smallest scale and the range are found, from either side.
    target = LearnableScales(3, "fixed", 1.5, 3.0)
    x = torch.randn(4, 1, 32, 32)
    for sigma, isr in ((2.0, 1.8), (1.2, 4.0)):
        scales = LearnableScales(3, "isr", sigma, isr)
        layer = SESConv_Z2_H(1, 2, 41, 3, scales, padding=20)
        truth = SESConv_Z2_H(1, 2, 41, 3, target, padding=20)
        with torch.no_grad():
            truth.weight.copy_(layer.weight)
        optimizer = torch.optim.Adam(scales.parameters(), lr=0.05)
        with torch.no_grad():
            wanted = truth(x)
        for _ in range(50):
            optimizer.zero_grad()
            F.mse_loss(layer(x), wanted).backward()
            optimizer.step()
        assert scales.values() == pytest.approx(target.values(), rel=0.05)


def test_the_probe():
    probe = ScaleProbe(1, 10, 56, sigma=2.0, isr=3.0)
    assert probe(torch.randn(2, 1, 56, 56)).shape == (2, 10)
    assert sum(p.numel() for p in probe.parameters()) == 16 * 25 + 2 + 2 * 16 + 16 * 16 * 10 + 10
    assert scale_figures(probe)["isr"] == pytest.approx(3)
    with pytest.raises(InvalidArgument, match="multiple of 4"):
        ScaleProbe(1, 10, 58, sigma=2.0, isr=3.0)


@pytest.mark.parametrize("name", LEARNERS)
def test_models_start_where_the_table_says(name):
    model = create_model(name, num_channels=1, num_classes=2)
    (scales,) = scale_modules(model).values()
    assert scales.values()[0] == pytest.approx(LEARNERS[name].sigma)
    assert scales.isr == pytest.approx(LEARNERS[name].isr)


@pytest.mark.parametrize(("sigma", "isr"), [(2.0, 3.0), (4.0, 6.0)])
def test_the_published_starts_of_the_probe_do_not_warn(sigma, isr):
    probe = ScaleProbe(1, 10, 168, sigma=sigma, isr=isr)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        probe.conv.current_basis()


def test_a_kernel_over_twice_the_image_loses_nothing():
    # A pixel of the kernel that is further out meets padding alone: no ceiling above changes what comes out.
    scales, x = LearnableScales(2, "isr", 2.0, 3.0), torch.randn(2, 1, 10, 10)  # kernels of 49 pixels
    outputs = []
    for ceiling in (19, 49):
        torch.manual_seed(0)
        layer = SESConv_Z2_H(1, 2, ceiling, 5, scales, padding=ceiling // 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ScaleWarning)
            outputs.append(layer(x))
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    # Negative control: one pixel less does.
    torch.manual_seed(0)
    layer = SESConv_Z2_H(1, 2, 17, 5, scales, padding=8)
    with pytest.warns(ScaleWarning, match="ceiling of 17 pixels"):
        assert not torch.allclose(layer(x), outputs[0], atol=1e-5)


def test_a_start_beyond_the_canvas_is_refused():
    with pytest.raises(InvalidArgument, match=r"would start at 16 pixels, and the canvas holds no more than 15\.5"):
        SESConv_Z2_H(1, 1, 31, 5, LearnableScales(2, "isr", 2.0, 8.0))
    with pytest.raises(InvalidArgument, match="a smaller sigma or ISR fits"):
        ScaleProbe(1, 10, 28, sigma=2.0, isr=100.0)
