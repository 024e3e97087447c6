"""Whatever a person writes, the answer is a suite, a grid, or one line that says what is wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.sweeps.grid import Grid
from benchmark.sweeps.suites import axis_names, choose_grids, list_suites, parse_suite
from benchmark.sweeps.suites.reading import read_mapping
from siconvnet.errors import SiconvnetError

WORDS = ["standard", "xu", "*pool", "all", "emoji", "mnist-scale", "stl10", "mnist-range", "1-5,8", "1-", "010", "0b_",
         "published", "own", "1e-3", "1,8", "yes", "both", "~", "2024-13-45", "", "nan",
         "9" * 30, "٣", "²"]  # fmt: skip
KEYS = [*axis_names(), "epochs", "patience", "batch_size", "select_lr_over_seeds", "description", "grids", "seds", "<<"]
TOKENS = [*WORDS, *KEYS, "{", "}", "[", "]", ":", ",", "- ", "\n", "  ", "&a ", "*a", "<<: *a", "!!int ", "? ", "| ",
          "> ", '"', "'", "#", "%YAML 9.9", "---", "...", "\t", "\0", "\\UFFFFFFFF", "\ud800", "\u2028"]  # fmt: skip
scalars = st.sampled_from(WORDS) | st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.none()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


def only_one_line(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except SiconvnetError as error:
        text = str(error)
        assert "\n" not in text and len(text) < 10_000


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(TOKENS) | st.characters(), max_size=40).map("".join))
def test_texts(text: str) -> None:
    only_one_line(read_mapping, text, "suite x")
    only_one_line(parse_suite, f"grids:\n- models: standard\n  datasets: emoji\n  {text}", "x.yaml")


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from(["description", "grids"]), anything), st.data())
def test_suites(values: dict[str, Any], data: st.DataObject) -> None:
    entry = data.draw(st.dictionaries(st.sampled_from(KEYS), anything))
    for suite in (values, {"grids": [{"models": "standard", "datasets": "emoji", **entry}]}):
        only_one_line(parse_suite, yaml.safe_dump(suite, allow_unicode=True), "x.yaml")


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "suite"]), st.sampled_from([*WORDS, *list_suites()]) | st.text()))
def test_options(values: dict[str, str]) -> None:
    only_one_line(choose_grids, {"models": "standard", "datasets": "emoji", **values})


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_grids_that_were_kept(data: st.DataObject) -> None:
    values: dict[str, Any] = {"study": "stir", "axes": {"datasets": ["emoji"], "models": ["standard"]}}
    values |= {"select_over": [], "batch_size": None, "max_epochs": None, "patience": None}
    broken = copy.deepcopy(values) | data.draw(st.dictionaries(st.sampled_from([*values, "other"]), anything))
    only_one_line(Grid.from_dict, broken)
    only_one_line(Grid.from_dict, data.draw(st.sampled_from([broken, {**values, "axes": broken}])))
