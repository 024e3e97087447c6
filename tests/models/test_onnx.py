"""Networks exported to ONNX with a batch of any size, and run by another library than torch.

A few by default; ``pytest -m slow tests/models/test_onnx.py`` takes every network.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from siconvnet.functional import plain
from siconvnet.layers import LearnableScales, SESConv_Z2_H, SiConv2d, XuConv2d
from siconvnet.models import create_model, list_models

TOLERANCE = 1e-4
DEFAULT = ("standard", "ensemble", "spatial_transform", "sacnn_s_mp")


def stir(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    return create_model(name, num_channels=1, num_classes=7), (1, 64, 64)


def mnist_scale(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    return create_model(name, num_channels=1, num_classes=10), (1, 28, 28)


def stl10(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    return create_model(name, num_channels=3, num_classes=10, widen=2), (3, 96, 96)


NETWORKS = {
    **dict.fromkeys(list_models(study="stir"), stir),
    **dict.fromkeys(list_models(study="mnist-scale"), mnist_scale),
    **dict.fromkeys(list_models(study="stl10"), stl10),
}


def through_onnx(network: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The network as onnxruntime computes it."""
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.onnx.export(network.eval(), (example,), dynamo=True, verbose=False, dynamic_shapes=shapes)
    assert program is not None
    program.save(file := io.BytesIO())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options)

    def run(x: Tensor) -> Tensor:
        (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        return torch.from_numpy(out)

    return run


def assert_same_in_onnx(network: nn.Module, shape: tuple[int, ...]) -> None:
    run = through_onnx(network, torch.rand(2, *shape))
    x = torch.rand(3, *shape)
    with torch.no_grad():
        torch.testing.assert_close(run(x), network(x), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in DEFAULT else pytest.mark.slow) for name in NETWORKS]
)
def test_every_network_is_the_same_in_onnx(name):
    torch.manual_seed(0)
    assert_same_in_onnx(*NETWORKS[name](name))


class Kernels(nn.Module):
    """The kernels of several sides side by side, times a number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1, 1, 7, 7))

    def forward(self, x: Tensor) -> Tensor:
        kernels = [plain.rescale_kernel(self.weight, side, "bicubic").flatten() for side in (15, 17, 41, 61)]
        return x[:, None] * torch.cat(kernels)


def test_rescaled_kernels_are_the_same_in_onnx():
    # 17, 41 and 61 are the sides at which exporters resize a constant of 7 x 7 numbers wrongly.
    torch.manual_seed(0)
    assert_same_in_onnx(Kernels(), ())


def test_learned_scales_are_the_same_in_onnx():
    torch.manual_seed(0)
    scales = LearnableScales(2, sigma=0.8, isr=1.5)
    assert_same_in_onnx(SESConv_Z2_H(1, 2, 15, 3, scales, padding=7), (1, 9, 9))


@pytest.mark.slow
def test_every_size_of_a_scale_convolution_is_the_same_in_onnx():
    torch.manual_seed(0)
    assert_same_in_onnx(SiConv2d(1, 1, 29, 7), (1, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_columns_of_every_size_are_the_same_in_onnx(kernel_size):
    torch.manual_seed(0)
    assert_same_in_onnx(XuConv2d(1, 1, kernel_size, list(range(3, 31, 2)), initial=True), (1, 32, 32))
