"""The STL-10 networks equal the published ones: outputs for given weights, parameter counts, initialisation.

`stl10_golden.npz` holds, for each network, the logits of the original code for the weights of `fill` and the images of
`images`, the network being two times as wide as the narrowest and not eight times; and of the full one the count of
parameters, and of each fresh parameter its mean, standard deviation and largest magnitude.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import siconvnet
from siconvnet.bases.disco import mix
from siconvnet.bases.hermite import varying_order
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import plain_math
from siconvnet.layers import DssConv2d, KanazawaConv2d, XuScaleConv2d
from siconvnet.layers.dss import delta_weight
from siconvnet.models.stl10 import create_stl10_model, list_stl10_models
from siconvnet.models.stl10.plan import WideBlock

HERE = Path(__file__).parent
GOLDEN = np.load(HERE / "stl10_golden.npz")

# Counted by the original and never used there: a constant for each steerable kernel.
UNUSED = {"wrn_16_8_ss": 3 * 11 + sum(a * b + 3 * b * b for a, b in ((11, 88), (88, 176), (176, 352)))}
NAMES = siconvnet.list_models(study="stl10")
EVERY = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path_factory.getbasetemp()))


def create(name: str, **options: Any) -> nn.Module:
    return siconvnet.create_model(name, num_channels=3, num_classes=10, **options)


def fill(model: nn.Module) -> nn.Module:
    """Fill the parameters in place with numbers that depend on their place in the model alone."""
    with torch.no_grad():
        for place, parameter in enumerate(model.parameters()):
            noise = np.random.RandomState(place).standard_normal(tuple(parameter.shape)).astype(np.float32)
            # One dimension: biases and the factors of normalisation, which are to be near 1.
            values = 1 + np.float32(0.1) * noise if parameter.ndim == 1 else np.float32(0.03) * noise
            parameter.copy_(torch.from_numpy(values))
    return model


def images() -> torch.Tensor:
    """(2, 3, 24, 24), as normalised images are."""
    return torch.from_numpy(np.random.RandomState(99).standard_normal((2, 3, 24, 24))).float()


@EVERY
def test_equals_the_original(name):
    model = create(name, widen=2).eval()
    if name.endswith("disco"):
        published = torch.from_numpy(np.load(HERE.parent / "bases" / "disco_published.npz")["size5"]).double()
        basis = mix(varying_order(3, 0.9, 2), published).float()
        state = {key: basis if key.endswith("basis") else value for key, value in model.state_dict().items()}
        model.load_state_dict(state)
    fill(model)
    with torch.no_grad():
        fast = model(images()).numpy()
        with plain_math():
            plain = model(images()).numpy()
    for logits in (fast, plain):
        assert np.abs(logits - GOLDEN[name]).max() < 2e-5 * np.abs(GOLDEN[name]).max()


@EVERY
def test_counts_and_initialisation_are_the_originals(name):
    torch.manual_seed(1)
    parameters = list(create(name).parameters())
    count = sum(parameter.numel() for parameter in parameters)
    assert count + UNUSED.get(name, 0) == GOLDEN[f"{name}.parameters"]
    for place, parameter in enumerate(parameters):
        mean, std, largest = (GOLDEN[f"{name}.{key}"][place] for key in ("mean", "std", "largest"))
        # Two random draws of one distribution: five standard errors of the difference, for tails a little more.
        error = 5 * (2 / parameter.numel()) ** 0.5 * std
        assert abs(parameter.mean().item() - mean) <= error
        assert abs(parameter.std(correction=0).item() - std) <= error
        assert parameter.abs().max().item() == pytest.approx(largest, rel=0.35)


@EVERY
def test_every_parameter_learns_and_fast_is_plain(name):
    torch.manual_seed(0)
    # In double precision, as a fresh SiCNN divides by weights that are nearly zero.
    model = create(name, widen=2).eval().double()

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(images().double()).square().sum().backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    fast = gradients()
    with plain_math():
        plain = gradients()
    for key, one, other in zip(dict(model.named_parameters()), fast, plain, strict=True):
        assert one.isfinite().all() and one.abs().max() > 0, key
        assert (one - other).abs().max() <= 1e-8 * other.abs().max(), key


@pytest.mark.parametrize("name", ["wrn_16_8", "wrn_16_8_ses_b", "wrn_16_8_disco"])
def test_images_are_halved_twice(name):
    model = create(name, widen=1).eval()
    sides: list[int] = []
    for module in model.modules():
        if isinstance(module, WideBlock):
            module.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    model(torch.randn(1, 3, 96, 96))
    assert sides == [96, 96, 48, 48, 24, 24]


@pytest.mark.parametrize("side", [9, 12, 24])
@pytest.mark.parametrize("stride", [1, 2])
def test_kanazawas_responses_around_a_shrunk_image_are_zero(side, stride):
    torch.manual_seed(0)
    conv = KanazawaConv2d(3, 4, 3, (0.5, 1.0), stride=stride, padding=1, bias=False)
    x = torch.randn(2, 3, side, side)
    fast = conv(x)
    with plain_math():
        torch.testing.assert_close(conv(x), fast, atol=1e-6, rtol=0)


def test_xus_columns_see_one_three_and_five_pixels():
    assert XuScaleConv2d(3, 4, 3, (0.67, 1.0, 1.5)).supports == (1, 3, 5)


def test_dss_sees_its_level_and_the_next_coarser_one():
    conv = DssConv2d(1, 1, 3, levels=3, window=2)
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 4, 17, 17)
    x[0, 0, 1, 8, 8] = 1
    seen = [sorted(set(plane.nonzero()[:, 0].tolist())) for plane in conv(x)[0, 0]]
    assert seen == [[7, 8, 9], [6, 8, 10], []]
    x[0, 0, 1, 8, 8], x[0, 0, 3, 8, 8] = 0, 1
    assert not conv(x).any(), "the coarsest level is dropped"


def test_delta_weight_passes_channels_on():
    weight = delta_weight(6, 4, 2, 3)
    middle = weight[:, :, 0, 1, 1]
    assert (middle > 0.02).tolist() == [[True, True, False, False]] * 3 + [[False, False, True, True]] * 3
    assert middle[0, 0] == pytest.approx(2 / 6)
    weight[..., 1, 1] = 0
    assert weight.abs().max() <= 0.01


def test_names():
    assert set(NAMES) == {key for key in GOLDEN.files if "." not in key}
    assert siconvnet.list_models("*_ses_*", study="stl10") == ["wrn_16_8_ses_a", "wrn_16_8_ses_b", "wrn_16_8_ses_c"]
    with pytest.raises(UnknownName, match=r"unknown option of wrn_16_8 'wide'\. Did you mean 'widen'"):
        create("wrn_16_8", wide=1)
    with pytest.raises(UnknownName, match="Did you mean 'wrn_16_8_ses_b'"):
        create("wrn_16_8_sesb")
    with pytest.raises(InvalidArgument, match="at least 1, not"):
        create("wrn_16_8_ses_b", smallest_scale=1.0)


def test_the_former_functions_still_work():
    with pytest.warns(DeprecationWarning, match="siconvnet.list_models"):
        assert list_stl10_models("*_ss") == ["wrn_16_8_ss"]
    with pytest.warns(DeprecationWarning, match="siconvnet.create_model"):
        assert create_stl10_model("wrn_16_8", widen=1)(images()).shape == (2, 10)
