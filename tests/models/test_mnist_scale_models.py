"""The MNIST-Scale networks equal the published ones: their outputs for given weights, and their parameter counts.

`mnist_scale_golden.npz` holds, for each network, the logits of the original code for the weights of `fill` and the
images of `images`, and the original's count of parameters.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from siconvnet.bases.disco import mix
from siconvnet.bases.hermite import varying_scale
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.models.mnist_scale import VARIANTS, create_mnist_scale_model, geometric, list_mnist_scale_models
from siconvnet.models.mnist_sevf import FieldMaxPool, FieldToField, length
from siconvnet.models.mnist_ss import harmonics

HERE = Path(__file__).parent
GOLDEN = np.load(HERE / "mnist_scale_golden.npz")

# The networks with learned scales have no published outputs.
PUBLISHED = [name for name in list_mnist_scale_models() if not name.startswith("ses_learned")]

# Counted by the original and never used there: weights of the fields' normalisation; a constant for each kernel and
# one normalisation layer too many.
UNUSED = {"sevf_vector": 23 + 45, "ss": 30 * 1 + 60 * 30 + 90 * 60 + 2 * 90}


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path_factory.getbasetemp()))


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
        model = create_mnist_scale_model(name).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    assert model(images().double()).dtype == torch.float64


@WITH_CONSTANTS
def test_constants_are_made_whatever_the_default_device(name):
    with torch.device("meta"):
        model = create_mnist_scale_model(name)
    assert all(value.is_meta for value in model.state_dict().values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_the_original(name):
    model = create_mnist_scale_model(name).eval()
    if name.startswith("disco"):
        published = torch.from_numpy(np.load(HERE.parent / "bases" / "disco_published.npz")["size15"]).double()
        basis = mix(varying_scale(7, 1.9, 4, VARIANTS[name].options["mult"], 49), published).float()
        state = {key: basis if key.endswith("basis") else value for key, value in model.state_dict().items()}
        model.load_state_dict(state)
    fill(list(model.parameters()))
    with torch.no_grad():
        logits = model(images()).numpy()
    assert np.abs(logits - GOLDEN[name]).max() < 1e-5 * np.abs(GOLDEN[name]).max()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
    count = sum(parameter.numel() for parameter in create_mnist_scale_model(name).parameters())
    assert count + UNUSED.get(name.rsplit("_", 1)[0], 0) == GOLDEN[f"{name}.parameters"]


@pytest.mark.parametrize("name", list_mnist_scale_models("*_28"))
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    model = create_mnist_scale_model(name)
    model(images()).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        # A bias in front of a normalisation has no effect but rounding.
        assert parameter.grad.abs().max() > 0, key


def test_all_names_have_an_original():
    assert set(PUBLISHED) == {key for key in GOLDEN.files if "." not in key}
    with pytest.raises(UnknownName, match="Did you mean 'ses_scalar_28'"):
        create_mnist_scale_model("ses_scaler_28")


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
    field = FieldToField(2, 3)(torch.randn(2, 1, 2, 12, 12))
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
        create_mnist_scale_model(name, **{option: 1.0})
