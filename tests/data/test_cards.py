"""Data cards: true figures, a page that stands alone, and nothing in a file's texts that becomes markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from benchmark.data import charts
from benchmark.data.cards import _centres, write_card
from siconvnet.datasets import dataset_path, load_dataset
from siconvnet.datasets.schema import read_canvases
from siconvnet.errors import InvalidArgument


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, content: str):
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.addresses: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.words += data


def test_the_card_of_emoji(benchmark, tmp_path):
    code, out, err = benchmark("data", "card", "emoji", "--output", tmp_path / "cards")
    assert (code, err) == (0, "")
    assert out.split() == [str(tmp_path / "cards" / "emoji.html"), str(tmp_path / "cards" / "emoji.md")]
    page = Page((tmp_path / "cards" / "emoji.html").read_text())
    for words in ("5,184 of 64 x 64 pixels, gray", "Font Awesome Free 5.15.3", "CC BY 4.0", "kiss-wink-heart", "144"):
        assert words in page.words, words
    assert page.tags.count("img") == 36 and page.tags.count("svg") == 5
    assert all(address.startswith(("data:", "https://")) for address in page.addresses), "it needs no other file"
    markdown = (tmp_path / "cards" / "emoji.md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert len(pictures) == 6 and all((tmp_path / "cards" / name).is_file() for name in pictures)
    assert len(list((tmp_path / "cards").iterdir())) == 8, "nothing else is left"
    for name in pictures[1:]:
        ElementTree.parse(tmp_path / "cards" / name)
    assert Image.open(tmp_path / "cards" / pictures[0]).size == (150 + 7 * 66 - 2, 18 + 36 * 66)


def test_it_says_what_has_no_published_results(tmp_path):
    path = dataset_path("emoji")
    assert "arXiv 2211.10288" in write_card("emoji", tmp_path).markdown.read_text()
    with np.load(path) as file:
        np.savez(tmp_path / "copy.npz", **file)
    markdown = write_card(str(tmp_path / "copy.npz"), tmp_path).markdown.read_text()
    assert "| Published results | none |" in markdown
    assert markdown.count("36 icons of 17 to 64 pixels") == 1, "what stands for its origin is not said twice"


def test_texts_of_a_file_stay_texts(tmp_path):
    grid = (3, 48, 2, 1)
    scales = np.broadcast_to(np.arange(64, 16, -1).reshape(1, -1, 1, 1), grid)
    evil = "<script>alert(1)</script>"
    np.savez(
        tmp_path / "a b&c.npz",
        imgs=np.zeros((*grid, 64, 64, 3), np.uint8),
        lbls=np.broadcast_to(np.arange(2).reshape(1, 1, -1, 1), grid),
        scls=scales,
        psts=np.zeros((*grid, 2), int),
        metadata=np.array([["title", evil], ["description", f"{evil} | `x` [a](b)"], *[[k, evil] for k in "abcd"]]),
        lbldata=np.array([evil, "猫" * 40]),
    )
    card = write_card(str(tmp_path / "a b&c.npz"), tmp_path / "cards")
    assert card.html.name == "a_b_c.html"
    content = card.html.read_text()
    assert "<script" not in content and evil in Page(content).words
    markdown = card.markdown.read_text()
    assert "<script" not in markdown.replace("\\<script", "") and "\\| \\`x\\` \\[a\\]" in markdown
    for drawing in card.pictures[1:]:
        ElementTree.parse(drawing)


def test_some_canvases_are_those_of_the_whole(tmp_path):
    images = load_dataset("emoji").images.reshape(-1, 64, 64)
    places = [5183, 0, 77, 77]
    found = read_canvases(dataset_path("emoji"), places)
    assert all(np.array_equal(images[place], canvas) for place, canvas in zip(places, found, strict=True))
    for wrong in (-1, 5184):
        with pytest.raises(InvalidArgument, match=r"places must be within 0 and 5183"):
            read_canvases(dataset_path("emoji"), [wrong])


def bars(drawing: str) -> list[dict[str, str]]:
    return [element.attrib for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}rect")]


def test_bars_are_as_long_as_their_counts():
    drawing = charts.rows({"a": [10, 20, 30], "b": [30, 0, 0]}, ("x", "y", "z"), "t")
    widths = [float(bar["width"]) for bar in bars(drawing)[4:]]
    assert widths == pytest.approx([400 / 6, 400 / 3, 200, 200, 0, 0], abs=0.01)


def test_columns_stand_on_each_other():
    drawing = charts.columns(np.array([[1, 1, 2], [1, 0, 0]]), [17, 18], ("x", "y", "z"), "scale", "t")
    found = bars(drawing)[4:]
    assert [float(bar["height"]) for bar in found] == pytest.approx([32.5, 32.5, 65, 32.5, 0, 0])
    assert [float(bar["y"]) for bar in found[:3]] == pytest.approx([125.5, 93, 28])


def test_centres():
    positions = np.array([[0, 0], [47, 0], [0, 47]])
    density = _centres(positions, np.array([17, 17, 17]))
    assert density.sum() == 3 and density[2, 2] == density[2, 13] == density[13, 2] == 1, "top row first"


def test_nothing_to_show_does_not_break_a_chart():
    for drawing in (
        charts.rows({}, ("x",), "t"),
        charts.columns(np.zeros((2, 3), np.int64), [1, 2], ("x", "y", "z"), "a", "t"),
        charts.places(np.zeros((4, 4)), 64, "t"),
    ):
        ElementTree.fromstring(drawing)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["emoij"], 2, "Did you mean 'emoji'?"),
        (["aerial"], 1, "benchmark data fetch aerial"),
        (["nothing.npz"], 1, "there is no file nothing.npz"),
        (["emoji", "--output", "/proc/none"], 1, "cannot write into /proc/none"),
    ],
)
def test_what_goes_wrong_is_one_line(benchmark, arguments, code, message):
    found, out, err = benchmark("data", "card", *arguments)
    assert (found, out) == (code, "") and message in err and err.count("\n") == 1
