"""The synthetic dataset `signs`: the same pictures everywhere, textures of one split apart from those of another."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.data import signs, signs_source
from benchmark.data.assembly import Plan, assemble
from benchmark.data.canvas import has_surroundings
from benchmark.data.selection import Slot
from benchmark.data.signs import PICTURE, SIDE, compose, compose_box
from benchmark.data.verification import CHECKSUMS, checksum, compare
from siconvnet.datasets import dataset_info, load_dataset
from siconvnet.errors import DatasetError, InvalidArgument

PICTURE_CHECKSUM = "9dfec11bfbfe24bb1a7f708c9576025b"


def test_the_embedded_source_is_the_known_one():
    pictures, textures, names = signs_source.load()
    assert all(check.ok for check in compare({"signs": pictures, "textures": textures}, CHECKSUMS["signs_source"]))
    assert names[:2] == ["stop", "yield"] and len(set(names)) == 16
    assert signs_source.EMBEDDED_FILE.stat().st_size < 3_000_000


def test_every_sign_fills_its_square():
    for picture in signs_source.load()[0]:
        covered = picture[..., 3] > 30
        assert max(np.ptp(np.flatnonzero(covered.any(axis))) for axis in (0, 1)) >= 125


def test_a_plan_of_16_classes():
    plan = signs.plan(None).plan
    info = dataset_info("signs")
    assert (len(plan.class_names), plan.instances, plan.recipe.num_channels) == (16, 25, 3)
    assert (info.num_classes, info.num_instances, info.num_channels) == (16, 25, 3)
    assert len(plan.slots) == 3 * 16 * 25 == len({candidate.photo.key for candidate in plan.slots.values()})
    for slot, candidate in plan.slots.items():
        assert candidate.box == compose_box(slot) and has_surroundings((PICTURE, PICTURE), candidate.box, "stretch")
    with pytest.raises(InvalidArgument, match="build signs_source"):
        signs.plan(signs_source.EMBEDDED_FILE.parent)


def test_the_same_picture_everywhere():
    picture, box = compose(Slot(1, 2, 3))
    assert picture.size == (PICTURE, PICTURE) and box.side == SIDE
    assert checksum(np.asarray(picture)) == checksum(np.asarray(compose(Slot(1, 2, 3))[0])) == PICTURE_CHECKSUM
    assert checksum(np.asarray(compose(Slot(1, 2, 4))[0])) != PICTURE_CHECKSUM


def test_the_sign_is_in_its_box():
    """The same slot drawn with another sign differs inside the box and, but for the blur, nowhere else."""
    one, box = compose(Slot(0, 0, 0))
    pictures, textures, names = signs_source.load()
    signs._source.cache_clear()
    original = signs_source.load
    try:
        signs_source.load = lambda: (np.roll(pictures, 4, 0), textures, names)
        other, _ = compose(Slot(0, 0, 0))
    finally:
        signs_source.load = original
        signs._source.cache_clear()
    rows, columns = np.nonzero((np.asarray(one) != np.asarray(other)).any(-1))
    assert box.left - 5 <= columns.min() <= box.left + 3 and box.top - 5 <= rows.min() <= box.top + 3
    assert np.ptp(columns) <= SIDE + 10 and np.ptp(rows) <= SIDE + 10


def test_no_texture_in_two_splits():
    texture = np.zeros((384, 384, 3), np.uint8)
    for third in range(3):
        texture[:, third * 128 : third * 128 + 128] = 60 * (third + 1)
    generator = np.random.RandomState(0)
    for split in range(3):
        for _ in range(30):
            found = np.unique(np.asarray(signs._background(texture, split, generator)))
            assert found.tolist() == [60 * (split + 1)]


def test_a_part_of_it_is_built(tmp_path):
    """Two classes with one instance; the whole takes a minute."""
    whole = signs.plan(None).plan
    slots = {slot: candidate for slot, candidate in whole.slots.items() if slot.label < 2 and slot.instance == 0}
    plan = Plan(whole.class_names[:2], 1, slots, whole.recipe, whole.metadata)
    assemble(tmp_path / "part.npz", plan)
    dataset = load_dataset(tmp_path / "part.npz")
    assert "Synthetic" in dataset.metadata["description"] and "no results" in dataset.metadata["description"]
    sign = Image.fromarray(signs_source.load()[0][0]).resize((64, 64), Image.Resampling.LANCZOS)
    canvas = dataset.images[0, 0, 0, 0].astype(float)
    inside = np.asarray(sign)[..., 3] > 250
    correlation = np.corrcoef(np.asarray(sign.convert("RGB"))[inside].ravel(), canvas[inside].ravel())[0, 1]
    assert correlation > 0.9, "at scale 64 the canvas is the sign"


@pytest.mark.slow
def test_the_whole_of_it(benchmark):
    assert benchmark("data", "build", "signs", "--quiet")[0] == 0
    code, out, _ = benchmark("data", "verify", "signs")
    assert code == 0 and "imgs    ok" in out


def test_a_source_without_its_signs(tmp_path):
    with pytest.raises(DatasetError, match=r"lacks 16 of the 16 signs \(regulatory--stop--g1.svg first\)"):
        signs_source.build(tmp_path)
    with pytest.raises(DatasetError, match="name its folder: --source DIR"):
        signs_source.build()
