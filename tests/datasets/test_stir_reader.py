"""Splits, scales, latents and their one order, on the emoji file and on a small colour file."""

from __future__ import annotations

import numpy as np
import pytest

from siconvnet.datasets import SCALES, SPLITS, load_dataset
from siconvnet.datasets.stir import shuffled_order
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName


@pytest.fixture(scope="module")
def emoji():
    return load_dataset("emoji")


def test_what_the_file_says(emoji):
    assert (emoji.name, emoji.num_classes, emoji.num_instances, emoji.num_channels) == ("emoji", 36, 1, 1)
    assert emoji.SCALES == SCALES == tuple(range(64, 16, -1))
    assert emoji.class_names[0] == "tired" and emoji.class_names[33] == "smile" and len(emoji.class_names) == 36
    assert set(emoji.metadata) == {"title", "description", "author", "license", "version", "date"}
    assert "Font Awesome" in emoji.metadata["license"] and "CC BY 4.0" in emoji.metadata["license"]


def test_types_shapes_and_order(emoji):
    subset = emoji.select("valid", [20, 64, 33])
    assert len(subset) == 3 * 36
    assert (subset.images.shape, subset.images.dtype) == ((108, 1, 64, 64), np.float32)
    assert subset.images.flags.c_contiguous
    assert subset.images.min() == 0 and subset.images.max() == 1
    for latent, shape in ((subset.labels, (108,)), (subset.scales, (108,)), (subset.positions, (108, 2))):
        assert (latent.shape, latent.dtype) == (shape, np.int64)
    assert subset.scales.tolist() == [20] * 36 + [64] * 36 + [33] * 36
    assert subset.labels.tolist() == [*range(36)] * 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_latents_belong_to_their_images(emoji, split, shuffle):
    """Nothing is drawn outside the box that scale and position give, and the icon spans it one way or the other."""
    subset = emoji.select(split, range(17, 65), shuffle)
    for image, scale, (left, top) in zip(subset.images, subset.scales, subset.positions, strict=True):
        inside = image[0, top : top + scale, left : left + scale]
        assert inside.sum() == pytest.approx(image.sum())
        assert max(inside.any(axis=0).mean(), inside.any(axis=1).mean()) > 0.9


def test_wrong_latents_would_be_noticed(emoji):
    """The negative control of the test above: boxes of another split do not fit."""
    images, other = emoji.select("train", [20]).images, emoji.select("test", [20]).positions
    kept = [
        image[0, top : top + 20, left : left + 20].sum() / image.sum()
        for image, (left, top) in zip(images, other, strict=True)
    ]
    assert min(kept) < 0.5


@pytest.mark.parametrize("length", [1, 2, 3, 36, 576, 1728])
def test_one_permutation_is_the_published_shuffle_of_every_array(length):
    """The published loader shuffles images, labels, scales and positions each by a fresh RandomState(42)."""
    order = shuffled_order(length)
    for shape, kind in (((length, 1, 6, 6), "f4"), ((length, 3, 2, 2), "f4"), ((length,), "i8"), ((length, 2), "i8")):
        array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
        published = array.copy()
        np.random.RandomState(42).shuffle(published)
        np.testing.assert_array_equal(array[order], published)


def test_shuffled_subset_is_the_published_one(emoji):
    scales = range(33, 49)
    plain, shuffled = (emoji.select("train", scales, shuffle) for shuffle in (False, True))
    for name in ("images", "labels", "scales", "positions"):
        published = getattr(plain, name).copy()
        np.random.RandomState(42).shuffle(published)
        np.testing.assert_array_equal(getattr(shuffled, name), published)
    assert (plain.labels != shuffled.labels).any()


def test_pixels_are_those_of_the_file_divided_by_255(emoji):
    subset = emoji.select("test", [40, 18])
    stored = emoji.images[2, [64 - 40, 64 - 18], :, 0].reshape(-1, 1, 64, 64)
    np.testing.assert_array_equal(subset.images, stored.astype(np.float32) / 255.0)


def test_colour_channels_come_first(stir_file):
    path, arrays = stir_file(num_channels=3)
    dataset = load_dataset(path)
    assert (dataset.name, dataset.num_classes, dataset.num_instances, dataset.num_channels) == ("toy", 2, 2, 3)
    subset = dataset.select("test", [50])
    assert subset.images.shape == (4, 3, 64, 64) and subset.images.flags.c_contiguous
    expected = arrays["imgs"][2, 14].reshape(4, 64, 64, 3)
    for channel in range(3):
        np.testing.assert_array_equal(np.rint(subset.images[:, channel] * 255), expected[..., channel])
    assert subset.labels.tolist() == [0, 0, 1, 1]


def test_integers_of_any_size_are_read(stir_file):
    """The published files were written on a system whose integers have 32 bits."""
    path, _ = stir_file(change=lambda a: a | {key: a[key].astype(np.int32) for key in ("lbls", "scls", "psts")})
    assert load_dataset(path).select("train", [17]).labels.dtype == np.int64


def test_unknown_split(emoji):
    with pytest.raises(UnknownName, match=r"unknown split 'vaild'. Did you mean 'valid'\?"):
        emoji.select("vaild", [20])


@pytest.mark.parametrize("scales", [[], [16], [65], [33, 20.5], ["20"], [33.0], 33, [None], [-1]])
def test_bad_scales(emoji, scales):
    with pytest.raises(InvalidArgument, match=r"integers of 17\.\.64"):
        emoji.select("train", scales)


def test_numpy_scales_are_accepted(emoji):
    assert len(emoji.select("train", np.array([20, 21]))) == 72


def test_a_file_of_another_dataset_under_a_known_name(monkeypatch, tmp_path, stir_file):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    path, _ = stir_file()
    path.rename(tmp_path / "mnist.npz")
    with pytest.raises(DatasetError, match=r"not the dataset 'mnist'.*\(2, 2, 1\), expected \(10, 50, 1\)"):
        load_dataset("mnist")


def test_images_are_read_when_first_needed(stir_file):
    """Opening is cheap and checks the format; damage among the pixels is found when they are read."""
    path, _ = stir_file()
    content = bytearray(path.read_bytes())
    at = content.index(b"imgs.npy") + 100_000
    content[at] ^= 0xFF
    path.write_bytes(content)
    dataset = load_dataset(path)
    with pytest.raises(DatasetError, match=r"not an intact \.npz file \(Bad CRC-32"):
        dataset.select("train", [64])
