"""Looks: one for each method, told apart also in gray and by colour-blind readers, and steady."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from benchmark.plots import style
from siconvnet import list_models, model_info
from siconvnet.datasets.catalog import CATALOG

#: Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def seen(look: style.Look) -> np.ndarray:
    """The colour as a deuteranope sees it, about even in perception."""
    return np.cbrt(np.clip(DEUTERANOPIA @ linear(look.colour), 0, 1))


def test_every_built_in_model_has_a_look_of_its_own():
    assert set(list_models(study="stir")) <= set(style.MODELS)
    looks = list(style.MODELS.values())
    for attribute in ("label", "colour", "marker"):
        assert len({getattr(look, attribute) for look in looks}) == len(looks), attribute


def test_a_built_in_model_has_one_label():
    for name in list_models(study="stir"):
        assert style.model_look(name).label == model_info(name).label


def test_a_model_of_ones_own_is_called_what_it_calls_itself(tmp_path, monkeypatch):
    (tmp_path / "lab_net_of_figures.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    label = 'Lab net'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert style.model_look("lab_net_of_figures:Net").label == "lab_net_of_figures:Net"
    assert "lab_net_of_figures" not in sys.modules, "drawing imports nothing that a table names"
    style._own_label.cache_clear()
    importlib.import_module("lab_net_of_figures")
    look = style.model_look("lab_net_of_figures:Net")
    assert look.label == "Lab net"
    # Whoever draws without the code sees the same but for the name.
    assert dataclasses.replace(look, label="lab_net_of_figures:Net") == style._spare("lab_net_of_figures:Net")
    assert style.model_look("not_here:Net").label == "not_here:Net"


@pytest.mark.parametrize("table", [style.MODELS, style.DATASETS], ids=["models", "datasets"])
def test_every_colour_stands_out_from_white(table):
    for name, look in table.items():
        contrast = 1.05 / (luminance(look.colour) + 0.05)
        assert contrast > 2, name


def test_near_colours_differ_in_dash():
    """Whoever cannot tell two colours apart, for blindness or for print in gray, has another sign to go by."""
    looks = list(style.MODELS.values())
    for index, first in enumerate(looks):
        for second in looks[:index]:
            alike = np.linalg.norm(seen(first) - seen(second)) < 0.08
            assert not alike or first.dash != second.dash, (first.label, second.label)


def test_known_names_come_first_and_in_order():
    assert style.ordered_models(["zebra", "xu", "standard", "ant", "xu"]) == ["standard", "xu", "ant", "zebra"]


def test_an_unknown_method_looks_alike_in_every_process():
    code = "from benchmark.plots import style; print(style.model_look('my_method'))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1
    assert style.model_look("my_method").label == "my_method"
    assert style.model_look("my_method") != style.model_look("another")


def test_every_built_in_dataset_has_a_look_of_its_own():
    assert set(style.DATASETS) == set(CATALOG)
    for attribute in ("label", "colour", "marker"):
        assert len({getattr(look, attribute) for look in style.DATASETS.values()}) == len(CATALOG), attribute


def test_a_dataset_of_ones_own_goes_by_its_name():
    one, two = (style.dataset_look(f"mine-{digest}") for digest in ("0123456789ab", "ffff56789abc"))
    assert (one.label, two.label) == ("mine (0123)", "mine (ffff)") and one != style.dataset_look("mine")
    assert style.dataset_look("my-data").label == "my-data"


def test_labels():
    assert style.scenario_label(2) == "Mid2Rest"
    assert style.scenario_label(9) == "evaluation 9"
    assert style.training_range(2) == (33, 48)
    assert style.training_range(9) is None
    assert [style.seeds_label(counts) for counts in ([], [1], [25, 25], [25, 50])] == [
        "no seeds",
        "1 seed",
        "25 seeds",
        "25 to 50 seeds",
    ]


def test_the_callers_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    with style.matplotlib_settings():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before
