"""The MNIST-Scale networks equal the published ones: their outputs for given weights, and their parameter counts.

`mnist_scale_golden.npz` holds, for each network, the logits of the original code for the weights of `fill` and the
images of `images`, and the original's count of parameters.
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
from siconvnet.bases.hermite import varying_scale
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.layers.scale_steerable import harmonics
from siconvnet.layers.sevf import FieldMaxPool, FieldToField, length
from siconvnet.models.mnist_scale import create_mnist_scale_model, geometric, list_mnist_scale_models

HERE = Path(__file__).parent
GOLDEN = np.load(HERE / "mnist_scale_golden.npz")

# The networks with learned scales have no published outputs.
NAMES = siconvnet.list_models(study="mnist-scale")
PUBLISHED = [name for name in NAMES if not name.startswith("ses_learned")]

# Counted by the original and never used there: weights of the fields' normalisation; a constant for each kernel and
# one normalisation layer too many.
UNUSED = {"sevf_vector": 23 + 45, "ss": 30 * 1 + 60 * 30 + 90 * 60 + 2 * 90}


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path_factory.getbasetemp()))


def create(name: str, **options: Any) -> nn.Module:
    return siconvnet.create_model(name, num_channels=1, num_classes=10, **options)


def fill(parameters: list[nn.Parameter]) -> None:
    """Fill parameters in place with numbers that depend on their place in the list alone."""
    with torch.no_grad():
        for place, parameter in enumerate(parameters):
            noise = np.random.RandomState(place).standard_normal(tuple(parameter.shape))
            # One dimension: biases and the factors of normalisation, which are to be near 1.
            values = 1 + 0.1 * noise if parameter.ndim == 1 else 0.03 * noise
            parameter.copy_(torch.from_numpy(values))


def images() -> torch.Tensor:
    """(3, 1, 28, 28), as normalised images are."""
    return torch.from_numpy(np.random.RandomState(99).standard_normal((3, 1, 28, 28))).float()


WITH_CONSTANTS = pytest.mark.parametrize("name", ["xu_28", "ss_28", "dss_scalar_28", "ses_scalar_28", "ses_learned_28"])


@WITH_CONSTANTS
def test_constants_follow_the_default_precision(name):
    torch.set_default_dtype(torch.float64)
    try:
        model = create(name).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    assert model(images().double()).dtype == torch.float64


@WITH_CONSTANTS
def test_constants_are_made_whatever_the_default_device(name):
    with torch.device("meta"):
        model = create(name)
    assert all(value.is_meta for value in model.state_dict().values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_the_original(name):
    model = create(name).eval()
    if name.startswith("disco"):
        published = torch.from_numpy(np.load(HERE.parent / "bases" / "disco_published.npz")["size15"]).double()
        basis = mix(varying_scale(7, 1.9, 4, siconvnet.model_info(name).options["mult"], 49), published).float()
        state = {key: basis if key.endswith("basis") else value for key, value in model.state_dict().items()}
        model.load_state_dict(state)
    fill(list(model.parameters()))
    with torch.no_grad():
        logits = model(images()).numpy()
    assert np.abs(logits - GOLDEN[name]).max() < 1e-5 * np.abs(GOLDEN[name]).max()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
    count = sum(parameter.numel() for parameter in create(name).parameters())
    assert count + UNUSED.get(name.rsplit("_", 1)[0], 0) == GOLDEN[f"{name}.parameters"]


@pytest.mark.parametrize("name", siconvnet.list_models("*_28", study="mnist-scale"))
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    model = create(name)
    model(images()).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        # A bias in front of a normalisation has no effect but rounding.
        assert parameter.grad.abs().max() > 0, key


def test_all_names_have_an_original():
    assert set(PUBLISHED) == {key for key in GOLDEN.files if "." not in key}
    with pytest.raises(UnknownName, match="Did you mean 'ses_scalar_28'"):
        create("ses_scaler_28")


def test_the_former_functions_still_work():
    with pytest.warns(DeprecationWarning, match="siconvnet.list_models"):
        assert list_mnist_scale_models("disco*") == ["disco_56", "disco_56p"]
    torch.manual_seed(0)
    with pytest.warns(DeprecationWarning, match="siconvnet.create_model"):
        former = create_mnist_scale_model("ses_learned_28", sigma=1.7)
    torch.manual_seed(0)
    weights = create("ses_learned_28", sigma=1.7).state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in former.state_dict().items())


def test_other_channels_and_classes():
    model = siconvnet.create_model("xu_28", num_channels=3, num_classes=4).eval()
    assert model(torch.rand(2, 3, 28, 28)).shape == (2, 4)
    with pytest.raises(InvalidArgument, match="'xu_28' is made for images of 28 pixels, not of 64"):
        create("xu_28", image_size=64)


def test_scales_are_evenly_spaced():
    assert geometric(4, 2.0, 2.0) == (2.0, 2.52, 3.17, 4.0)


def test_field_pooling_keeps_the_longest_vector():
    field = torch.randn(2, 3, 4, 6, 6)
    pooled = FieldMaxPool(2)(field)
    assert pooled.shape == (2, 3, 4, 3, 3)
    torch.testing.assert_close(length(pooled), torch.nn.functional.max_pool2d(length(field), 2))


def test_length_has_a_gradient_at_zero():
    field = torch.zeros(2, 1, 1, 2, 2, requires_grad=True)
    length(field).sum().backward()
    assert field.grad is not None and not field.grad.any()


def test_fields_have_their_scale_as_angle():
    torch.manual_seed(0)
    field = FieldToField(2, 3, 7)(torch.randn(2, 1, 2, 12, 12))
    angles = torch.atan2(field[1], field[0])[length(field) > 0]
    steps = angles / (2 * np.pi / 3 / 7)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert steps.min() >= -4.001 and steps.max() <= 3.001


def test_harmonics_are_of_unit_norm_on_a_disc():
    for functions in harmonics(13):
        norms = functions.flatten(2).norm(dim=2)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert not functions[..., 0, 0].any()


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("ses_learned_28", "sigm", "unknown option of ses_learned_28 'sigm'. Did you mean 'sigma'"),
        ("cnn_28", "sigma", "unknown option of cnn_28 'sigma'"),
        ("ses_scalar_28", "sigma", "the basis 'hermite_b' takes mult, max_order, not sigma"),
    ],
)
def test_an_option_that_a_network_lacks(name, option, message):
    with pytest.raises(InvalidArgument, match=message):
        create(name, **{option: 1.0})
