"""Objects cropped out of large photos by COCO's and YOLO's boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import photo, red_box
from PIL import Image

from benchmark.data import boxes, yolo
from benchmark.data.annotations import inside, whole_pixels
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
        content["images"].append({"id": 94, "file_name": "1.png", "width": 9})
        content["images"].append({"id": 95, "width": 9, "height": 9})
        for number in (94, 95):
            add({"image_id": number, "category_id": 7, "bbox": [0, 0, 1, 1]})

    photo(SIZE).save(tmp_path / "secret.png")
    coco(tmp_path / "boxes.json", change)
    code, _, err = benchmark("data", "build", "vehicles", *source[:-4], "--instances", 9)
    assert code == 1 and err.count("\n") == 1
    for words in (
        "1 crowds",
        "1 smaller than 64 pixels (--allow-upscaling takes them) (",
        "1 with too little around them (--background black or mean takes them)",
        "1 outside their photo",
        "2 with a broken box",
        "1 of an image that is not listed (annotations[14] of boxes.json)",
        "1 of a category that is not listed (annotations[15] of boxes.json)",
        "1 with a broken annotation (annotations[16] of boxes.json)",
        "1 in an image without width and height (annotations[21] of boxes.json)",
        "1 in an image without file_name (annotations[22] of boxes.json)",
        "2 with a file name that leads elsewhere",
        "1 missing",
        "1 of another size than its annotations say",
    ):
        assert words in err, words
    assert "'car' lacks 23" in err and "'bus' lacks 23" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a JSON file"),
        ("[" * 100_000, "is not a JSON file"),
        ("[]", "is not a COCO file"),
        ('{"images": []}', "is not a COCO file: it lacks 'categories'"),
        ('{"images": [], "categories": [], "annotations": []}', "marks objects of 0 classes"),
        ('{"images": [7], "categories": [], "annotations": []}', "is not a COCO file"),
        ('{"images": [{"id": 1}], "categories": [], "annotations": [{"image_id": 1}]}', "1 with a broken annotation"),
        (b"\xff\xfe\x00", "is not a JSON file"),
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
    for words in (
        f"1 with neither the four numbers of a box nor the pairs of a polygon ({labels / '0.txt'}:3)",
        f"1 with something other than numbers ({labels / '0.txt'}:4)",
        f"1 outside their photo ({labels / '0.txt'}:5)",
        f"1 missing ({labels / 'lost.txt'})",
        "1 smaller than 64 pixels",
    ):
        assert words in out, words
    dataset = load_dataset("vehicles")
    assert dataset.class_names == (("bus", "car") if names else ("class 0", "class 1"))
    for image, (left, _) in zip(dataset.images[0, 20, :, 0], dataset.header.positions[0, 20, :, 0], strict=True):
        assert abs(red_box(image)[0] - left) <= 1


def test_neither_coco_nor_yolo(tmp_path):
    with pytest.raises(DatasetError, match=r"is neither a COCO file \(.json\) nor a folder of YOLO files"):
        boxes.scan(tmp_path, tmp_path / "boxes.xml")


def test_whole_pixels():
    assert whole_pixels(10.2, 20.0, 30.5, 40.0) == Box(10, 20, 21, 20)
    for broken in ((0, 0, 0, 5), (0, 0, float("inf"), 5), (9, 9, 3, 20)):
        with pytest.raises(Unusable, match="broken box"):
            whole_pixels(*broken)


def test_inside_forgives_one_pixel():
    assert inside(Box(-1, 0, 50, 50), (100, 49)) == Box(0, 0, 49, 49)
    for outside in (Box(-2, 0, 50, 50), Box(60, 0, 50, 50), Box(200, 0, 9, 9)):
        with pytest.raises(Unusable, match="outside"):
            inside(outside, (100, 60))


def test_nothing_skipped_nothing_counted(source):
    pools, left_out = boxes.scan(source[1], source[3])
    assert {name: len(pool) for name, pool in pools.items()} == {"bus": 4, "car": 4} and not left_out


@pytest.mark.parametrize(
    ("kind", "twice", "message"),
    [
        ("images", {"id": 50, "file_name": "1.png"}, "two images with the id 50, '0.png' and '1.png'"),
        ("categories", {"id": 7, "name": "tram"}, "two categories with the id 7, 'car' and 'tram'"),
    ],
)
def test_ids_that_collide(benchmark, source, tmp_path, kind, twice, message):
    """As after joining two files: which entry an annotation means cannot be known."""
    coco(tmp_path / "boxes.json", lambda content: content[kind].append(twice))
    code, _, err = benchmark("data", "build", "vehicles", *source)
    assert code == 1 and message in err and err.count("\n") == 1
    coco(tmp_path / "boxes.json", lambda content: content[kind].append(dict(content[kind][0])))
    assert benchmark("data", "build", "vehicles", *source)[0] == 0, "the same entry twice means the same"


def test_ways_to_write_a_file_name(benchmark, source, tmp_path):
    """Absolute, with dots, with the other slash, and in a file that begins with a byte order mark."""
    (tmp_path / "photos" / "sub").mkdir()
    (tmp_path / "photos" / "2.png").rename(tmp_path / "photos" / "sub" / "2.png")

    def change(content):
        names = [str(tmp_path / "photos" / "0.png"), "sub/../1.png", "sub\\2.png"]
        for image, name in zip(content["images"], names, strict=False):
            image["file_name"] = name

    coco(tmp_path / "boxes.json", change)
    path = tmp_path / "boxes.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    code, out, err = benchmark("data", "build", "vehicles", *source)
    assert code == 0 and "note" not in out, err


#: How a picture has to be stored to be seen upright under an EXIF orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    6: Image.Transpose.ROTATE_90,
}


def write_turned(folder, orientations: list[int], frame: str) -> Path:
    """Photos with an EXIF orientation each, and a COCO file whose boxes count pixels in `frame`."""
    folder.mkdir()
    content: dict = {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "images": [], "annotations": []}
    for i, orientation in enumerate(orientations):
        seen = photo(SIZE, BOXES[i % 8], seed=i)
        stored = seen.transpose(STORED[orientation]) if orientation > 1 else seen
        exif = stored.getexif()
        exif[0x0112] = orientation
        stored.save(folder / f"{i}.png", exif=exif)
        meant = stored if frame == "stored" else seen
        size = dict(zip(("width", "height"), meant.size, strict=True))
        content["images"].append({"id": i, "file_name": f"{i}.png", **size})
        content["annotations"].append({"image_id": i, "category_id": 1 + i % 2, "bbox": red_box(np.asarray(meant))})
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(content))
    return path


def misplaced(name: str) -> int:
    """How many objects at scale 64 are not where they should be: red all over, but for a margin along one axis."""
    images = load_dataset(name).images[:, 0].reshape(-1, 64, 64, 3)
    return sum((image[..., 0] > 127).mean() < 0.8 for image in images)


@pytest.mark.parametrize("frame", ["stored", "displayed"])
@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_photos_turned_by_180_degrees_or_mirrored(benchmark, tmp_path, frame, orientation):
    """The sizes of photos that are turned by 90 degrees tell which pixels the boxes of the others count."""
    annotations = write_turned(tmp_path / "photos", [orientation] * 6 + [6], frame)
    source = ("--images", tmp_path / "photos", "--annotations", annotations, "--instances", 1, "--jobs", 1)
    code, out, err = benchmark("data", "build", "turned", *source)
    assert code == 0 and "note" not in out, err
    assert misplaced("turned") == 0


@pytest.mark.parametrize("frame", ["stored", "displayed"])
def test_photos_that_do_not_tell(benchmark, tmp_path, frame):
    annotations = write_turned(tmp_path / "photos", [3, 3, 3, 1, 3, 3], frame)
    source = ("--images", tmp_path / "photos", "--annotations", annotations, "--instances", 1, "--jobs", 1)
    code, out, _ = benchmark("data", "build", "assumed", *source)
    assert code == 0 and "5 of the 6 objects are in photos that EXIF turns or mirrors" in out
    assert "taken as displayed (--boxes stored if they are not)" in out
    assert misplaced("assumed") == (5 if frame == "stored" else 0)
    code, out, _ = benchmark("data", "build", "said", *source, "--boxes", frame)
    assert code == 0 and "note" not in out and misplaced("said") == 0


def test_boxes_of_yolo_count_pixels_as_displayed_unless_told_otherwise(benchmark, tmp_path):
    annotations = write_turned(tmp_path / "photos", [3, 6, 3, 6, 3, 6], "stored")
    labels = tmp_path / "labels"
    labels.mkdir()
    content = json.loads(annotations.read_text())
    for image, entry in zip(content["images"], content["annotations"], strict=True):
        left, top, width, height = entry["bbox"]
        numbers = (left + width / 2) / image["width"], (top + height / 2) / image["height"]
        numbers += width / image["width"], height / image["height"]
        (labels / f"{image['id']}.txt").write_text(f"{image['id'] % 2} {' '.join(map(str, numbers))}")
    source = ("--images", tmp_path / "photos", "--annotations", labels, "--instances", 1, "--jobs", 1)
    code, out, _ = benchmark("data", "build", "assumed", *source, "--background", "black")
    assert code == 0 and "6 of the 6 objects are in photos that EXIF turns or mirrors" in out
    assert misplaced("assumed") == 6
    code, out, _ = benchmark("data", "build", "said", *source, "--boxes", "stored")
    assert code == 0 and "note" not in out and misplaced("said") == 0


def test_the_same_object_again(benchmark, source, tmp_path):
    """The same box three times, and the photo copied under another name: still one object."""

    def change(content):
        content["annotations"] += [dict(content["annotations"][0], id=90 + i) for i in range(2)]
        content["images"].append({**content["images"][1], "id": 80, "file_name": "copy.png"})
        content["annotations"].append({**content["annotations"][1], "image_id": 80})

    (tmp_path / "photos" / "copy.png").write_bytes((tmp_path / "photos" / "1.png").read_bytes())
    coco(tmp_path / "boxes.json", change)
    code, _, err = benchmark("data", "build", "vehicles", *source[:-4], "--instances", 3)
    assert code == 1 and "3 the same object again (such as" in err and "'car' lacks 5" in err


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("0 0.5 0.5 0.2 0.4", ("cat", Box(80, 30, 40, 40))),
        ("1.0 0.5 0.5 0.2 0.4", ("dog", Box(80, 30, 40, 40))),
        ("1 0.4 0.3 0.6 0.3 0.6 0.7 0.4 0.7", ("dog", Box(80, 30, 40, 40))),
        ("-1 0.5 0.5 0.2 0.4", "of a class that is not 0, 1, 2, ..."),
        ("-0.5 0.5 0.5 0.2 0.4", "of a class that is not 0, 1, 2, ..."),
        ("nan 0.5 0.5 0.2 0.4", "of a class that is not 0, 1, 2, ..."),
        ("inf 0.5 0.5 0.2 0.4", "of a class that is not 0, 1, 2, ..."),
        ("2 0.5 0.5 0.2 0.4", "of a class without a name"),
        ("0 0,5 0,5 0,2 0,4", "with commas in their numbers (write 0.5 0.25)"),
        ("0 0.5 0.5 0.2 0.4 0.99", "with neither the four numbers of a box nor the pairs of a polygon"),
        ("0 0.5 0.5 nan 0.4", "with a broken box"),
        ("cat 0.5 0.5 0.2 0.4", "with something other than numbers"),
    ],
)
def test_a_line_of_yolo(line, result):
    names = {0: "cat", 1: "dog"}
    if isinstance(result, tuple):
        assert yolo.parse_line(line, names, (200, 100)) == result
    else:
        with pytest.raises(Unusable) as caught:
            yolo.parse_line(line, names, (200, 100))
        assert str(caught.value) == result


def test_without_names_a_negative_class_is_none_either():
    assert yolo.parse_line("7 0.5 0.5 0.2 0.4", {}, (200, 100))[0] == "class 7"
    with pytest.raises(Unusable, match="of a class that is not"):
        yolo.parse_line("-1 0.5 0.5 0.2 0.4", {}, (200, 100))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_names_of_classes_in_other_encodings(tmp_path, encoding):
    (tmp_path / "classes.txt").write_bytes("Tür\r\ncat\r\n".encode(encoding))
    assert yolo.read_names(tmp_path) == {0: "Tür", 1: "cat"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_labels_in_other_encodings(benchmark, tmp_path, encoding):
    write_photos(tmp_path / "photos", 6)
    (tmp_path / "labels").mkdir()
    for i in range(6):
        (tmp_path / "labels" / f"{i}.txt").write_bytes(f"{i % 2} 0.4 0.4 0.2 0.2\n".encode(encoding))
    source = ("--images", tmp_path / "photos", "--annotations", tmp_path / "labels", "--instances", 1)
    code, out, err = benchmark("data", "build", "mine", *source)
    assert code == 0 and "note" not in out, err


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("names: [cat, no, 3]", {0: "cat", 1: "no", 2: "3"}),
        ("names: {1: dog, 0: cat}", {0: "cat", 1: "dog"}),
        ("path: elsewhere", {}),
        ("names: {zero: cat}", "the key 'zero'; expected the numbers of the classes"),
        ("names: {-1: cat}", "the key '-1'"),
        ("names: cat", "must be a list"),
        ("names: [[cat]]", "has no text for class 0"),
        ("names: [cat", "cannot read the names of the classes from"),
        ("{" * 5000, "cannot read the names of the classes from"),
        ("a: &a [x]\nnames: [*a, *a]", "aliases (*name) are not accepted"),
        ("names: !!python/object/apply:os.mkdir [gotcha]", {0: "gotcha"}),
        ("names: !!timestamp 2024-13-45", "must be a list"),
    ],
)
def test_names_of_classes_in_yaml(tmp_path, text, result):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text(text)
    if isinstance(result, dict):
        assert yolo.read_names(tmp_path / "labels") == result
    else:
        with pytest.raises(DatasetError) as caught:
            yolo.read_names(tmp_path / "labels")
        assert result in str(caught.value) and str(tmp_path / "data.yaml") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_names_of_classes_beside_a_broken_file(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "other.yaml").write_text("{{ template }}")
    (tmp_path / "data.yaml").write_text("names: [cat]")
    assert yolo.read_names(tmp_path / "labels") == {0: "cat"}
