"""DISCO reproduces the original on the original's basis, and the scalar SESN has its shape and indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import siconvnet
from siconvnet.errors import InvalidArgument

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))


def disco(num_channels: int = 1, num_classes: int = 4, kernel_size: int = 7) -> torch.nn.Module:
    from siconvnet.models.stir.disco import Disco

    return Disco(num_channels, num_classes, kernel_size)


def close(actual: torch.Tensor, expected: np.ndarray) -> None:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    error = (actual.detach().double().reshape(expected.shape) - expected).abs().max() / expected.abs().max()
    assert error < TOLERANCE, f"relative error {error:.2e}"


def load_golden(with_basis: bool) -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    golden = dict(np.load(GOLDEN / "disco.npz"))
    model = disco(num_classes=36).eval()
    state = {key[6:]: torch.from_numpy(value) for key, value in golden.items() if key.startswith("param_")}
    for layer in ("conv1", "conv2"):
        ours = getattr(model, layer).basis
        state[f"{layer}.basis"] = torch.from_numpy(golden[f"buffer_{layer}.basis.basis"]) if with_basis else ours
    assert [name for name, _ in model.named_parameters()] == [k[6:] for k in golden if k.startswith("param_")]
    model.load_state_dict(state)
    return model, golden


def test_disco_on_our_basis_is_close_but_not_the_same():
    model, golden = load_golden(with_basis=False)
    difference = (model(torch.from_numpy(golden["input"])).detach() - torch.from_numpy(golden["logits"])).abs().max()
    scale = np.abs(golden["logits"]).max()
    assert TOLERANCE * scale < difference < 0.05 * scale


def test_disco_takes_other_effective_sizes():
    model = disco(num_channels=3, kernel_size=3)
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 4)


def test_disco_refuses_kernels_that_its_basis_cannot_fill():
    with pytest.raises(InvalidArgument, match="17 pixels"):
        disco(kernel_size=9)


def test_scalar_sesn_names_the_scale_that_wins():
    torch.manual_seed(0)
    model = siconvnet.create_model("sesn", num_channels=1, num_classes=5)
    x = torch.rand(2, 1, 64, 64)
    lifted = model.conv1(x)
    indices = model.project1.scale_indices(lifted)
    assert lifted.shape == (2, 16, 4, 50, 50) and indices.shape == (2, 16, 50, 50)
    torch.testing.assert_close(lifted.gather(2, indices[:, :, None])[:, :, 0], model.project1(lifted))
    assert model(x).shape == (2, 5)
    assert sum(p.numel() for p in model.parameters()) == 16 * 50 + 32 * (16 * 49 + 1) + 33 * 5
