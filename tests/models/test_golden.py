"""Every model reproduces the original implementation: values, gradients and pooling indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import siconvnet
from siconvnet import functional

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4

# The original's parameter names, where ours differ; anything after the last dot is kept.
RENAMED = {
    "ensemble": {"base_model.0": "conv1", "base_model.2": "conv2", "base_model.5": "lin"},
    "spatial_transform": {
        "base_model.0": "conv1",
        "base_model.2": "conv2",
        "base_model.5": "lin",
        "transform_model.0": "localisation.0",
        "transform_model.3": "localisation.3",
        "transform_model.7": "localisation.7",
        "transform_model.9": "theta",
    },
}
# The original found this basis by stochastic optimisation; everybody else's follows from a formula.
BASIS_OF_THE_ORIGINAL = {"disco"}
MODELS = sorted(path.stem for path in GOLDEN.glob("*.npz") if path.stem in siconvnet.list_models())


def ours(model: str, name: str) -> str:
    module, leaf = name.rsplit(".", 1)
    return f"{RENAMED.get(model, {}).get(module, module)}.{'weight' if leaf == 'weights' else leaf}"


def close(actual: torch.Tensor, expected: np.ndarray) -> None:
    """Largest error relative to the largest value: the comparison that float32 sums in another order allow."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    actual = actual.detach().double().reshape(expected.shape)
    error = (actual - expected).abs().max() / expected.abs().max()
    assert error < TOLERANCE, f"relative error {error:.2e}"


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    golden = dict(np.load(GOLDEN / f"{request.param}.npz"))
    model = siconvnet.create_model(request.param, num_channels=1, num_classes=36).eval()
    state = {ours(request.param, k[6:]): torch.as_tensor(v) for k, v in golden.items() if k.startswith("param_")}
    if request.param in BASIS_OF_THE_ORIGINAL:
        basis = {key[7:].replace("basis.basis", "basis"): value for key, value in golden.items() if "buffer_" in key}
        state |= {name: torch.as_tensor(value) for name, value in basis.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not set(missing) & {name for name, _ in model.named_parameters()}
    maps, inputs = {}, {}
    info = siconvnet.model_info(request.param)
    for stage in info.stages:
        model.get_submodule(stage).register_forward_hook(lambda m, a, out, s=stage: maps.__setitem__(s, out))
    for pool in info.scale_pools:
        model.get_submodule(pool).register_forward_pre_hook(lambda m, a, s=pool: inputs.__setitem__(s, a[0]))
    image = torch.as_tensor(golden["input"]).requires_grad_()
    logits = model(image)
    loss = F.cross_entropy(logits, torch.as_tensor(golden["target"]))
    loss.backward()
    return request.param, golden, model, image, logits, loss, maps, inputs


def test_logits_and_loss(case):
    _, golden, _, _, logits, loss, _, _ = case
    close(logits, golden["logits"])
    close(loss, golden["loss"])


def test_the_plain_way_gives_the_same_logits(case):
    _, golden, model, image, *_ = case
    with torch.no_grad(), functional.plain_math():
        close(model(image), golden["logits"])


def test_input_gradient(case):
    _, golden, _, image, *_ = case
    close(image.grad, golden["input_grad"])


def test_parameter_gradients(case):
    name, golden, model, *_ = case
    gradients = {n: p.grad.flatten() for n, p in model.named_parameters()}
    for key in (k for k in golden if k.startswith("grad_")):
        gradient = gradients[ours(name, key[5:])]
        step = max(1, gradient.numel() // 512)
        close(gradient[::step][: golden[key].size], golden[key])
        close(gradient.norm(), golden["gradnorm_" + key[5:]])


def test_stage_maps(case):
    name, golden, _, _, _, _, maps, _ = case
    stages = siconvnet.model_info(name).stages
    if not stages:
        assert "trace_stage1" not in golden, "the original traces stages that this model does not declare"
        return
    for trace, stage in zip(("trace_stage1", "trace_stage2"), stages, strict=True):
        assert list(maps[stage].shape) == golden[f"{trace}_shape"].tolist()
        close(maps[stage][..., ::5, ::5], golden[trace])


def test_scale_indices(case):
    name, golden, model, _, _, _, _, inputs = case
    pools = siconvnet.model_info(name).scale_pools
    assert bool(pools) == ("pool1_indices" in golden)
    for key, pool in zip(("pool1_indices", "pool2_indices"), pools, strict=False):
        indices = model.get_submodule(pool).scale_indices(inputs[pool])
        if indices.ndim == 4:
            indices = indices[..., ::5, ::5]
        np.testing.assert_array_equal(indices.numpy(), golden[key])


def test_parameter_order_is_the_originals(case):
    name, golden, model, *_ = case
    expected = [ours(name, key[6:]) for key in golden if key.startswith("param_")]
    assert [n for n, _ in model.named_parameters()] == expected
