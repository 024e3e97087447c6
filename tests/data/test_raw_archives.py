"""`trafficsign` and `aerial` from small archives in the layout of the downloads, with boxes computed by hand."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pictures import photo, red_box

from benchmark.data import aerial, trafficsign
from benchmark.data.canvas import Box
from benchmark.data.crops import Marked, draft, find_photos
from benchmark.data.left_out import LeftOut
from benchmark.data.photos import ZipPhoto
from benchmark.data.selection import Candidate, Slot
from siconvnet.datasets import load_dataset
from siconvnet.errors import DatasetError

SIZE = (330, 320)


def encoded(image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    return stream.getvalue()


def sign(label: str, box: tuple[float, float, float, float], **properties: bool) -> dict:
    xmin, ymin, xmax, ymax = box
    return {
        "label": label,
        "bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
        "properties": {"barrier": False, "occluded": False, "ambiguous": False, **properties},
    }


class Mtsd:
    """The folder of the Mapillary downloads: photos in four archives, annotations as files."""

    def __init__(self, root: Path):
        self.root = root
        self.texts = root / "mtsd_v2_fully_annotated"
        (self.texts / "splits").mkdir(parents=True)
        (self.texts / "annotations").mkdir()
        self.keys: dict[str, list[str]] = {"train": [], "val": []}
        self.archives = {
            name: zipfile.ZipFile(root / name, "w") for name in ("train.0.zip", "train.1.zip", "train.2.zip", "val.zip")
        }

    def add(self, key: str, objects: list, content: bytes | None = None, part: str = "train", size=SIZE) -> None:
        self.keys[part].append(key)
        annotation = {"width": size[0], "height": size[1], "ispano": False, "objects": objects}
        (self.texts / "annotations" / f"{key}.json").write_text(json.dumps(annotation))
        if content is not None:
            name = "val.zip" if part == "val" else f"train.{len(self.keys['train']) % 3}.zip"
            self.archives[name].writestr(f"images/{key}.jpg", content)

    def close(self) -> Path:
        for archive in self.archives.values():
            archive.close()
        for part, keys in self.keys.items():
            (self.texts / "splits" / f"{part}.txt").write_text("\n".join(keys) + "\n")
        return self.root


def two_signs(i: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of the two signs in photo i: 76 to 85 pixels, widths and heights one apart."""
    one, two = 76 + (i * 7) % 8, 76 + (i * 5) % 9
    return [(20 + i % 5, 30, one, one + 1), (200 - i % 7, 180 + i % 3, two + 1, two)]


@pytest.fixture(scope="module")
def mtsd(tmp_path_factory) -> Path:
    """80 photos with a stop and a yield sign each, and everything that has to be left out."""
    source = Mtsd(tmp_path_factory.mktemp("mtsd"))
    for i in range(80):
        boxes = two_signs(i)
        objects = [
            # Corners are floored and ceiled to the boxes above.
            sign(label, (left + 0.4, top + 0.2, left + width - 0.3, top + height - 0.9))
            for label, (left, top, width, height) in zip(("stop", "yield"), boxes, strict=True)
        ]
        objects += [
            sign("stop", (0, 0, 200, 200), occluded=True),
            sign("other-sign", (5, 5, 85, 85)),
            sign("stop", (5, 5, 85, 95)),
            sign("rare", (5, 5, 25, 25)),
        ]
        source.add(
            f"photo_{i:02d}", objects, encoded(photo(SIZE, *boxes, seed=i), "JPEG"), "val" if i > 70 else "train"
        )
    return source.close()


def test_trafficsign(benchmark, mtsd, tmp_path):
    code, _, err = benchmark("data", "build", "trafficsign", "--source", mtsd)
    assert code == 1 and "would have 2 classes here, and the published file has 16" in err and err.count("\n") == 1
    output = tmp_path / "mine.npz"
    code, out, err = benchmark(
        "data", "build", "trafficsign", "--source", mtsd, "--unverified", "--output", output, "--jobs", 1
    )
    assert code == 0 and "7200/7200" in err
    assert "have objects in more than one split" in out
    dataset = load_dataset(output)
    assert dataset.class_names == ("stop", "yield") and dataset.num_instances == 25 and dataset.num_channels == 3
    for label in range(2):
        ranks = sorted(range(80), key=lambda i: -min(two_signs(i)[label][2:]))
        for split, instance in ((0, 0), (1, 11), (2, 24)):
            _check_canvases(dataset, split, label, instance, two_signs(ranks[3 * instance + split])[label])


def _check_canvases(dataset, split, label, instance, box) -> None:
    left, top, width, height = box
    for row, scale in enumerate(range(64, 16, -1)):
        x, y = dataset.header.positions[split, row, label, instance]
        # Three pixels more on each side are enough to see where it ends, and too few to see the other sign.
        x0, y0 = max(x - 3, 0), max(y - 3, 0)
        canvas = dataset.images[split, row, label, instance, y0 : y + scale + 3, x0 : x + scale + 3]
        # Both sides are `scale`, as each is scaled by its own factor.
        found = np.subtract(red_box(canvas), (x - x0, y - y0, scale, scale))
        assert np.abs(found).max() <= 1, (split, label, instance, scale)
        # The photo's own borders limit where the object can be: start of the object in the resized photo, by hand.
        start, full = round(left * scale / width), round(SIZE[0] * scale / width)
        assert max(0, start + scale - 64) <= start - x <= min(full - 64, start)
        start, full = round(top * scale / height), round(SIZE[1] * scale / height)
        assert max(0, start + scale - 64) <= start - y <= min(full - 64, start)


def test_the_same_choice_as_a_database_makes(mtsd):
    """The published selection was a query; run on the same rows it must name the same signs in the same order."""
    plan = trafficsign.plan(mtsd).plan
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE o (file TEXT, label TEXT, x INTEGER, y INTEGER, w INTEGER, h INTEGER)")
    for i in range(80):
        for label, box in zip(("stop", "yield"), two_signs(i), strict=True):
            base.execute("INSERT INTO o VALUES (?,?,?,?,?,?)", (f"photo_{i:02d}", label, *box))
    for c, label in enumerate(plan.class_names):
        rows = base.execute("SELECT * FROM o WHERE label = ? ORDER BY MIN(w, h) DESC LIMIT 75", (label,)).fetchall()
        for split in range(3):
            for instance, (file, _, *box) in enumerate(rows[split::3]):
                candidate = plan.slots[Slot(split, c, instance)]
                assert isinstance(candidate.photo, ZipPhoto) and candidate.photo.member == f"images/{file}.jpg"
                assert candidate.box == Box(*box)


def test_same_pixels_however_many_workers(benchmark, mtsd, tmp_path):
    for jobs in (1, 2):
        output = tmp_path / f"{jobs}.npz"
        options = ("--unverified", "--output", output, "--jobs", jobs, "--quiet")
        assert benchmark("data", "build", "trafficsign", "--source", mtsd, *options)[0] == 0
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_damaged_photos_and_annotations_are_counted(benchmark, tmp_path):
    source = Mtsd(tmp_path / "mtsd")
    whole = encoded(photo(SIZE, (20, 20, 80, 80)), "JPEG")
    for i in range(84):
        content = {1: whole[: len(whole) // 2], 2: None, 3: b"no picture"}.get(i, whole)
        source.add(f"p{i}", [sign("stop", (20, 20, 100, 100))], content, size=(999, 320) if i == 4 else SIZE)
    broken = {
        "b0": "{",
        "b1": "[]",
        "b2": '{"objects": [{"label": "stop"}, 3, {"properties": {}, "label": "stop", "bbox": {"xmin": "x"}}]}',
    }
    for key, text in broken.items():
        source.add(key, [], whole)
        (source.texts / "annotations" / f"{key}.json").write_text(text)
    source.keys["train"] += ["../../secret", "nowhere"]
    source.add("edge", [sign("stop", (-3, 5, 77, 85)), sign("stop", (0, 0, 310, 310))], whole)
    source.add("panorama", [sign("stop", (300, 5, 20, 85))], whole)
    source.close()
    output = tmp_path / "mine.npz"
    options = ("--source", tmp_path / "mtsd", "--unverified", "--output", output, "--jobs", 1, "--quiet")
    code, out, err = benchmark("data", "build", "trafficsign", *options)
    assert code == 0, err
    for words in (
        "5 with a broken annotation",
        "1 with a file name that leads elsewhere",
        "2 missing",
        "1 outside their photo",
        "1 with too little around them",
        "1 with a broken box",
        "Replaced by the next largest: 2 unreadable (such as ",
        "1 of another size than its annotations say (",
    ):
        assert words in out, words
    dataset = load_dataset(output)
    assert dataset.images.reshape(-1, 64 * 64 * 3).max(1).min() > 200, "every canvas shows its sign"
    assert "2 unreadable" in dataset.metadata["description"]


def test_a_damaged_archive_ends_the_build(benchmark, mtsd, tmp_path):
    content = (mtsd / "val.zip").read_bytes()
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.0.zip").write_bytes(content[:-30])
    code, _, err = benchmark("data", "build", "trafficsign", "--source", source)
    assert code == 1 and "train.0.zip is no intact zip archive" in err and "download it again" in err
    (source / "train.0.zip").write_bytes(content)
    code, _, err = benchmark("data", "build", "trafficsign", "--source", source)
    assert code == 1 and "holds no mtsd_v2_fully_annotated/splits/train.txt" in err
    code, _, err = benchmark("data", "build", "aerial", "--source", source)
    assert code == 1 and "holds no DOTA-v1.5_train.zip" in err


def test_annotations_may_stay_in_their_archive(mtsd, tmp_path):
    source = tmp_path / "zipped"
    source.mkdir()
    for path in mtsd.glob("*.zip"):
        (source / path.name).symlink_to(path)
    with zipfile.ZipFile(source / "annotations.zip", "w") as archive:
        for path in sorted((mtsd / "mtsd_v2_fully_annotated").rglob("*.*")):
            archive.write(path, path.relative_to(mtsd))
    boxes = {slot: candidate.box for slot, candidate in trafficsign.plan(mtsd).plan.slots.items()}
    assert {slot: candidate.box for slot, candidate in trafficsign.plan(source).plan.slots.items()} == boxes


def test_members_that_lead_elsewhere_are_no_photos(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("images/a.jpg", "../images/b.jpg", "/images/../images/c.jpg", "images/sub/d.jpg", "images/e.png"):
            archive.writestr(name, b"")
    assert list(find_photos([path], ".jpg")) == ["a"]


def row(label: str, box: tuple[int, int, int, int], tilt: int = 0) -> str:
    left, top, width, height = box
    corners = (left, top, left + width, top + tilt, left + width, top + height, left, top + height - tilt)
    return " ".join([*(f"{value}.0" for value in corners), label, "0"])


def oblong(i: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the object in image i: 66 to 72 pixels wide, 40 high."""
    return 100 + i % 9, 120 - i % 4, 66 + i % 7, 40


@pytest.fixture(scope="module")
def dota(tmp_path_factory) -> Path:
    """82 images with a ship each, and everything that the recipe leaves out."""
    root = tmp_path_factory.mktemp("dota")
    for part in ("train", "val"):
        (root / part).mkdir()
    texts = {part: zipfile.ZipFile(root / part / f"DOTA-v1.5_{part}.zip", "w") for part in ("train", "val")}
    images = [zipfile.ZipFile(root / name, "w") for name in ("train/part1.zip", "train/part2.zip", "val/part1.zip")]
    size = (380, 370)
    for i in range(86):
        part = "val" if i % 3 == 2 else "train"
        image = photo(size, oblong(i), seed=i)
        header = ["imagesource:GoogleEarth", "gsd:0.1"]
        rows = [
            row("ship", oblong(i)),
            row("ship", (10, 10, 80, 50), tilt=5),  # atan(5/80) = 3.6 degrees
            row("ship", (10, 10, 75, 50)),  # 370 // 75 = 4: too large for its image
            row("ship", (10, 10, 63, 50)),
            row("plane", (10, 10, 70, 70)) if i < 74 else "",
        ]
        if i == 82:
            header[0] = "imagesource:GF"
        if i == 83:
            image = image.convert("L")
        if i == 84:
            rows = [row("ship", (-4, 10, 70, 50)), "x y z", "1.0 2.0", "nan 0 0 0 0 0 0 0 ship 0"]
        if i != 85:
            images[i % 3].writestr(f"images/P{i:04d}.png", encoded(image, "PNG"))
        texts[part].writestr(f"P{i:04d}.txt", "\n".join([*header, *rows]) + "\n")
    for archive in (*texts.values(), *images):
        archive.close()
    return root


def test_aerial(benchmark, dota, tmp_path):
    output = tmp_path / "aerial.npz"
    options = ("--source", dota, "--unverified", "--output", output, "--jobs", 1, "--quiet")
    code, out, err = benchmark("data", "build", "aerial", *options)
    assert code == 0, err
    for words in ("1 outside their photo", "3 with a broken annotation", "1 missing"):
        assert words in out, words
    dataset = load_dataset(output)
    assert dataset.class_names == ("ship",), "74 planes are one too few"
    order = [i for i in range(82) if i % 3 != 2] + [i for i in range(82) if i % 3 == 2]
    ranks = sorted(order, key=lambda i: -oblong(i)[2])
    for split, instance in ((0, 0), (1, 7), (2, 24)):
        left, top, width, height = oblong(ranks[3 * instance + split])
        for row_number, scale in enumerate(range(64, 16, -1)):
            x, y = dataset.header.positions[split, row_number, 0, instance]
            found = red_box(dataset.images[split, row_number, 0, instance])
            assert np.abs(np.subtract(found, (x, y, scale, height * scale / width))).max() <= 1.5
            start = round(left * scale / width)
            assert max(0, round((left + width) * scale / width) - 64) <= start - x <= start
            assert round(top * scale / width) - y >= 0


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        (row("ship", (10, 20, 70, 50)), True),
        (row("ship", (10, 20, 64, 64)), True),
        (row("ship", (10, 20, 63, 63)), False),
        (row("ship", (10, 20, 74, 74)), True),  # 370 // 74 = 5
        (row("ship", (10, 20, 75, 75)), False),
        (row("ship", (10, 20, 70, 50), tilt=3), True),  # atan(3/70) = 2.5 degrees
        (row("ship", (10, 20, 70, 50), tilt=4), False),  # 3.3 degrees
        ("80.0 20.0 10.0 20.0 10.0 70.0 80.0 70.0 ship 0", False),  # the first edge points to the left: 180 degrees
    ],
)
def test_which_aerial_objects_are_accepted(fields, accepted):
    marked = aerial._object(fields.split(), (380, 370), ZipPhoto(Path("x.zip"), "images/P.png"))
    assert (marked is not None) == accepted


def test_the_largest_are_dealt_out_in_turn():
    sizes = [100 + i // 2 for i in range(80)]
    random.Random(0).shuffle(sizes)
    items = [
        Marked("a", side, Candidate(ZipPhoto(Path("x.zip"), str(i)), Box(0, 0, side, side)))
        for i, side in enumerate(sizes)
    ]
    metadata = {"description": "x"}
    made = draft(items, fit="stretch", metadata=metadata, left_out=LeftOut())
    ranked = sorted(items, key=lambda item: -item.rank)
    assert [made.plan.slots[Slot(k % 3, 0, k // 3)] for k in range(75)] == [item.candidate for item in ranked[:75]]
    assert made.spares == {"a": [item.candidate for item in ranked[75:]]} and made.notes == []
    assert [made.spare(Slot(0, 0, 0)) for _ in range(6)] == [*(item.candidate for item in ranked[75:]), None]
    with pytest.raises(DatasetError, match=r"no class has 75 objects of 64 pixels, the most that one has is 74"):
        draft(items[:74], fit="stretch", metadata=metadata, left_out=LeftOut())
