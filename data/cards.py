"""A dataset's card: what it is, where it is from, and how it looks, as a page of HTML and as Markdown.

The page stands alone, pictures included; the Markdown refers to the pictures beside it.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from siconvnet.datasets import StirDataset, load_dataset
from siconvnet.datasets.catalog import CATALOG, RECORD, DatasetInfo
from siconvnet.datasets.schema import CANVAS, SCALES, SPLITS, read_canvases
from siconvnet.errors import DatasetError

from . import charts
from .files import replacing

if TYPE_CHECKING:
    from PIL import Image

SAMPLE_SCALES = (64, 56, 48, 40, 32, 24, 17)
MAX_SAMPLES = 40
"""Classes that are shown; a card of a thousand classes helps nobody."""
GAP = 2


@dataclass(frozen=True)
class Card:
    """What was written: the page, the Markdown, and the pictures that the latter refers to."""

    html: Path
    markdown: Path
    pictures: tuple[Path, ...]


def write_card(name_or_path: str, folder: Path) -> Card:
    """Write the card of a dataset.

    Args:
        name_or_path: a name that `list_datasets` gives, or the path of a STIR file.
        folder: where to; made if it is not there.

    Raises:
        UnknownName: neither a known name nor a path.
        DatasetError: the file is missing or not of the format, or the card cannot be written.
    """
    dataset = load_dataset(name_or_path)
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", dataset.name) or "dataset"
    facts, strips = _facts(dataset), _strips(dataset)
    drawings = _drawings(dataset)
    sheet = _png(_sheet(strips))
    pictures: dict[str, bytes] = {
        f"{stem}-samples.png": sheet,
        **{f"{stem}-{key}.svg": drawing.encode() for key, drawing in drawings.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write into {folder}: {error.strerror}.") from error
    html = _html(dataset, facts, strips, drawings)
    markdown = _markdown(dataset, facts, stem)
    files = {f"{stem}.html": html.encode(), f"{stem}.md": markdown.encode(), **pictures}
    for file, content in files.items():
        with replacing(folder / file) as stream:
            stream.write(content)
    return Card(folder / f"{stem}.html", folder / f"{stem}.md", tuple(folder / file for file in pictures))


def _facts(dataset: StirDataset) -> dict[str, str]:
    info, metadata, header = CATALOG.get(dataset.name), dataset.metadata, dataset.header
    grid = header.labels.shape
    colour = "colour" if dataset.num_channels == 3 else "gray"
    facts = {
        "Images": f"{header.labels.size:,} of {CANVAS} x {CANVAS} pixels, {colour}",
        "Classes": f"{grid[2]:,}",
        "Objects": f"{grid[3]:,} per class and split",
        "Scales": f"{SCALES[-1]} to {SCALES[0]} pixels, each object at all {len(SCALES)}"
        + ("; the longer side of the object" if info and info.oblong else ""),
        "Splits": ", ".join(SPLITS),
        "Origin": _origin(info, metadata),
        "Licence": metadata.get("license") or (info.licence if info else "not stated"),
        "Author": metadata.get("author") or "not stated",
        "Version": " of ".join(filter(None, (metadata.get("version", ""), metadata.get("date", "")))) or "not stated",
        "Published results": _published(info),
        "File": f"{dataset.path.name}, {dataset.path.stat().st_size / 1e6:.1f} MB",
    }
    return {key: " ".join(value.split()) for key, value in facts.items()}


def _origin(info: DatasetInfo | None, metadata: Mapping[str, str]) -> str:
    if info is None:
        return metadata.get("description") or "not stated"
    return info.origin


def _published(info: DatasetInfo | None) -> str:
    from benchmark.studies import published

    if info is None or not any(published.cell("standard", info.name, scenario) for scenario in range(1, 5)):
        return "none"
    return f"arXiv 2211.10288, all four scenarios; file in {RECORD}"


def _strips(dataset: StirDataset) -> dict[str, Image.Image]:
    """Of each class the first object of the training split, at some scales side by side."""
    from PIL import Image

    shape = dataset.header.labels.shape
    chosen = range(min(shape[2], MAX_SAMPLES))
    places = [
        int(np.ravel_multi_index((0, SCALES.index(scale), c, 0), shape)) for c in chosen for scale in SAMPLE_SCALES
    ]
    canvases = read_canvases(dataset.path, places)
    strips = {}
    for c in chosen:
        strip = Image.new("RGB", ((CANVAS + GAP) * len(SAMPLE_SCALES) - GAP, CANVAS), "white")
        for i in range(len(SAMPLE_SCALES)):
            strip.paste(Image.fromarray(canvases[c * len(SAMPLE_SCALES) + i]), (i * (CANVAS + GAP), 0))
        strips[dataset.class_names[c]] = strip
    return strips


def _sheet(strips: Mapping[str, Image.Image]) -> Image.Image:
    from PIL import Image, ImageDraw

    first = next(iter(strips.values()))
    gutter, head = 150, 18
    sheet = Image.new("RGB", (gutter + first.width, head + (CANVAS + GAP) * len(strips)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, scale in enumerate(SAMPLE_SCALES):
        draw.text((gutter + i * (CANVAS + GAP) + CANVAS / 2, head / 2), f"{scale}", fill="#444", anchor="mm")
    for row, (name, strip) in enumerate(strips.items()):
        y = head + row * (CANVAS + GAP)
        draw.text((gutter - 8, y + CANVAS / 2), _shortened(name, 22), fill="#444", anchor="rm")
        sheet.paste(strip, (gutter, y))
    return sheet


def _shortened(name: str, length: int) -> str:
    # The font that Pillow brings along knows no more than Latin letters.
    plain = name.encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= length else f"{plain[: length - 3]}..."


def _drawings(dataset: StirDataset) -> dict[str, str]:
    header = dataset.header
    names = dataset.class_names[:MAX_SAMPLES]
    per_class = {
        name: [int((header.labels[split] == c).sum()) for split in range(len(SPLITS))] for c, name in enumerate(names)
    }
    scales = np.array([[(header.scales[split] == scale).sum() for split in range(len(SPLITS))] for scale in SCALES])
    edges = np.arange(CANVAS + 1)
    drawings = {
        "classes": charts.rows(per_class, SPLITS, "Images of each class"),
        "scales": charts.columns(scales[::-1], SCALES[::-1], SPLITS, "side of the object, pixels", "Images by scale"),
    }
    for axis, word in enumerate(("left", "top")):
        counts = np.stack(
            [np.histogram(header.positions[split, ..., axis], edges)[0] for split in range(len(SPLITS))], axis=1
        )
        last = int(np.flatnonzero(counts.sum(1))[-1]) + 1
        title = f"Images by {word} distance of the object"
        drawings[word] = charts.columns(counts[:last], range(last), SPLITS, f"{word} distance, pixels", title)
    drawings["centres"] = charts.places(_centres(header.positions, header.scales), CANVAS, "Centres of the objects")
    return drawings


def _centres(positions: npt.NDArray[np.int64], scales: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How many objects have their centre in each cell of 4 x 4 pixels: (16, 16), top row first."""
    centres = (positions + scales[..., None] / 2).reshape(-1, 2)
    edges = np.arange(0, CANVAS + 1, 4)
    return np.histogram2d(centres[:, 1], centres[:, 0], (edges, edges))[0]


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "png", optimize=True)
    return stream.getvalue()


def _html(
    dataset: StirDataset, facts: Mapping[str, str], strips: Mapping[str, Image.Image], drawings: Mapping[str, str]
) -> str:
    title, lead = escape(_title(dataset)), _lead(dataset, facts)
    lead = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    lines = "".join(f"<tr><th>{escape(key)}</th><td>{_linked(value)}</td></tr>" for key, value in facts.items())
    samples = "".join(
        f'<tr><th>{escape(name)}</th><td colspan="{len(SAMPLE_SCALES)}"><img alt="{escape(name)} at '
        f'{len(SAMPLE_SCALES)} scales" src="data:image/png;base64,{base64.b64encode(_png(strip)).decode()}"></td></tr>'
        for name, strip in strips.items()
    )
    heads = "".join(f"<th>{scale}</th>" for scale in SAMPLE_SCALES)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{CSS}</style>
<main>
<h1>{title}</h1>
{lead}
<table class="facts">{lines}</table>
<h2>Samples</h2>
<p>{escape(_caption(dataset))}</p>
<div class="wide"><table class="samples"><tr><th></th>{heads}</tr>{samples}</table></div>
<h2>Classes</h2>
<div class="wide">{drawings["classes"]}</div>
<h2>Scales</h2>
<div class="wide">{drawings["scales"]}</div>
<h2>Positions</h2>
<p>{escape(POSITIONS)}</p>
<div class="wide">{drawings["left"]}</div>
<div class="wide">{drawings["top"]}</div>
<h3>Centres of the objects on the canvas</h3>
<div class="wide">{drawings["centres"]}</div>
</main>
</html>
"""


def _markdown(dataset: StirDataset, facts: Mapping[str, str], stem: str) -> str:
    lines = "\n".join(f"| {key} | {_plain(value)} |" for key, value in facts.items())
    head = "\n\n".join(filter(None, (f"# {_plain(_title(dataset))}", _plain(_lead(dataset, facts)))))
    return f"""{head}

| | |
|---|---|
{lines}

## Samples

{_plain(_caption(dataset))}

![Samples of each class]({stem}-samples.png)

## Classes

![Images of each class]({stem}-classes.svg)

## Scales

![Images by scale]({stem}-scales.svg)

## Positions

{POSITIONS}

![Images by left distance]({stem}-left.svg)

![Images by top distance]({stem}-top.svg)

Centres of the objects on the canvas:

![Centres of the objects]({stem}-centres.svg)
"""


POSITIONS = (
    "Distance of the object's box from the left and the top edge of the canvas. A large object has little room to "
    "move: its distances are small, and its centre is near the middle."
)


def _title(dataset: StirDataset) -> str:
    info = CATALOG.get(dataset.name)
    return info.title if info else dataset.metadata.get("title") or dataset.name


def _lead(dataset: StirDataset, facts: Mapping[str, str]) -> str:
    """What the file says of itself, unless that is all that is known of its origin and stands there."""
    description = " ".join(dataset.metadata.get("description", "").split())
    return "" if description == facts["Origin"] else description


def _caption(dataset: StirDataset) -> str:
    shown = min(dataset.num_classes, MAX_SAMPLES)
    rest = "" if shown == dataset.num_classes else f" The first {shown} of {dataset.num_classes:,} classes."
    return f"The first object of each class in the training split, by the side of the object in pixels.{rest}"


def _linked(value: str) -> str:
    """Escaped, its addresses made links."""
    return re.sub(r"(https?://[^\s<>\"']+[^\s<>\"'.,;)])", r'<a href="\1">\1</a>', escape(value))


def _plain(value: str) -> str:
    """Text that Markdown takes as it is: no tags, no table cells, no emphasis."""
    return re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", value)


CSS = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #222; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 720px; margin: 2rem auto 4rem; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; padding-top: .6rem; border-top: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .3rem 0 .8rem; }
.lead { color: #444; }
.wide { overflow-x: auto; }
.wide svg { display: block; max-width: none; margin: .5rem 0; }
table { border-collapse: collapse; }
.facts th, .facts td { text-align: left; vertical-align: top; padding: .3rem 0; border-top: 1px solid #eee; }
.facts th { font-weight: 600; padding-right: 1.5rem; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
.samples th { font-size: .8rem; font-weight: 400; color: #444; padding: 0; width: 66px; }
.samples tr th:first-child { width: auto; min-width: 9rem; max-width: 11rem; text-align: right; padding-right: .6rem;
  overflow-wrap: anywhere; }
.samples td { padding: 0 0 2px; }
.samples img { display: block; }
a { color: #0b5cad; }
"""
