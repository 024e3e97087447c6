"""DISCO bases: against the published ones, by their defining property, and through the cache."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from siconvnet.bases import make_basis
from siconvnet.bases.cache import cache_path, cached
from siconvnet.bases.common import ranks
from siconvnet.bases.dilation import dilated_basis
from siconvnet.bases.disco import cache_key, delta_basis, disco_b, mix, solve_delta_basis
from siconvnet.bases.hermite import varying_scale
from siconvnet.bases.rescaling import (
    PIXEL_MEAN,
    PIXEL_VARIANCE,
    basis_equivariance_error,
    bicubic,
    pair_form,
    scale_pairs,
)
from siconvnet.errors import InvalidArgument

HERE = Path(__file__).parent
PUBLISHED = {"size5": (5, 3, [1.0, 1.41, 2.0]), "size15": (15, 7, [1.0, 1.26, 1.59, 2.0])}


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    return tmp_path


def pair_norms(basis: torch.Tensor, scales: list[float], images: torch.Tensor) -> dict[tuple[int, int], float]:
    """The published objective, pair by pair, by convolving and rescaling images."""
    norms = {}
    kernels = basis[:, None].to(images)
    margin = basis.shape[-1] // 2
    pad = [margin] * 4
    for i, j in scale_pairs(len(scales)):
        factor = scales[i] / scales[j]

        def down(x: torch.Tensor, factor: float = factor) -> torch.Tensor:
            return F.interpolate(x, scale_factor=factor, mode="bicubic", align_corners=False)

        one = down(F.conv2d(F.pad(images, pad, mode="circular"), kernels[:, :, j]))
        other = F.conv2d(F.pad(down(images), pad, mode="circular"), kernels[:, :, i])
        inner = (one - other)[..., margin + 1 : -margin - 1, margin + 1 : -margin - 1]
        norms[i, j] = inner.norm().item()
    return norms


def noise(seed: int, count: int = 4) -> torch.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (count, 1, 154, 154))
    return torch.from_numpy(values).float() / 255


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_worse_than_the_published_basis_on_fresh_images(name):
    size, effective_size, scales = PUBLISHED[name]
    published = torch.from_numpy(np.load(HERE / "disco_published.npz")[name])
    ours = solve_delta_basis(size, scales, effective_size)
    for seed in range(3):
        old, new = (np.array(list(pair_norms(b, scales, noise(seed)).values())) for b in (published, ours))
        assert new.sum() <= old.sum()
        assert (new**2).sum() <= (old**2).sum()


def test_closed_form_is_what_random_images_show():
    basis = solve_delta_basis(5, [1.0, 1.41, 2.0], 3)
    images = noise(7, 48)
    measured = pair_norms(basis, [1.0, 1.41, 2.0], images)
    for (i, j), norm in measured.items():
        form = pair_form(5, [1.0, 1.41, 2.0][j] / [1.0, 1.41, 2.0][i])
        expected = (48 * form.error(basis[:, i], basis[:, j]).sum()).sqrt().item()
        assert norm == pytest.approx(expected, rel=0.01, abs=1e-3)


def test_blocks_are_the_matrices_of_the_error():
    form = pair_form(5, 1.3)
    torch.manual_seed(0)
    small, large = torch.randn(2, 5, 5, dtype=torch.float64)
    larger, cross, smaller = form.blocks()
    h, k = small.flatten(), large.flatten()
    torch.testing.assert_close(form.error(small, large), k @ larger @ k - 2 * h @ cross @ k + h @ smaller @ h)
    torch.testing.assert_close(form.signal(large), k @ larger @ k)
    assert noise(0).mean().item() == pytest.approx(PIXEL_MEAN, rel=0.01)
    assert noise(0).var().item() == pytest.approx(PIXEL_VARIANCE, rel=0.02)


def test_bicubic_weights_are_torchs():
    impulse = torch.eye(9, dtype=torch.float64)[None]
    rescaled = F.interpolate(impulse[:, :, None], scale_factor=(1, 0.7), mode="bicubic", align_corners=False)[0, :, 0]
    outputs = torch.arange(rescaled.shape[1], dtype=torch.float64)
    position = (outputs + 0.5) / 0.7 - 0.5
    expected = bicubic(position[None] - torch.arange(9, dtype=torch.float64)[:, None])
    torch.testing.assert_close(rescaled[2:7, 2:4], expected[2:7, 2:4])


def test_exact_at_integer_scales():
    scales = [1.0, 2.0, 3.0, 4.0]
    basis = solve_delta_basis(13, scales, 3)
    assert basis_equivariance_error(basis, scales).max() < 1e-14
    assert max(pair_norms(basis, scales, noise(0, 1).double()).values()) < 1e-10


def test_a_single_pixel_is_exact_at_every_scale():
    """Nothing is left to weigh the pairs of scales by."""
    basis = solve_delta_basis(5, [1.0, 1.1], 1)
    assert basis_equivariance_error(basis, [1.0, 1.1]).max() < 1e-12


def test_measures_see_a_basis_that_does_not_commute():
    basis, scales = dilated_basis(13, [1.0, 1.5], 3, mode="nearest"), [1.0, 1.5]
    assert basis_equivariance_error(basis, scales)[0, 1] > 0.05
    assert pair_norms(basis, scales, noise(0, 1))[0, 1] > 1


def test_no_kernel_near_the_solution_is_better():
    scales = [1.0, 1.41, 2.0]
    basis = solve_delta_basis(5, scales, 3)

    def objective(candidate: torch.Tensor) -> float:
        forms = {(i, j): pair_form(5, scales[j] / scales[i]) for i, j in [(0, 1), (1, 2)]}
        return sum(f.error(candidate[:, i], candidate[:, j]).sum().sqrt().item() for (i, j), f in forms.items())

    torch.manual_seed(0)
    best = objective(basis)
    for _ in range(20):
        moved = basis.clone()
        moved[:, 1] += 1e-3 * torch.randn(9, 5, 5, dtype=torch.float64)
        assert objective(moved) > best


def test_solving_is_deterministic_and_symmetric():
    basis = solve_delta_basis(9, [1.0, 1.5, 2.0], 3)
    assert torch.equal(basis, solve_delta_basis(9, [1.0, 1.5, 2.0], 3))
    torch.testing.assert_close(basis.mT.reshape(3, 3, 3, 9, 9).transpose(0, 1).reshape(basis.shape), basis)
    torch.testing.assert_close(basis.flip(0, 2, 3), basis)
    assert ranks(basis) == [9, 9, 9]


@pytest.mark.parametrize(("size", "effective_size", "scales"), [(21, 5, [1.0, 1.7, 3.0, 4.3]), (7, 3, [1.0, 1.1, 1.2])])
def test_better_than_any_dilation_at_other_settings(size, effective_size, scales):
    def objective(basis: torch.Tensor) -> float:
        pairs = scale_pairs(len(scales))
        return sum(
            pair_form(size, scales[j] / scales[i]).error(basis[:, i], basis[:, j]).sum().sqrt().item() for i, j in pairs
        )

    ours = objective(solve_delta_basis(size, scales, effective_size))
    for mode in ("nearest", "bilinear", "bicubic"):
        assert ours < objective(dilated_basis(size, scales, effective_size, mode=mode))


def test_mixing_the_published_basis_gives_the_originals_buffer():
    published = torch.from_numpy(np.load(HERE / "disco_published.npz")["size15"])
    mixed = mix(varying_scale(7, 1.9, 4, 1.9, 49), published.double())
    golden = np.load(HERE.parent / "golden" / "disco.npz")["buffer_conv1.basis.basis"]
    np.testing.assert_allclose(mixed, golden, atol=5e-6)
    ours = basis_equivariance_error(disco_b(15, PUBLISHED["size15"][2], 7), PUBLISHED["size15"][2])
    theirs = basis_equivariance_error(torch.from_numpy(golden), PUBLISHED["size15"][2])
    assert ours.sum() <= theirs.sum() * 1.001


@pytest.mark.parametrize("name", ["disco_a", "disco_b"])
def test_unit_norm_at_the_smallest_scale(name):
    basis = make_basis(name, 9, [1.0, 1.5, 2.0], 3)
    assert basis.shape == (9, 3, 9, 9)
    torch.testing.assert_close(basis[:, 0].flatten(1).norm(dim=1), torch.ones(9, dtype=torch.float64))


def test_cache_returns_what_was_solved(data_dir):
    arguments = (9, [1.0, 1.5, 2.0], 3)
    path = cache_path(cache_key(*arguments))
    first = delta_basis(*arguments)
    assert path.is_relative_to(data_dir) and [p.name for p in path.parent.iterdir()] == [path.name]
    assert torch.equal(delta_basis(*arguments), first)
    # The second answer came from the file: a marked file shows through.
    stored = dict(np.load(path))
    stored["basis"] = stored["basis"] + 1
    np.savez(path, **stored)
    assert torch.equal(delta_basis(*arguments), first + 1)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "other key", "nan"])
def test_a_damaged_cache_file_is_solved_anew(damage):
    arguments = (9, [1.0, 1.5, 2.0], 3)
    first = delta_basis(*arguments)
    path = cache_path(cache_key(*arguments))
    content, stored = path.read_bytes(), dict(np.load(path))
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no basis")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other key":
        np.savez(path, **(stored | {"key": np.array("{}"), "basis": stored["basis"] + 1}))
    else:
        np.savez(path, **(stored | {"basis": stored["basis"] * np.nan}))
    assert torch.equal(delta_basis(*arguments), first)
    assert torch.equal(torch.from_numpy(np.load(path)["basis"]), first)


def test_whatever_bit_of_a_cache_file_is_wrong(data_dir):
    key, basis = {"name": "test"}, torch.arange(9, dtype=torch.float64).reshape(1, 1, 3, 3)
    path = cache_path(key)
    cached(key, basis.shape, lambda: basis)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (place % 8, (place + 4) % 8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            assert torch.equal(cached(key, basis.shape, lambda: basis), basis)


def test_two_threads_write_two_files(data_dir, monkeypatch):
    written = []
    monkeypatch.setattr(np, "savez_compressed", lambda file, **arrays: written.append(file.name))
    basis = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    with ThreadPoolExecutor(2) as pool:
        both = threading.Barrier(2)
        for _ in pool.map(lambda _: cached({}, basis.shape, lambda: (both.wait(), basis)[1]), range(2)):
            pass
    assert len(set(written)) == 2


def test_a_folder_that_cannot_be_written_does_not_matter(data_dir):
    (data_dir / "bases").write_text("in the way")
    assert delta_basis(9, [1.0, 1.5, 2.0], 3).shape == (9, 3, 9, 9)


@pytest.mark.parametrize(
    ("size", "scales", "effective_size", "message"),
    [
        (14, [1.0, 1.5], 7, "odd"),
        (15, [1.0, 1.5], 6, "effective size"),
        (15, [1.5, 1.7], 7, "integer scale"),
        (15, [0.5, 1.0], 7, "at least 1"),
        (15, [2.0, 1.0], 7, "ascending"),
        (15, [1.0, 3.0], 7, "19 pixels"),
        (5, [1.0], 7, "effective size"),
    ],
)
def test_refuses(size, scales, effective_size, message):
    with pytest.raises(InvalidArgument, match=message):
        solve_delta_basis(size, scales, effective_size)


def test_refuses_a_width_of_zero():
    with pytest.raises(InvalidArgument, match="min_scale"):
        make_basis("disco_b", 15, [1.0, 2.0], 7, min_scale=0.0)
