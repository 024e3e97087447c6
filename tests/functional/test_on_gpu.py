"""The fast paths on a GPU against the plain ones there: run by hand with `pytest -m gpu` where there is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from comparing import assert_same, dense, sparse

from siconvnet import create_model, functional, list_models

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
UPSTREAMS = pytest.mark.parametrize("upstream", [dense, sparse])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


@pytest.fixture(autouse=True)
def exact():
    """Convolutions without TF32, whose ten bits would hide what is compared; products of matrices have none anyway."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # it turns cuDNN off unless told otherwise
        yield


def on_gpu(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    tensors = [torch.randn(shape, dtype=dtype, device="cuda") / shape[-1] ** 0.5 for shape in shapes]
    tensors[0][..., : shapes[0][-2] // 2, :5] = 0
    return tensors


@UPSTREAMS
@DTYPES
@pytest.mark.parametrize("pool", [None, "pixel", "slice", "energy"])
def test_scale_convolution(pool, dtype, upstream):
    def function(x, weight, bias):
        if pool is None:
            return functional.scale_conv2d(x, weight, bias, 10, "bicubic")
        return functional.scale_conv_pool2d(x, weight, bias, 10, "bicubic", pool)

    assert_same(function, on_gpu(dtype, (4, 3, 32, 32), (8, 3, 7, 7), (8,)), upstream)


@UPSTREAMS
@DTYPES
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(groups, dtype, upstream):
    def function(x, weight, bias):
        return functional.conv2d(x, weight, bias, padding=2, groups=groups)

    assert_same(function, on_gpu(dtype, (4, 4, 40, 40), (8, 4 // groups, 15, 15), (8,)), upstream)


@DTYPES
def test_conv3d_to_its_maximum(dtype):
    assert_same(functional.conv3d_max, on_gpu(dtype, (2, 3, 8, 14, 14), (5, 3, 3, 3, 3), (5,)), torch.ones_like)


@UPSTREAMS
def test_rescaled_inputs(upstream):
    scales = (0.63, 0.79, 1.0, 1.26, 1.59, 2.0)

    def function(x, weight, bias):
        return functional.rescaled_input_conv2d(x, weight, bias, scales)

    assert_same(function, on_gpu(torch.float64, (2, 2, 24, 24), (4, 2, 5, 5), (4,)), upstream)


@pytest.mark.parametrize("name", list_models(study="stir"))
def test_a_training_step_of_every_method(name):
    """Loss and gradients of the GPU are those of the CPU."""
    found: list[dict[str, torch.Tensor]] = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = create_model(name, num_channels=1, num_classes=4).double()
        with torch.no_grad():
            for parameter in model.parameters():
                # At the identity a spatial transformer samples pixels on the spot, where its gradient jumps.
                parameter.add_(torch.randn_like(parameter) / 100)
        model.to(device)
        images = torch.rand(2, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(device)
        loss = torch.nn.functional.cross_entropy(model(images), torch.tensor([1, 3], device=device))
        loss.backward()
        grads = {key: p.grad.cpu() for key, p in model.named_parameters() if p.grad is not None}
        found.append({"loss": loss.detach().cpu(), **grads})
    for key, expected in found[0].items():
        assert float((found[1][key] - expected).norm() / expected.norm().clamp(min=1e-6)) < 1e-6, key


def waits(work: Callable[[], object]) -> bool:
    """Whether the host waits for the device."""
    work()
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    except RuntimeError as error:
        assert "synchroniz" in str(error)
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


@pytest.mark.parametrize("pool", ["pixel", "slice"])
def test_inference_does_not_wait_for_the_device(pool):
    x, weight, bias = on_gpu(torch.float32, (4, 3, 32, 32), (8, 3, 7, 7), (8,))
    assert not waits(lambda: functional.scale_conv_pool2d(x, weight, bias, 10, "bicubic", pool))
    assert waits(lambda: x.sum().item())
