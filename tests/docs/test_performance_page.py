"""The measured tables of the page are the tables in results/measured."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmark.timing import epochs, steps
from siconvnet import functional
from siconvnet.layers import SiConvPool2d

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("table", "file", "markdown"),
    [
        ("speed", "speed-amd-epyc-2-threads.csv", steps.markdown),
        ("epoch", "epochs-mnist-scale-amd-epyc-2-threads.csv", epochs.markdown),
    ],
)
def test_the_tables_are_the_measured_ones(table, file, markdown):
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = page.split(f"<!-- {table} table -->\n")[1].split(f"<!-- end of {table} table -->")[0]
    assert shown == markdown(pd.read_csv(ROOT / "results" / "measured" / file))


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda path: path.name
)
def test_every_linked_file_is_there(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_says_what_the_table_does():
    table = pd.read_csv(ROOT / "results" / "measured" / "speed-amd-epyc-2-threads.csv")
    ratios = table[table["pass"] == "step"].set_index("model")["ratio"]
    kinds = {
        "for the scale-pooled models": ["pixel_pool", "slice_pool", "energy_pool"],
        "for the steerable ones": ["hermite", "disco", "sesn"],
        "for SACNN": ["sacnn_s_mp", "sacnn_s_at", "sacnn_m_mp", "sacnn_m_at"],
    }
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for words, models in kinds.items():
        plainly = r"(?:as fast as by this library's plain convolutions )?"
        (span,) = re.findall(rf"(\d+) to (\d+) times {plainly}{words}", readme)
        assert tuple(map(int, span)) == (round(ratios[models].min()), round(ratios[models].max())), words
    original = pd.read_csv(ROOT / "results" / "measured" / "original-amd-epyc-1-thread.csv").set_index("model")["ratio"]
    (told,) = re.findall(r"(\S+) times as fast for conv3d and (\S+) times for xu", readme)
    assert told == tuple(f"{original[model]:.1f}" for model in ("conv3d", "xu"))


def test_no_layer_is_slower_by_the_way_it_takes():
    assert pd.read_csv(ROOT / "results" / "measured" / "paths-amd-epyc-1-thread.csv")["ratio"].max() <= 1.1


def test_the_constants_of_a_layer_take_the_memory_that_the_page_says():
    def held() -> float:
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()) / 2**20

    page = " ".join((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split())
    (told,) = re.findall(r"109 scales on 224 pixels keeps (\d+) MiB", page)
    layer, image = SiConvPool2d(1, 2, num_scales=109, kernel_size=7, interp_mode="bicubic"), torch.rand(1, 1, 224, 224)
    functional.clear_caches()
    before = held()
    layer(image).sum().backward()
    layer.zero_grad()
    assert held() - before == pytest.approx(float(told), abs=1)
    functional.clear_caches()
    assert held() - before == pytest.approx(0, abs=0.01)
