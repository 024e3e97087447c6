"""Bases that follow their scales: values against the fixed bases, gradients against autograd and finite differences."""

from __future__ import annotations

import threading

import pytest
import torch

from siconvnet.bases import make_basis
from siconvnet.bases.common import pad_to
from siconvnet.bases.hermite import varying_order
from siconvnet.bases.learned import check_learnable, kernel_side, learned_basis, plain_basis, supports_at
from siconvnet.errors import InvalidArgument

CASES = [("hermite_a", 5, {}), ("hermite_b", 7, {"mult": 1.4, "max_order": 4}), ("hermite_b", 3, {})]
SCALES = (1.5, 2.1, 3.3)


def scales(*values: float) -> torch.Tensor:
    return torch.tensor(values or SCALES, dtype=torch.float64, requires_grad=True)


def side_of(values: tuple[float, ...], effective_size: int) -> int:
    return kernel_side(max(values), effective_size, 999)


@pytest.mark.parametrize(("name", "size", "given"), CASES)
@pytest.mark.parametrize("values", [SCALES, (0.8, 2.0), (1.0, 1.01, 5.2, 5.3)])
def test_equals_the_fixed_basis(name, size, given, values):
    options = check_learnable(name, size, given)
    side = side_of(values, size)
    basis = learned_basis(scales(*values), name, side, size, options)
    torch.testing.assert_close(basis, plain_basis(scales(*values), name, side, size, options), atol=1e-12, rtol=0)
    if values[0] >= 1:
        torch.testing.assert_close(basis, make_basis(name, side, values, size, **options), atol=1e-12, rtol=0)
    single = learned_basis(scales(*values).float(), name, side, size, options)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), basis, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "size", "given"), CASES)
def test_gradients(name, size, given):
    options = check_learnable(name, size, given)
    side = side_of(SCALES, size)
    shape = (size**2, 3, side, side)
    weights = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(values: torch.Tensor) -> torch.Tensor:
        basis = learned_basis(values, name, side, size, options)
        return (basis * weights).sum() + basis.square().sum()

    assert torch.autograd.gradcheck(loss, scales())
    assert torch.autograd.gradgradcheck(loss, scales())
    at = scales()
    (found,) = torch.autograd.grad(loss(at), at)
    plain = plain_basis(at, name, side, size, options)
    (expected,) = torch.autograd.grad((plain * weights).sum() + plain.square().sum(), at)
    torch.testing.assert_close(found, expected)
    steps = 1e-5 * torch.eye(3, dtype=torch.float64)
    differences = torch.stack([(loss(at.detach() + step) - loss(at.detach() - step)) / 2e-5 for step in steps])
    torch.testing.assert_close(found, differences, atol=1e-6, rtol=1e-6)


def test_the_norm_at_the_smallest_scale_has_its_part_in_the_gradient():
    # Negative control: a basis that is divided by a constant instead has another gradient.
    setting = ("hermite_a", side_of(SCALES, 5), 5, {})
    at = scales()
    (found,) = torch.autograd.grad(learned_basis(at, *setting).square().sum(), at)
    norm = torch.linalg.vector_norm(hermite(at).detach()[:, :1], dim=(2, 3), keepdim=True)
    (constant,) = torch.autograd.grad((hermite(at) / norm).square().sum(), at)
    torch.testing.assert_close(found[1:], constant[1:])
    assert not torch.allclose(found[0], constant[0], rtol=0.1)


def hermite(at: torch.Tensor) -> torch.Tensor:
    """Basis A without its norm."""
    side = side_of(SCALES, 5)
    supports = supports_at(SCALES, side)
    return torch.stack([pad_to(varying_order(n, s, 4), side) for n, s in zip(supports, at, strict=True)], dim=1)


def test_side_follows_the_largest_scale():
    sides = [kernel_side(sigma, 7, 99) for sigma in (1.0, 1.1, 3.0, 3.0000001, 3.01, 8.0)]
    assert sides == [9, 11, 25, 25, 27, 65]
    assert kernel_side(0.5, 7, 99) == 7  # as many pixels as weights, at least
    assert kernel_side(8.0, 7, 57) == 57
    assert supports_at((1.5, 3.0), 25) == (13, 25)


@pytest.mark.parametrize(("name", "size", "given"), [*CASES, ("hermite_a", 7, {})])
def test_what_a_step_of_the_side_adds_is_small(name, size, given):
    options = check_learnable(name, size, given)
    for sigma in (2.0, 3.0, 3.25):
        before, after = (side_of((sigma + shift,), size) for shift in (0, 1e-3))
        assert after == before + 2
        largest = learned_basis(scales(sigma / 2, sigma + 1e-3), name, after, size, options)[:, 1]
        energy, inside = (part.square().sum((1, 2)) for part in (largest, largest[:, 1:-1, 1:-1]))
        assert 0 < ((energy - inside) / energy).max() < 2e-3


def test_one_basis_for_all_who_share_the_scales():
    setting = ("hermite_b", 15, 5, {"mult": 1.5, "max_order": 4})
    one, two = (learned_basis(scales(1.0, 1.8), *setting) for _ in range(2))
    assert one.data_ptr() == two.data_ptr()
    assert learned_basis(scales(1.0, 1.81), *setting).data_ptr() != one.data_ptr()
    # Each has its own place in the graph: backward through one leaves the other alone.
    one.sum().backward()
    two.sum().backward()


def test_what_inference_made_can_be_trained_with():
    setting = ("hermite_a", 15, 5, {})
    with torch.inference_mode():
        learned_basis(torch.tensor([1.1, 1.7]), *setting)
    at = torch.tensor([1.1, 1.7], requires_grad=True)
    learned_basis(at, *setting).sum().backward()
    assert at.grad is not None


def test_threads_agree():
    setting = ("hermite_a", 15, 5, {})
    found = []
    workers = [threading.Thread(target=lambda: found.append(learned_basis(scales(), *setting))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(found[0], other) for other in found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_learnable("bspline", 7, {}), "cannot follow learned scales; use hermite_a or hermite_b"),
        (lambda: check_learnable("hermite_a", 7, {"mult": 2.0}), "unknown option of hermite_a 'mult'"),
        (lambda: check_learnable("hermite_b", 7, {"mult": 0.5}), "above 1"),
        (lambda: check_learnable("hermite_b", 0, {}), "effective size"),
        (lambda: learned_basis(scales(0.01, 1.0), "hermite_a", 9, 3, {}), "vanish"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
