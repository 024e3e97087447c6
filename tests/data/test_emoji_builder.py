"""The embedded emoji file is what the builder makes of the embedded icons."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from benchmark.data import build, emoji
from benchmark.data.layout import draw_positions
from benchmark.data.verification import CHECKSUMS, checksum
from siconvnet.datasets import dataset_path, load_dataset
from siconvnet.errors import DatasetError

try:
    import cairocffi
    import cairosvg  # noqa: F401
except (ImportError, OSError):
    cairocffi = None

needs_cairo = pytest.mark.skipif(cairocffi is None, reason="needs CairoSVG and the cairo library")


def test_positions_are_the_published_ones():
    positions = draw_positions(36, 1)
    assert checksum(positions) == CHECKSUMS["emoji"]["psts"]
    np.testing.assert_array_equal(positions, load_dataset("emoji").header.positions)


def test_embedded_pixels_are_the_published_ones():
    assert checksum(load_dataset("emoji").images) == CHECKSUMS["emoji"]["imgs"]


@needs_cairo
def test_builder_makes_the_embedded_file():
    built = emoji.build()
    with np.load(dataset_path("emoji"), allow_pickle=False) as embedded:
        assert set(embedded.files) == set(built)
        for key in set(built) - {"imgs"}:
            np.testing.assert_array_equal(built[key], embedded[key], strict=True)
        difference = np.abs(built["imgs"].astype(int) - embedded["imgs"])
    # Another cairo may draw edges in other shades of gray, and nothing more.
    same_cairo = cairocffi.cairo_version_string().startswith("1.16")
    assert difference.max() == 0 if same_cairo else difference.mean() < 1


@needs_cairo
def test_icons_may_come_from_a_folder(tmp_path):
    (tmp_path / "svgs" / "regular").mkdir(parents=True)
    with zipfile.ZipFile(emoji.ARCHIVE) as archive:
        archive.extractall(tmp_path / "svgs" / "regular")
    assert emoji.read_icons(tmp_path) == emoji.read_icons(tmp_path / "svgs" / "regular") == emoji.read_icons()
    assert all(b"Font Awesome Free 5.15.3 by @fontawesome" in svg for svg in emoji.read_icons())
    (tmp_path / "svgs" / "regular" / "meh.svg").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of the 36 icons \(meh\.svg first\)"):
        build("emoji", source=tmp_path, output=tmp_path / "out.npz")


@needs_cairo
def test_other_icons_are_refused(tmp_path):
    """The negative control of the checksums: one icon too many a time, and no file is written."""
    icons = dict(zip(emoji.ICONS, emoji.read_icons(), strict=True)) | {"tired": emoji.read_icons()[1]}
    for name, svg in icons.items():
        (tmp_path / f"{name}.svg").write_bytes(svg)
    output = tmp_path / "out" / "emoji.npz"
    with pytest.raises(DatasetError, match=r"emoji came out different here: imgs has checksum") as caught:
        build("emoji", source=tmp_path, output=output)
    assert "\n" not in str(caught.value) and not any(output.parent.iterdir())
    assert build("emoji", source=tmp_path, output=output, unverified=True) == output
    load_dataset(output)
