"""Pictures of every mode come out gray or in colour; what is broken, missing or too large is said to be so."""

from __future__ import annotations

import struct
import zipfile
import zlib

import numpy as np
import pytest
from pictures import photo, red_box
from PIL import Image

from benchmark.data import photos
from benchmark.data.photos import FilePhoto, Unusable, ZipPhoto, opened, oriented_size, to_pixels


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "I;16"]
)
@pytest.mark.parametrize(("channels", "result"), [(1, "L"), (3, "RGB")])
def test_every_mode(mode, channels, result):
    image = photo((40, 30), (5, 5, 10, 10))
    image = Image.new(mode, (40, 30), 40000) if mode.startswith("I") else image.convert("RGBA").convert(mode)
    pixels = to_pixels(image, channels)
    assert pixels.mode == result and pixels.size == (40, 30)
    if mode.startswith("I"):
        assert np.asarray(pixels).max() == 40000 // 257


def test_floats_are_refused():
    with pytest.raises(Unusable, match="unreadable"):
        to_pixels(Image.new("F", (9, 9)), 1)


def test_transparent_is_black():
    image = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
    image.paste((255, 0, 0, 255), (5, 5, 15, 15))
    pixels = np.asarray(to_pixels(image, 3))
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[9, 9].tolist() == [255, 0, 0]
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([250, 250, 250, 1, 2, 3])
    palette.info["transparency"] = 0
    assert np.asarray(to_pixels(palette, 1)).max() == 0


def test_turned_as_its_camera_says(tmp_path):
    image = photo((80, 50), (0, 0, 20, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    with opened(FilePhoto(tmp_path / "turned.png")) as read:
        assert read.size == (80, 50) and oriented_size(read) == (50, 80)
        assert red_box(np.asarray(to_pixels(read, 3))) == (40, 0, 10, 20)
        assert red_box(np.asarray(to_pixels(read, 3, orient=False))) == (0, 0, 20, 10)


def reason(source) -> str:
    with pytest.raises(Unusable) as caught, opened(source) as image:
        to_pixels(image, 3)
    return str(caught.value)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_broken_files(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    assert reason(FilePhoto(path)) == "missing"
    photo((90, 90)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:30], whole[: len(whole) // 2], b"\xff\xd8\xff\xe0" + bytes(50)):
        path.write_bytes(content)
        assert reason(FilePhoto(path)) == "unreadable"
    path.write_bytes(png_that_claims(60_000, 60_000))
    assert reason(FilePhoto(path)) == "too large"
    path.write_bytes(png_that_claims(11_000, 11_000))
    assert reason(FilePhoto(path)) == "too large"
    path.write_bytes(whole)
    with opened(FilePhoto(path)) as image:
        to_pixels(image, 3)
    monkeypatch.setattr(photos, "MAX_BYTES", len(whole) - 1)
    assert reason(FilePhoto(path)) == "too large"


def test_members_of_archives(tmp_path):
    path = tmp_path / "a.zip"
    photo((90, 80)).save(tmp_path / "x.png")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "x.png", "images/x.png")
        archive.writestr("images/bomb.png", bytes(photos.MAX_BYTES + 1))
        archive.writestr("../../evil.png", (tmp_path / "x.png").read_bytes())
    with opened(ZipPhoto(path, "images/x.png")) as image:
        assert image.size == (90, 80)
    assert path.stat().st_size < 2**20
    assert reason(ZipPhoto(path, "images/bomb.png")) == "too large"
    assert reason(ZipPhoto(path, "images/y.png")) == "missing"
    with opened(ZipPhoto(path, "../../evil.png")):
        assert {file.name for file in tmp_path.iterdir()} == {"a.zip", "x.png"}, "read in memory, nothing is unpacked"
    damaged = bytearray(path.read_bytes())
    damaged[200:400] = bytes(200)
    (tmp_path / "b.zip").write_bytes(damaged)
    assert reason(ZipPhoto(tmp_path / "b.zip", "images/x.png")) == "unreadable"


def test_stamps_change_with_the_picture(tmp_path):
    path = tmp_path / "x.png"
    stamps = set()
    for content in (b"one", b"other"):
        path.write_bytes(content)
        stamps.add(FilePhoto(path).stamp())
    assert len(stamps) == 2
