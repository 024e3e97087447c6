"""The measured table of the page is the table in results/measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.speed import markdown

ROOT = Path(__file__).parents[2]


def test_the_table_is_the_measured_one():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = page.split("<!-- speed table -->\n")[1].split("<!-- end of speed table -->")[0]
    measured = pd.read_csv(ROOT / "results" / "measured" / "speed-amd-epyc-2-threads.csv")
    assert shown == markdown(measured)


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda path: path.name
)
def test_every_linked_file_is_there(page):
    import re

    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
