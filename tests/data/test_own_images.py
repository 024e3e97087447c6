"""`benchmark data build NAME --images FOLDER`, from pictures to a trained model, and everything that can go wrong."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from pictures import photo, red_box
from PIL import Image

from benchmark.data import folders
from siconvnet.datasets import dataset_info, dataset_path, list_datasets, load_dataset
from siconvnet.datasets.identity import identify_file
from siconvnet.errors import DatasetError


def test_a_folder_becomes_a_dataset(benchmark, image_folder, tmp_path):
    folder = image_folder(number=7)
    code, out, err = benchmark("data", "build", "mine", "--images", folder, "--instances", 2, "--licence", "CC0")
    assert code == 0 and "48/48" not in out and f"{tmp_path / 'data' / 'mine.npz'}" in out
    assert "576/576" in err, "the bar counts images"
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["mine.npz"], "nothing else is left"
    assert list_datasets()[-1] == "mine"
    info = dataset_info("mine")
    assert (info.num_classes, info.num_instances, info.num_channels, info.licence) == (2, 2, 3, "CC0")
    dataset = load_dataset("mine")
    assert dataset.class_names == ("cat", "dog") and "on black" in dataset.metadata["description"]
    for split in ("train", "valid", "test"):
        subset = dataset.select(split, range(17, 65))
        for image, scale, (left, top) in zip(subset.images, subset.scales, subset.positions, strict=True):
            inside = image[2, top : top + scale, left : left + scale]
            assert (inside > 0.1).all() and (image > 0).sum() == inside.size, "blue noise there, and black elsewhere"
    assert "mine" in benchmark("datasets")[1]
    assert "mine" in [row["name"] for row in json.loads(benchmark("datasets", "--format", "json")[1])]
    assert "none known for this file" in benchmark("data", "verify", "mine")[1]


def test_a_file_that_a_link_names_is_built_where_it_leads(benchmark, image_folder, tmp_path):
    small, big = tmp_path / "small", tmp_path / "big"
    small.mkdir()
    big.mkdir()
    (small / "mine.npz").symlink_to(big / "mine.npz")
    code, _, err = benchmark(
        "data", "build", "mine", "--images", image_folder(), "--instances", 1, "--output", small / "mine.npz"
    )
    assert code == 0, err
    assert (small / "mine.npz").is_symlink() and (big / "mine.npz").is_file()
    os.mkfifo(small / "pipe.npz")
    code, _, err = benchmark(
        "data", "build", "mine", "--images", image_folder(), "--instances", 1, "--output", small / "pipe.npz"
    )
    assert code == 1 and "not a regular file" in err
    assert {path.name for path in small.iterdir()} == {"mine.npz", "pipe.npz"}


def test_it_can_be_trained_on(benchmark, image_folder, tmp_path):
    benchmark("data", "build", "mine", "--images", image_folder(), "--instances", 1)
    run = ("run", "-m", "standard", "-d", "mine", "-e", 2, "--epochs", 1, "-q", "--device", "cpu")
    code, out, err = benchmark(*run, "--records", tmp_path / "records")
    assert code == 0, err
    assert "mine" in out and any((tmp_path / "records").iterdir())


def test_same_seed_same_pixels_however_many_workers(benchmark, image_folder, tmp_path):
    folder = image_folder(number=6)
    for name, *options in (("one", "--jobs", 1), ("two", "--jobs", 2), ("other", "--seed", 0)):
        assert benchmark("data", "build", name, "--images", folder, "--instances", 1, *options)[0] == 0
    one, two, other = (load_dataset(name) for name in ("one", "two", "other"))
    assert np.array_equal(one.images, two.images) and np.array_equal(one.header.positions, two.header.positions)
    assert not np.array_equal(one.header.positions, other.header.positions)


def test_the_same_pictures_are_the_same_dataset(benchmark, image_folder, monkeypatch):
    """Built on another day, under another licence or name: runs on it are found again. Another seed is another one."""
    folder = image_folder(number=4)
    build = ("data", "build", "mine", "--images", folder, "--instances", 1, "--jobs", 1)

    def identity(*options) -> tuple[str, str]:
        assert benchmark(*build, *options)[0] == 0
        return load_dataset("mine").metadata["date"], identify_file(dataset_path("mine"))

    day, first = identity()

    class Tomorrow(datetime.date):
        @classmethod
        def today(cls):
            return datetime.date(2999, 12, 31)

    monkeypatch.setattr("benchmark.data.custom.datetime.date", Tomorrow)
    next_day, second = identity("--licence", "CC0")
    assert day != next_day == "31 December 2999" and first == second
    assert identity("--seed", 1)[1] != first


def test_no_picture_is_in_two_splits(benchmark, image_folder):
    folder = image_folder(number=9)
    benchmark("data", "build", "mine", "--images", folder, "--instances", 3)
    images = load_dataset("mine").images[:, 0]  # at scale 64 the canvas is the picture
    pictures = {image.tobytes() for image in images.reshape(-1, 64, 64, 3)}
    assert len(pictures) == 3 * 2 * 3


def test_split_folders_are_kept(benchmark, image_folder, tmp_path):
    image_folder(root="images/train", number=4)
    image_folder(root="images/test", number=2, mode="L")
    assert benchmark("data", "build", "mine", "--images", tmp_path / "images", "--instances", 2)[0] == 0
    images = load_dataset("mine").images
    gray = (images[..., 0] == images[..., 2]).all((1, 2, 3, 4, 5))
    assert gray.tolist() == [False, False, True]


def test_folders_beside_those_of_the_splits(benchmark, image_folder, tmp_path):
    """What holds no pictures is passed over; what does makes it unclear which folders are classes."""
    image_folder(root="images/train", number=4)
    folder = image_folder(root="images/test", number=2, mode="L").parent
    (folder / "annotations").mkdir()
    (folder / "annotations" / "train.json").write_text("{}")
    (folder / "__MACOSX" / "train").mkdir(parents=True)
    photo((70, 70)).save(folder / "__MACOSX" / "train" / "._0.png")
    code, out, err = benchmark("data", "build", "mine", "--images", folder, "--instances", 2)
    assert code == 0 and "Without pictures, and so left out: __MACOSX (empty), annotations (1 .json)." in out, err
    assert load_dataset("mine").class_names == ("cat", "dog")
    image_folder(root="images/previews", classes=["cat"], number=1)
    code, out, err = benchmark("data", "build", "mine", "--images", folder, "--instances", 2)
    assert (code, out) == (1, "") and "holds folders of splits (test, train) and others with pictures (previews)" in err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train", "val", "valid"], "holds the folders train, val, valid; expected train, valid and test"),
        (["val", "test"], "holds the folders test, val; expected train, valid and test"),
        (["train"], "holds train alone; name that: --images "),
    ],
)
def test_folders_that_are_no_whole_set_of_splits(tmp_path, image_folder, names, message):
    for name in names:
        image_folder(root=f"images/{name}", number=1)
    with pytest.raises(DatasetError, match=message):
        folders.scan(tmp_path / "images")


def test_classes_that_vanish_are_named(image_folder, tmp_path):
    folder = image_folder(number=2)
    (folder / "empty").mkdir()
    (folder / "phone").mkdir()
    for name in ("1.heic", "2.HEIC", "notes.txt"):
        (folder / "phone" / name).write_text("x")
    (folder / "cat" / "3.heic").write_text("x")
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "4.png").write_text("x")
    (folder / "dog" / "0.png").rename(folder / "dog" / "0.jfif")
    pools, left_out, notes = folders.scan(folder)
    assert {name: len(pool) for name, pool in pools.items()} == {"cat": 2, "dog": 2}
    assert notes == ["Without pictures, and so left out: empty (empty), phone (2 .heic, 1 .txt)."]
    assert left_out.counts == {"of a kind that is not read (.heic)": 3, "in no folder of a class": 1}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_links_and_pipes(benchmark, image_folder, tmp_path):
    """A link to a folder is followed, one that leads in a circle once, and a pipe is not waited for."""
    elsewhere = image_folder(number=3)
    folder = tmp_path / "linked"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "pictures").symlink_to(elsewhere / name)
        (folder / name / "circle").symlink_to(folder / name)
        os.mkfifo(folder / name / "0.png")
    code, out, err = benchmark("data", "build", "mine", "--images", folder, "--instances", 1, "--jobs", 1)
    assert code == 0 and f"not a regular file (such as {folder / 'cat' / '0.png'})" in out, err


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_names_that_are_not_utf8(benchmark, image_folder, tmp_path):
    folder = image_folder(number=3)
    os.rename(os.fsencode(folder / "dog"), os.fsencode(folder) + b"/h\xe4schen")  # noqa: PTH104
    os.rename(os.fsencode(folder / "cat" / "1.png"), os.fsencode(folder / "cat") + b"/\xff.png")  # noqa: PTH104
    os.rename(os.fsencode(folder), os.fsencode(tmp_path) + b"/\xfc")  # noqa: PTH104
    named = os.fsdecode(os.fsencode(tmp_path) + b"/\xfc")
    code, _, err = benchmark("data", "build", "mine", "--images", named, "--instances", 1, "--jobs", 1)
    assert code == 0, err
    dataset = load_dataset("mine")
    assert dataset.class_names == ("cat", "h\\xe4schen") and "'\\xfc'" in dataset.metadata["description"]
    code, _, err = benchmark("data", "card", "mine", "--output", tmp_path / "cards")
    assert code == 0, err


def test_gray_and_colour(benchmark, image_folder):
    folder = image_folder(number=4, mode="L")
    assert "note" not in benchmark("data", "build", "gray", "--images", folder, "--instances", 1)[1]
    assert load_dataset("gray").num_channels == 1
    for i in range(3):
        photo((80, 80), seed=50 + i).save(folder / "cat" / f"{i}.png")
    (folder / "cat" / "3.png").unlink()
    code, out, _ = benchmark("data", "build", "mixed", "--images", folder, "--instances", 1)
    assert code == 0 and "3 of the 6 objects are gray and are written as colour" in out
    assert "gray and are written as colour" in load_dataset("mixed").metadata["description"]
    code, out, _ = benchmark("data", "build", "less", "--images", folder, "--instances", 1, "--channels", 1)
    assert "3 of the 6 objects are in colour and are written as gray" in out and load_dataset("less").num_channels == 1


def test_small_pictures(benchmark, image_folder):
    folder = image_folder(side=40)
    code, _, err = benchmark("data", "build", "mine", "--images", folder, "--instances", 1)
    assert code == 1 and "6 smaller than 64 pixels (--allow-upscaling takes them)" in err and err.count("\n") == 1
    code, out, _ = benchmark("data", "build", "mine", "--images", folder, "--instances", 1, "--allow-upscaling")
    assert code == 0 and "6 of the 6 objects are smaller than 64 pixels and are upscaled" in out
    assert "upscaled" in dataset_info("mine").origin, "the file itself says so"


def test_damaged_pictures_are_replaced(benchmark, image_folder):
    """A picture that is cut short has a whole header, so that it is found out when it is drawn."""
    folder = image_folder(number=5)
    for name in ("1.png", "4.png"):  # those that would be taken first
        content = (folder / "dog" / name).read_bytes()
        (folder / "dog" / name).write_bytes(content[: len(content) // 2])
    (folder / "cat" / "1.png").write_text("no picture")
    (folder / "cat" / "readme.txt").write_text("no picture either")
    code, out, _ = benchmark("data", "build", "mine", "--images", folder, "--instances", 1, "--quiet")
    assert code == 0 and "unreadable" in out
    code, _, err = benchmark("data", "build", "mine2", "--images", folder, "--instances", 2, "--quiet")
    assert code == 1 and "'dog' lacks" in err and "'cat' lacks 2" in err and err.count("\n") == 1
    images = load_dataset("mine").images
    assert images.reshape(-1, 64 * 64 * 3).max(1).min() > 0, "no canvas stayed empty"


def test_jpegs_are_read_at_a_fraction_of_their_size(benchmark, tmp_path):
    """Large JPEGs are decoded small; the object must still be where the file says."""
    for c in "ab":
        (tmp_path / "images" / c).mkdir(parents=True)
        for i in range(3):
            picture = photo((525 + i, 515), (0, 0, 262, 515))
            picture.resize((2100 + 4 * i, 2060)).save(tmp_path / "images" / c / f"{i}{c}.jpg", quality=60 + ord(c) - 97)
    assert benchmark("data", "build", "mine", "--images", tmp_path / "images", "--instances", 1, "--jobs", 1)[0] == 0
    subset = load_dataset("mine").select("train", [64, 30, 17])
    for image, scale, place in zip(subset.images, subset.scales, subset.positions, strict=True):
        found = red_box(image.transpose(1, 2, 0) * 255)
        assert np.abs(np.subtract(found, (*place, scale / 2, scale))).max() <= 1.5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["emoji", "--images", "."], 2, "'emoji' is a built-in dataset and takes no --images"),
        (["trafficsign", "--images", "."], 2, "'trafficsign'"),
        (["mnist_scale_0", "--images", "."], 2, "is the name of a built-in dataset"),
        (["../mine", "--images", "."], 2, "is no name for a dataset"),
        (["a" * 65, "--images", "."], 2, "is no name for a dataset"),
        (["mine"], 2, "For images of your own: --images FOLDER, or --torchvision NAME."),
        (["Mnist", "--images", "."], 2, "'Mnist' is the name of a built-in dataset"),
        (["mnist_range", "--images", "."], 2, "is the name of a built-in dataset"),
        (["mine", "--images", "nowhere"], 2, "'nowhere' does not exist"),
        (["mine", "--instances", 3], 2, "no images were named; give --images FOLDER or --torchvision NAME"),
        (["mine", "--images", ".", "--instances", 0], 2, "--instances must be within 1 and 100000, got 0"),
        (["mine", "--images", ".", "--classes", 1], 2, "--classes must be 2 or more, got 1"),
        (["mine", "--images", ".", "--channels", 2], 2, "--channels must be 1 (gray) or 3 (colour), got 2"),
        (["mine", "--images", ".", "--background", "blck"], 2, "Did you mean 'black'?"),
        (["mine", "--images", ".", "--background", "crop"], 2, "needs --annotations"),
        (
            ["mine", "--images", ".", "--canvas", 32],
            2,
            "--canvas 32 is not accepted, only 64: models take",
        ),
        (
            ["mine", "--images", ".", "--scales", "8-32"],
            2,
            "--scales 8-32 is not accepted, only 17-64: a file",
        ),
        (["mine", "--images", ".", "--boxes", "stored"], 2, "--boxes says what the boxes of --annotations count"),
        (["mine", "--images", ".", "--boxes", "seen"], 2, "unknown convention of boxes 'seen'"),
        (["mine", "--torchvision", "EMNIST"], 2, "torchvision's EMNIST cannot be opened by its folder alone (Unknown"),
        (["mine", "--torchvision", "Places365"], 2, "Places365 cannot be opened by its folder alone (Unknown"),
        (["mine", "--torchvision", "LSUN"], 1, "needs another package (No module named 'lmdb'); type: pip install"),
        (["mine", "--images", ".", "--seed", -1], 2, "--seed must be within"),
        (["mine", "--images", ".", "--jobs", 0], 2, "jobs must be 1 or more"),
        (["mine", "--images", ".", "--source", "."], 2, "--source is for built-in datasets"),
        (["mine", "--images", "."], 1, "holds pictures of 0 classes; expected a folder for each"),
        (["mine", "--torchvision", "CIFAR1000"], 2, "Did you mean"),
        (["mine", "--torchvision", "cifar10"], 2, "Did you mean 'CIFAR10'?"),
        (["mine", "--torchvision", "CIFAR10"], 1, "torchvision's CIFAR10 is not in"),
        (["mine", "--torchvision", "FakeData"], 2, "is not read from a folder"),
        (["mine", "--torchvision", "ImageFolder", "--images", "."], 2, "leave --torchvision out"),
        (["mine", "--torchvision", "CIFAR10", "--annotations", "."], 2, "exclude each other"),
    ],
)
def test_what_goes_wrong_is_one_line(benchmark, tmp_path, monkeypatch, arguments, code, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    found, out, err = benchmark("data", "build", *arguments)
    assert (found, out) == (code, "")
    assert message in err and err.count("\n") == 1 and err.startswith("error: ")
    data = tmp_path / "data"
    assert not data.exists() or not any(data.iterdir()), "nothing is left behind"


def test_fewer_classes_than_asked_for(benchmark, image_folder):
    code, _, err = benchmark("data", "build", "mine", "--images", image_folder(), "--classes", 3)
    assert code == 2 and "there are only 2 classes" in err


def test_the_classes_with_most_objects(benchmark, image_folder):
    image_folder(classes=("a", "b"), number=3)
    folder = image_folder(classes=("c", "d"), number=4)
    assert benchmark("data", "build", "mine", "--images", folder, "--classes", 2, "--instances", 1)[0] == 0
    assert load_dataset("mine").class_names == ("c", "d")


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_build_goes_on_where_it_was(benchmark, image_folder, tmp_path):
    folder = image_folder(number=30)
    arguments = ["data", "build", "mine", "--images", str(folder), "--instances", "10", "--jobs", "1", "--quiet"]
    code = "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "SICONVNET_DATA": str(tmp_path / "data")}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)
    end = time.monotonic() + 60
    while time.monotonic() < end and sum(map(_lines, tmp_path.glob("data/.mine.npz.partial-*/journal.jsonl"))) < 5:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (journal,) = tmp_path.glob("data/.mine.npz.partial-*/journal.jsonl")
    done = _lines(journal)
    assert 5 <= done < 60 and not (tmp_path / "data" / "mine.npz").exists()
    # One finished object is spoilt: its checksum gives it away, and it is drawn again.
    slot, *_ = json.loads(journal.read_text().splitlines()[0])
    shape = (3, 48, 2, 10)
    with journal.with_name("imgs.raw").open("r+b") as images:
        images.seek(int(np.ravel_multi_index((slot[0], 20, *slot[1:]), shape)) * 64 * 64 * 3)
        images.write(b"spoilt")
    code, _, err = benchmark(*arguments[:-1])
    assert code == 0 and f"{(60 - done + 1) * 48}/{(60 - done + 1) * 48}" in err, "the rest, and the spoilt one"
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["mine.npz"]
    resumed = load_dataset("mine").images
    benchmark(*arguments[:2], "again", *arguments[3:])
    assert np.array_equal(load_dataset("again").images, resumed)


def _lines(path) -> int:
    return path.read_text().count("\n")


def test_another_plan_starts_anew(benchmark, image_folder, tmp_path):
    left = tmp_path / "data" / ".mine.npz.partial-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "imgs.raw").write_bytes(b"of other images")
    assert benchmark("data", "build", "mine", "--images", image_folder(), "--instances", 1)[0] == 0
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["mine.npz"]


def test_files_of_other_formats_in_the_data_folder(benchmark, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    np.savez(data / "mnist_scale_0.npz", train_imgs=np.zeros(3))
    (data / "broken.npz").write_bytes(b"PK\x03\x04 no more")
    (data / "note.txt").write_text("hello")
    assert benchmark("datasets")[0] == 0 and "broken" not in list_datasets()
    code, _, err = benchmark("data", "verify", "broken")
    assert code == 1 and "broken.npz is not an intact .npz file" in err


def gtsrb(root) -> None:
    """The layout of torchvision's GTSRB: training pictures by class folder, test pictures by a table."""
    base = root / "gtsrb"
    for c in range(2):
        folder = base / "GTSRB" / "Training" / f"{c:05d}"
        folder.mkdir(parents=True)
        for i in range(2):
            photo((70, 70), seed=c * 10 + i).save(folder / f"0000{i}_00000.ppm")
    folder = base / "GTSRB" / "Final_Test" / "Images"
    folder.mkdir(parents=True)
    rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for c in range(2):
        photo((70, 70), (0, 0, 70, 60), seed=50 + c).save(folder / f"{c:05d}.ppm")
        rows.append(f"{c:05d}.ppm;70;70;0;0;70;70;{c}")
    (base / "GT-final_test.csv").write_text("\n".join(rows) + "\n")


def test_torchvision_gtsrb(benchmark, tmp_path):
    gtsrb(tmp_path)
    arguments = ("--torchvision", "GTSRB", "--images", tmp_path, "--instances", 1, "--jobs", 1)
    code, _, err = benchmark("data", "build", "signs_of_germany", *arguments)
    assert code == 0, err
    dataset = load_dataset("signs_of_germany")
    assert dataset.class_names == ("0", "1") and "torchvision's GTSRB" in dataset.metadata["description"]
    red = (dataset.images[..., 0] == 255).any((1, 2, 3, 4, 5))
    assert red.tolist() == [False, False, True], "the test set is the test split"


def test_torchvision_mnist(benchmark, tmp_path):
    """Gray pictures of 28 pixels, from the four files as torchvision keeps them."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, number in (("train", 40), ("t10k", 20)):
        labels = np.arange(number, dtype=np.uint8) % 10
        images = rng.integers(1, 256, (number, 28, 28), np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, number) + labels.tobytes())
        header = struct.pack(">IIII", 2051, number, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    arguments = ("--torchvision", "MNIST", "--images", tmp_path, "--instances", 1, "--jobs", 1)
    assert "smaller than 64 pixels" in benchmark("data", "build", "digits", *arguments)[2]
    code, out, err = benchmark("data", "build", "digits", *arguments, "--allow-upscaling", "--quiet")
    assert code == 0 and "30 of the 30 objects are smaller" in out, err
    dataset = load_dataset("digits")
    assert dataset.num_channels == 1 and dataset.class_names[0] == "0 - zero"


def test_pictures_that_a_torchvision_dataset_holds_twice(benchmark, tmp_path):
    """They are told by their pixels, so that none is both learned from and tested on."""
    gtsrb(tmp_path)
    folder = tmp_path / "gtsrb" / "GTSRB" / "Training" / "00000"
    shutil.copy(folder / "00000_00000.ppm", folder / "00001_00000.ppm")
    arguments = ("--torchvision", "GTSRB", "--images", tmp_path, "--instances", 1, "--jobs", 1)
    code, _, err = benchmark("data", "build", "signs_of_germany", *arguments)
    assert code == 1 and "'0' lacks 1; left out: 1 the same object again" in err


def test_a_cifar_like_folder(benchmark, tmp_path):
    """Ten classes of 32 pixels, as CIFAR-10 is unpacked; transparent and palette pictures among them."""
    for c in range(10):
        for i in range(3):
            folder = tmp_path / "cifar" / f"class{c}"
            folder.mkdir(parents=True, exist_ok=True)
            picture = photo((32, 32), seed=c * 10 + i)
            mode = ("RGB", "RGBA", "P")[i]
            picture.quantize().save(folder / f"{i}.png") if mode == "P" else picture.convert(mode).save(
                folder / f"{i}.png"
            )
    arguments = ("--images", tmp_path / "cifar", "--instances", 1, "--allow-upscaling", "--background", "mean")
    assert benchmark("data", "build", "cifar", *arguments)[0] == 0
    dataset = load_dataset("cifar")
    assert (dataset.num_classes, dataset.num_channels) == (10, 3)
    image, place = dataset.images[0, 47, 0, 0], dataset.header.positions[0, 47, 0, 0]
    outside = np.ones((64, 64), bool)
    outside[place[1] : place[1] + 17, place[0] : place[0] + 17] = False
    assert len(np.unique(image[outside], axis=0)) == 1 and image[outside].max() > 90


def test_a_copied_file_is_known_by_its_name(benchmark, image_folder, tmp_path):
    benchmark("data", "build", "mine", "--images", image_folder(), "--instances", 1)
    shutil.move(tmp_path / "data" / "mine.npz", tmp_path / "data" / "yours.npz")
    assert list_datasets()[-1] == "yours" and load_dataset("yours").name == "yours"
    assert Image.fromarray(load_dataset("yours").images[0, 0, 0, 0]).size == (64, 64)
