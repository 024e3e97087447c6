"""The geometry of canvases, against boxes computed by hand and against the literal way: resize all, then crop."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import photo, red_box
from PIL import Image

from benchmark.data.canvas import (
    Box,
    centre_square,
    cut_out,
    cut_window,
    has_surroundings,
    shrink,
    square_around,
    windows,
)
from siconvnet.datasets import SCALES


def generator(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


@pytest.mark.parametrize(
    ("size", "box", "scale", "fit", "expected"),
    [
        # 800 x 600, factor 64/80 and 64/80: the object is the canvas, so there is one place.
        ((800, 600), (400, 300, 80, 80), 64, "stretch", [(640, 320, 320, 320), (480, 240, 240, 240)]),
        # 32/80 = 0.4: resized 320 x 240, object at 160..192 and 120..152, so the canvas begins at 128..160, 88..120.
        ((800, 600), (400, 300, 80, 80), 32, "stretch", [(320, 160, 128, 160), (240, 120, 88, 120)]),
        # In the corner: 0.4 again, object at 0..32; nothing before it.
        ((800, 600), (0, 0, 80, 80), 32, "stretch", [(320, 0, 0, 0), (240, 0, 0, 0)]),
        # In the opposite corner: object at 288..320, the canvas must end at 320.
        ((800, 600), (720, 520, 80, 80), 32, "stretch", [(320, 288, 256, 256), (240, 208, 176, 176)]),
        # 80 x 78: 40/80 and 40/78 = 0.5128, 600 * 0.5128 = 307.7, 300 * 0.5128 = 153.8.
        ((800, 600), (400, 300, 80, 78), 40, "stretch", [(400, 200, 176, 200), (308, 154, 130, 154)]),
        # The longer side decides, 0.4: 80 x 50 becomes 32 x 20, vertically at 120..140.
        ((800, 600), (400, 300, 80, 50), 32, "longer", [(320, 160, 128, 160), (240, 120, 76, 120)]),
    ],
)
def test_where_the_canvas_may_lie(size, box, scale, fit, expected):
    assert [tuple(axis) for axis in windows(size, Box(*box), scale, fit)] == expected


def test_rounding_never_leaves_the_picture():
    """7.5 and 71.5 round to the even 8 and 72, so that a box of 64 at 7.5 would end one pixel outside."""
    rng = np.random.default_rng(0)
    for _ in range(3000):
        side = int(rng.integers(64, 200))
        size = int(rng.integers(4 * side, 6 * side)), int(rng.integers(4 * side, 6 * side))
        left, top = (int(rng.choice([0, length - side, rng.integers(0, length - side)])) for length in size)
        box = Box(left, top, side, side)
        assert has_surroundings(size, box, "stretch")
        for axis in windows(size, box, int(rng.integers(17, 65)), "stretch"):
            assert 0 <= axis.low <= axis.high <= axis.length - 64


def test_surroundings_that_do_not_suffice():
    # At 17 pixels, 64 / 17 = 3.76 times the object must be there.
    assert has_surroundings((302, 302), Box(0, 0, 80, 80), "stretch")
    assert not has_surroundings((298, 400), Box(0, 0, 80, 80), "stretch")
    assert not has_surroundings((400, 298), Box(0, 0, 80, 80), "longer")


@pytest.mark.parametrize("fit", ["stretch", "longer"])
def test_a_window_is_a_crop_of_the_resized_picture(fit):
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (420, 500, 3), np.uint8)).resize((500, 420), 3)
    box = Box(310, 40, 96, 93)
    canvases, positions = cut_window(noise, box, fit, generator())
    for row in range(0, 48, 5):
        across, down = windows(noise.size, box, SCALES[row], fit)
        whole = noise.resize((across.length, down.length), Image.Resampling.LANCZOS)
        left, top = across.start - positions[row, 0], down.start - positions[row, 1]
        assert across.low <= left <= across.high and down.low <= top <= down.high
        crop = np.asarray(whole.crop((left, top, left + 64, top + 64)))
        assert np.abs(crop.astype(int) - canvases[row]).max() <= 1
        shifted = np.asarray(whole.crop((left + 1, top, left + 65, top + 64)))
        assert np.abs(shifted.astype(int) - canvases[row]).max() > 20, "the control: one pixel beside is another crop"


def test_positions_and_scales_are_where_the_object_is():
    box = Box(150, 120, 80, 80)
    canvases, positions = cut_window(photo((400, 380), box), box, "stretch", generator())
    assert canvases.shape == (48, 64, 64, 3) and len(np.unique(positions, axis=0)) > 20
    for scale, canvas, place in zip(SCALES, canvases, positions, strict=True):
        found = red_box(canvas)
        assert np.abs(np.subtract(found, (*place, scale, scale))).max() <= 1
        assert (canvas[..., 2] > 0).any() or scale > 60, "what is around it is what was around it"


def test_an_oblong_object_fits_by_its_longer_side():
    box = Box(150, 120, 80, 50)
    canvases, positions = cut_window(photo((400, 380), box), box, "longer", generator())
    for scale, canvas, place in zip(SCALES, canvases, positions, strict=True):
        assert np.abs(np.subtract(red_box(canvas), (*place, scale, scale * 50 / 80))).max() <= 1.5


@pytest.mark.parametrize("mean", [False, True])
def test_on_a_plain_canvas(mean):
    part = Image.new("RGB", (300, 280), (200, 40, 90))
    canvases, positions = cut_out(part, generator(), mean=mean)
    for scale, canvas, (left, top) in zip(SCALES, canvases, positions, strict=True):
        inside = np.zeros((64, 64), bool)
        inside[top : top + scale, left : left + scale] = True
        assert (canvas[inside] == (200, 40, 90)).all()
        assert (canvas[~inside] == ((200, 40, 90) if mean else 0)).all()


def test_gray_stays_gray():
    part = photo((90, 90)).convert("L")
    assert cut_out(part, generator())[0].shape == (48, 64, 64)
    assert cut_window(photo((400, 400)).convert("L"), Box(9, 9, 80, 80), "stretch", generator())[0].shape[1:] == (
        64,
        64,
    )


def test_same_seed_same_canvases():
    part = photo((90, 90))
    one, two, other = (cut_out(part, generator(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    assert not np.array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((10, 20, 30, 30), (10, 20, 30, 30)),
        ((10, 20, 30, 20), (10, 15, 30, 30)),
        ((0, 20, 20, 30), (0, 20, 30, 30)),
        ((85, 20, 15, 30), (70, 20, 30, 30)),
        ((0, 0, 90, 10), None),
    ],
)
def test_the_square_around_a_box(box, square):
    assert square_around(Box(*box), (100, 80)) == (square and Box(*square))


def test_centre_square():
    assert centre_square((100, 61)) == Box(19, 0, 61, 61)


def test_shrinking_first_moves_nothing():
    box = Box(700, 500, 400, 400)
    picture, small = shrink(photo((2000, 1700), box), box)
    assert small.side == 256 and np.abs(np.subtract(red_box(np.asarray(picture)), small)).max() <= 1
    same = photo((400, 400))
    assert shrink(same, Box(0, 0, 256, 256)) == (same, Box(0, 0, 256, 256))
