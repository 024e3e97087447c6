"""Objects cropped out of large photos by COCO's and YOLO's boxes."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from pictures import photo, red_box
from PIL import Image

from benchmark.data import boxes
from benchmark.data.canvas import Box
from benchmark.data.photos import Unusable
from siconvnet.datasets import load_dataset
from siconvnet.errors import DatasetError

#: left, top, width, height of the red object in photo i
BOXES = [(100 + 9 * i, 90 - 5 * i, 80 - i, 70) for i in range(8)]
SIZE = (420, 400)


def write_photos(folder, number: int = 8) -> None:
    folder.mkdir()
    for i in range(number):
        photo(SIZE, BOXES[i], seed=i).save(folder / f"{i}.png")


def coco(path, change=lambda content: None) -> None:
    """Photos 0..3 show a car each, 4..7 a bus."""
    content = {
        "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "bus"}],
        "images": [{"id": 50 + i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(8)],
        "annotations": [
            {"id": i, "image_id": 50 + i, "category_id": 7 if i < 4 else 3, "bbox": list(BOXES[i]), "iscrowd": 0}
            for i in range(8)
        ],
    }
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def source(tmp_path):
    write_photos(tmp_path / "photos")
    coco(tmp_path / "boxes.json")
    return "--images", tmp_path / "photos", "--annotations", tmp_path / "boxes.json", "--instances", 1, "--jobs", 1


def test_coco(benchmark, source):
    code, out, err = benchmark("data", "build", "vehicles", *source)
    assert code == 0 and "note" not in out, err
    dataset = load_dataset("vehicles")
    assert dataset.class_names == ("bus", "car") and "true surroundings" in dataset.metadata["description"]
    for split in ("train", "valid", "test"):
        subset = dataset.select(split, range(17, 65))
        for image, scale, (left, top) in zip(subset.images, subset.scales, subset.positions, strict=True):
            canvas = image.transpose(1, 2, 0) * 255
            # The object's square is as wide as its box; its height is 70 of 73..80 pixels, in the middle.
            x, y, width, height = red_box(canvas)
            assert abs(x - left) <= 1 and abs(width - scale) <= 1
            assert top - 1 <= y <= top + 0.1 * scale and 0.85 * scale - 1 <= height <= scale
            assert (canvas[..., 2] > 30).any() or scale == 64, "true surroundings"


def test_coco_on_black(benchmark, source):
    assert benchmark("data", "build", "vehicles", *source, "--background", "black")[0] == 0
    subset = load_dataset("vehicles").select("test", [20])
    for image, (left, top) in zip(subset.images, subset.positions, strict=True):
        outside = np.ones((64, 64), bool)
        outside[top : top + 20, left : left + 20] = False
        assert image[:, outside].max() == 0


def test_it_can_be_trained_on(benchmark, source, tmp_path):
    benchmark("data", "build", "vehicles", *source)
    run = ("run", "-m", "standard", "-d", "vehicles", "-e", 2, "--epochs", 1, "-q", "--device", "cpu")
    code, _, err = benchmark(*run, "--records", tmp_path / "records")
    assert code == 0, err


def test_what_is_left_out_is_counted(benchmark, source, tmp_path):
    def change(content):
        add = content["annotations"].append
        add({"image_id": 50, "category_id": 7, "bbox": [0, 0, 90, 90], "iscrowd": 1})
        add({"image_id": 50, "category_id": 7, "bbox": [0, 0, 40, 30]})
        add({"image_id": 50, "category_id": 7, "bbox": [0, 0, 300, 300]})
        add({"image_id": 50, "category_id": 7, "bbox": [400, 300, 90, 90]})
        add({"image_id": 50, "category_id": 7, "bbox": [0, 0, float("nan"), 90]})
        add({"image_id": 50, "category_id": 7, "bbox": [10, 10, -80, 90]})
        add({"image_id": 999, "category_id": 7, "bbox": [0, 0, 90, 90]})
        add({"image_id": 50, "category_id": 99, "bbox": [0, 0, 90, 90]})
        add("no object")
        for number, name in ((90, "../secret.png"), (91, "/etc/passwd"), (92, "gone.png"), (93, "0.png")):
            size = (1, 1) if number == 93 else SIZE
            content["images"].append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
            add({"image_id": number, "category_id": 7, "bbox": [0, 0, 1, 1] if number == 93 else [100, 100, 90, 90]})

    photo(SIZE).save(tmp_path / "secret.png")
    coco(tmp_path / "boxes.json", change)
    code, _, err = benchmark("data", "build", "vehicles", *source[:-4], "--instances", 9)
    assert code == 1 and err.count("\n") == 1
    for words in (
        "1 crowds",
        "1 smaller than 64 pixels",
        "1 with too little around them (--background black or mean takes them)",
        "1 outside their photo",
        "2 with a broken box",
        "3 with a broken annotation",
        "2 with a file name that leads elsewhere",
        "1 missing",
        "1 of another size than its annotations say",
    ):
        assert words in err, words
    assert "'car' lacks 23" in err and "'bus' lacks 23" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON file"),
        ("[" * 100_000, "is no JSON file"),
        ("[]", "is no COCO file"),
        ('{"images": []}', "is no COCO file: it lacks 'categories'"),
        ('{"images": [], "categories": [], "annotations": []}', "marks objects of 0 classes"),
        ('{"images": [7], "categories": [], "annotations": []}', "is no COCO file"),
        ('{"images": [{"id": 1}], "categories": [], "annotations": [{"image_id": 1}]}', "1 with a broken annotation"),
        (b"\xff\xfe\x00", "is no JSON file"),
    ],
)
def test_broken_annotations(benchmark, source, tmp_path, content, message):
    (tmp_path / "boxes.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = benchmark("data", "build", "vehicles", *source)
    assert code == 1 and message in err and err.count("\n") == 1


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_photos_of_another_folder(benchmark, source, tmp_path, kind):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    annotations = tmp_path / ("boxes.json" if kind == "coco" else "labels")
    code, _, err = benchmark("data", "build", "vehicles", "--images", tmp_path, "--annotations", annotations)
    example = "0.png" if kind == "coco" else "0.jpg"
    assert code == 1 and err.count("\n") == 1
    assert f"holds none of the photos that {annotations} is about, such as {example}; --images names" in err


def test_no_photo_in_two_splits(benchmark, tmp_path):
    """Three photos with two objects each: both of a photo must go to the same split."""
    (tmp_path / "photos").mkdir()
    content: dict = {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "images": [], "annotations": []}
    for i in range(3):
        Image.new("RGB", (600, 600), (80 * (i + 1),) * 3).save(tmp_path / "photos" / f"{i}.png")
        content["images"].append({"id": i, "file_name": f"{i}.png", "width": 600, "height": 600})
        for category in (1, 2):
            box = [100 * category, 100, 90, 90]
            content["annotations"].append({"image_id": i, "category_id": category, "bbox": box})
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    source = ("--images", tmp_path / "photos", "--annotations", tmp_path / "boxes.json", "--instances", 1, "--jobs", 1)
    assert benchmark("data", "build", "two", *source)[0] == 0
    levels = load_dataset("two").images[:, 0, :, 0, 0, 0, 0]
    assert (levels[:, 0] == levels[:, 1]).all() and len(set(levels[:, 0].tolist())) == 3


@pytest.mark.parametrize("names", ["classes.txt", "data.yaml", None])
def test_yolo(benchmark, tmp_path, names):
    write_photos(tmp_path / "photos", 6)
    labels = tmp_path / "labels"
    labels.mkdir()
    for i in range(6):
        left, top, width, height = BOXES[i]
        middle = (left + width / 2) / SIZE[0], (top + height / 2) / SIZE[1]
        (labels / f"{i}.txt").write_text(f"{i % 2} {middle[0]} {middle[1]} {width / SIZE[0]} {height / SIZE[1]}\n")
    with (labels / "0.txt").open("a") as stream:
        stream.write("\n0 0.5 0.5\nx 0.5 0.5 0.1 0.1\n1 5.0 0.5 0.2 0.2\n0 0.5 0.5 0.01 0.01\n")
    (labels / "lost.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (labels / "empty.txt").write_text("")
    if names == "classes.txt":
        (labels / names).write_text("car\nbus\n")
    elif names:
        (tmp_path / names).write_text("train: photos\nnames:\n  0: car\n  1: bus\n")
    source = ("--images", tmp_path / "photos", "--annotations", labels, "--jobs", 1)
    code, out, err = benchmark("data", "build", "vehicles", *source, "--instances", 1)
    assert code == 0, err
    for words in ("2 with a broken annotation", "1 outside their photo", "1 missing", "1 smaller than 64 pixels"):
        assert words in out, words
    dataset = load_dataset("vehicles")
    assert dataset.class_names == (("bus", "car") if names else ("class 0", "class 1"))
    for image, (left, _) in zip(dataset.images[0, 20, :, 0], dataset.header.positions[0, 20, :, 0], strict=True):
        assert abs(red_box(image)[0] - left) <= 1


def test_neither_coco_nor_yolo(tmp_path):
    with pytest.raises(DatasetError, match=r"is neither a COCO file \(.json\) nor a folder of YOLO files"):
        boxes.scan(tmp_path, tmp_path / "boxes.xml")


def test_whole_pixels():
    assert boxes.whole_pixels(10.2, 20.0, 30.5, 40.0) == Box(10, 20, 21, 20)
    for broken in ((0, 0, 0, 5), (0, 0, float("inf"), 5), (9, 9, 3, 20)):
        with pytest.raises(Unusable, match="broken box"):
            boxes.whole_pixels(*broken)


def test_inside_forgives_one_pixel():
    assert boxes.inside(Box(-1, 0, 50, 50), (100, 49)) == Box(0, 0, 49, 49)
    for outside in (Box(-2, 0, 50, 50), Box(60, 0, 50, 50), Box(200, 0, 9, 9)):
        with pytest.raises(Unusable, match="outside"):
            boxes.inside(outside, (100, 60))


def test_nothing_skipped_nothing_counted(source):
    pools, skipped = boxes.scan(source[1], source[3])
    assert {name: len(pool) for name, pool in pools.items()} == {"bus": 4, "car": 4} and skipped == Counter()
