"""STIR MNIST from the embedded digits: golden images, other processors, the whole file."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.data import BUILDERS, build, mnist_development, mnist_digits, prepare, verify
from benchmark.data.layout import draw_positions
from benchmark.data.verification import CHECKSUMS, checksum, compare
from siconvnet.datasets import SCALES, dataset_path
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

# (split, digit, instance) -> checksum of its 48 images in the file of the known checksum. The first three are among
# the 19 whose brightest pixel depends on the processor.
GOLDEN = {
    (0, 3, 27): "c05b2ce22a8a9aff152157774a668424",
    (0, 7, 14): "593a72e021f59296ebd6b03cd37a0a94",
    (0, 5, 14): "8860712eaa82fabf7590f85d1c4d78d3",
    (0, 3, 7): "8fb5f44571b5db30ed25673f7991eb56",
    (1, 8, 7): "354767724fbb82d3eaa7ed20c8c23547",
    (2, 0, 7): "3525f24346146d556b90883b303c412e",
}


@pytest.fixture(scope="module")
def positions():
    return draw_positions(10, 50)


def developed(place, positions, *, fixed: bool = True):
    split, digit, instance = place
    digits, brightest = mnist_digits.load()
    levels = brightest[split, :, digit, instance].tolist() if fixed else [None] * len(SCALES)
    return np.stack(
        [
            mnist_development.develop(
                digits[place], scale, positions[split, row, digit, instance], int(levels[row]) if fixed else None
            )
            for row, scale in enumerate(SCALES)
        ]
    )


def test_positions_are_the_published_ones(positions):
    assert checksum(positions) == CHECKSUMS["mnist"]["psts"]


@pytest.mark.parametrize("place", GOLDEN)
def test_images_are_the_known_ones(place, positions):
    assert checksum(developed(place, positions)) == GOLDEN[place]


@pytest.mark.parametrize("place", GOLDEN)
def test_fixing_the_brightest_pixel_changes_one_level_at_most(place, positions):
    plain, fixed = (developed(place, positions, fixed=fixed).astype(int) for fixed in (False, True))
    assert np.abs(plain - fixed).max() <= 1 and (plain != fixed).sum() <= 2


def test_other_processors_make_the_same_images(positions):
    """Without AVX-512, and without AVX2, NumPy takes arctan from elsewhere, and its last bit with it."""
    places = list(GOLDEN)[:3]
    code = (
        "from test_mnist_builder import checksum, developed, draw_positions\n"
        "positions = draw_positions(10, 50)\n"
        f"for place in {places}:\n"
        "    print(*(checksum(developed(place, positions, fixed=fixed)) for fixed in (True, False)))"
    )
    features = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    fixed, plain = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert fixed == tuple(GOLDEN[place] for place in places)
    assert all(a != b for a, b in zip(fixed, plain, strict=True)), "without the fix they would differ"


def test_digits_are_the_known_ones():
    with np.load(mnist_digits.EMBEDDED_FILE, allow_pickle=False) as file:
        assert all(check.ok for check in compare(file, CHECKSUMS["mnist_digits"]))
        assert set(np.unique(file["brightest"])) == {254, 255}
        train, valid, test = (set(file["index"][split].ravel().tolist()) for split in range(3))
    assert len(train) == len(valid) == len(test) == 500 and not train & valid


@pytest.fixture
def idx_folder(tmp_path):
    """MNIST in small: 120 training and 60 test images a class, each image filled with its running number."""
    for name, count in (("train", 1200), ("t10k", 600)):
        images = np.broadcast_to(np.arange(count).reshape(-1, 1, 1) % 251, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, 28, 28) + images.tobytes())
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())
    return tmp_path


def test_selection_follows_the_published_shuffle(idx_folder):
    """The published builder shuffles the images of a class themselves; here their places are shuffled."""
    images, index = mnist_digits.select(idx_folder)
    assert (images.shape, index.shape) == ((3, 10, 50, 28, 28), (3, 10, 50))
    for split, name, start in ((0, "train", 0), (1, "train", 50), (2, "t10k", 0)):
        everything = mnist_digits.read_idx(idx_folder, f"{name}-images-idx3-ubyte", 3)
        of_class = everything[4::10].copy()
        np.random.RandomState(42).shuffle(of_class)
        np.testing.assert_array_equal(images[split, 4], of_class[start : start + 50])


def test_gzipped_files_are_read(idx_folder):
    plain = idx_folder / "t10k-labels-idx1-ubyte"
    expected = mnist_digits.read_idx(idx_folder, plain.name, 1)
    plain.with_suffix(".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    np.testing.assert_array_equal(mnist_digits.read_idx(idx_folder, plain.name, 1), expected)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"\0" + b[1:][::-1], lambda b: b""])
def test_damaged_idx_files(damage, idx_folder):
    path = idx_folder / "train-labels-idx1-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"train-labels-idx1-ubyte in .* is no intact IDX file"):
        mnist_digits.select(idx_folder)
    path.unlink()
    with pytest.raises(DatasetError, match=r"holds no train-labels-idx1-ubyte \(or "):
        mnist_digits.select(idx_folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"\0" * 4000)[:-9], "ended before"),
        (gzip.compress(b"")[:10] + b"\xff" * 40, "invalid block type"),
        (gzip.compress(b"\0" * (2**26 + 1)), "too large"),
        (None, "not a regular file"),
    ],
    ids=["cut off", "damaged", "too large", "a pipe"],
)
def test_gzipped_files_that_are_not_to_be_unpacked(content, reason, tmp_path):
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"cannot read t10k-labels-idx1-ubyte in .*{reason}"):
        mnist_digits.read_idx(tmp_path, "t10k-labels-idx1-ubyte", 1)


def test_bad_requests(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(UnknownName, match=r"unknown builder 'mnits'. Did you mean 'mnist'"):
        build("mnits")
    with pytest.raises(DatasetError, match=r"aerial is made of the raw images; .* --source DIR"):
        build("aerial")
    with pytest.raises(InvalidArgument, match=r"jobs must be 1 or more, got 0"):
        build("mnist", jobs=0)
    with pytest.raises(InvalidArgument, match=r"build mnist_digits"):
        build("mnist", source=tmp_path)
    with pytest.raises(DatasetError, match=r"--source DIR"):
        build("mnist_digits", output=tmp_path / "x.npz")
    assert not any(tmp_path.iterdir())


def test_prepare_gives_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    assert prepare("emoji") == dataset_path("emoji")
    assert prepare(str(dataset_path("emoji"))) == dataset_path("emoji")
    with pytest.raises(DatasetError, match=r"trafficsign\.npz"):
        prepare("trafficsign")
    with pytest.raises(UnknownName):
        prepare("mnits")
    with pytest.raises(DatasetError, match=r"there is no file"):
        prepare(str(tmp_path / "none.npz"))
    (tmp_path / "mnist.npz").touch()
    assert prepare("mnist") == tmp_path / "mnist.npz"


def test_every_builder_has_checksums():
    whole = {name for name, builder in BUILDERS.items() if not builder.streamed}
    assert whole | {"signs"} == set(CHECKSUMS) and all(CHECKSUMS.values())


@pytest.mark.slow
def test_the_whole_file_by_two_processes_at_once(tmp_path):
    """Both ask for it, one builds it, both get it, in the promised 90 s, and it is the known one."""
    environment = {**os.environ, "SICONVNET_DATA": str(tmp_path)}
    code = "from benchmark.data import prepare\nif __name__ == '__main__': print(prepare('mnist'))"
    (tmp_path / "ask.py").write_text(code)
    start = time.monotonic()
    asking = [
        subprocess.Popen(
            [sys.executable, tmp_path / "ask.py"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate() for process in asking]
    assert time.monotonic() - start < 90
    assert [answer for answer, _ in answers] == [f"{tmp_path / 'mnist.npz'}\n"] * 2
    assert sum("72000/72000" in errors for _, errors in answers) == 1
    assert sum("waiting for another process" in errors for _, errors in answers) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"ask.py", "mnist.npz"}
    report = verify(tmp_path / "mnist.npz")
    assert report.ok and len(report.checks) == 2
