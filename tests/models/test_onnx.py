"""Networks exported to ONNX with a batch of any size, and run by another library than torch.

A few by default; ``pytest -m slow tests/models/test_onnx.py`` takes every network.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import siconvnet
from siconvnet.functional import plain
from siconvnet.layers import LearnableScales, SESConv_Z2_H, SiConv2d, XuConv2d, XuScaleConv2d

TOLERANCE = 1e-4
"""Of the largest logit, where that is more than one."""

DEFAULT = ("standard", "ensemble", "spatial_transform", "sacnn_s_mp")


def registered(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network with random weights, and the shape of its images; those of STL-10 are narrow and see small images."""
    info = siconvnet.model_info(name)
    small: dict[str, Any] = {"widen": 2, "image_size": 24} if info.studies == ("stl10",) else {}
    channels, side = 3 if small else 1, small.get("image_size", info.image_size)
    return siconvnet.create_model(name, num_channels=channels, num_classes=7, **small), (channels, side, side)


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
        expected = network(x)
    torch.testing.assert_close(run(x), expected, atol=TOLERANCE * max(1, float(expected.abs().max())), rtol=0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in DEFAULT else pytest.mark.slow) for name in siconvnet.list_models()]
)
def test_every_network_is_the_same_in_onnx(name):
    torch.manual_seed(0)
    assert_same_in_onnx(*registered(name))


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
@pytest.mark.parametrize(("kernel_size", "largest"), [(3, 11), (5, 29), (9, 29)])
def test_columns_of_every_size_are_the_same_in_onnx(kernel_size, largest):
    torch.manual_seed(0)
    assert_same_in_onnx(XuConv2d(1, 1, kernel_size, list(range(3, largest + 1, 2)), initial=True), (1, 32, 32))


def test_columns_of_shrunk_and_enlarged_kernels_are_the_same_in_onnx():
    torch.manual_seed(0)
    assert_same_in_onnx(XuScaleConv2d(1, 1, 3, (0.67, 1.0, 1.5), initial=True), (1, 9, 9))
