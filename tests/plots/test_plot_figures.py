"""Every figure is drawn from the published tables or small real ones: whole, legible, and the same each time."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from benchmark import plots
from benchmark.plots import equivariance, generalization, hyperparam, indices, speed, style, timing
from benchmark.studies import published
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName

SOURCE = "Published STIR runs"


@pytest.fixture(scope="module")
def tables() -> plots.Tables:
    return plots.Tables(SOURCE, runs=published.runs(), scales=published.generalization())


@pytest.fixture(scope="module")
def errors() -> pd.DataFrame:
    """Accuracies as published; errors as a smooth function of them, over less than a decade."""
    runs = published.runs()
    runs = runs[runs["model"].isin(["standard", "slice_pool"]) & (runs["seed"] <= 5)]
    return runs.assign(error=0.2 + 0.004 * (100 - runs["test_acc"]))


def index_maps(pixel: bool) -> plots.IndexMaps:
    scales = np.arange(17, 65)
    channel = (scales[:, None] - 17) * np.linspace(-0.3, 0.5, 32) + 8
    found = np.clip(channel, 0, 25).astype(np.uint8)
    if pixel:
        found = np.broadcast_to(found[:, :, None, None], (48, 32, 5, 5))
    return plots.IndexMaps("pixel_pool" if pixel else "slice_pool", "emoji", 2, 1, found, scales, 7, 57, 33)


def speeds() -> pd.DataFrame:
    rows = [("standard", 20.0, 15.0), ("slice_pool", 2500.0, 310.0), ("xu", 90.0, np.nan), ("hermite", np.nan, np.nan)]
    table = pd.DataFrame(
        {
            "model": model,
            "device": "cpu",
            "batch_size": 16,
            **{f"plain_ms_{part}": plain * factor for part, factor in (("median", 1), ("min", 0.9), ("max", 1.3))},
            **{f"fast_ms_{part}": fast * factor for part, factor in (("median", 1), ("min", 0.9), ("max", 1.3))},
            "ratio": plain / fast,
            "plain_peak_mib": 100.0,
            "fast_peak_mib": 50.0,
            "machine": "two cores",
            "torch": "2.13.0",
        }
        for model, plain, fast in rows
    )
    return table


Texts = list[tuple[str, Bbox]]


def texts(figure: Figure) -> Texts:
    """All texts that a figure shows, with their boxes in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    unseen = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not (axes.axison and min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval()))
        for label in (tick.label1, tick.label2)
    }
    found = [text for text in figure.findobj(Text) if text not in unseen and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found]
    return [(text, box) for text, box in boxes if text.strip() and box.width > 0]


def overlaps(shown: Texts) -> list[tuple[str, str]]:
    """Pairs of texts that run into one another; one-pixel touches are not counted."""
    return [
        (first, second)
        for (first, one), (second, two) in itertools.combinations(shown, 2)
        if min(one.x1, two.x1) - max(one.x0, two.x0) > 1 and min(one.y1, two.y1) - max(one.y0, two.y0) > 1
    ]


@pytest.fixture(scope="module")
def shown(tables, errors) -> dict[str, Texts]:
    """The texts of every figure but those of runs that the tables lack, by the figure's name."""
    full = dataclasses.replace(
        tables, equivariance=errors, indices=[index_maps(pixel=False), index_maps(pixel=True)], speed=speeds()
    )
    names = [name for name in plots.FIGURES if name not in ("comparison", "scales", "bases")]
    drawn = {key: value for name in names for key, value in plots.draw(name, full).items()}
    return {key: texts(value) for key, value in drawn.items() if isinstance(value, Figure)}


def test_no_text_of_any_figure_runs_into_another(shown):
    assert len(shown) == 13
    assert {name: found for name, words in shown.items() if (found := overlaps(words))} == {}


def test_the_overlap_check_can_fail():
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "two")
    assert overlaps(texts(figure)) == [("one", "two")]


def test_titles_say_dataset_scenario_and_seeds(shown):
    for name in ("hyperparam-dots", "hyperparam-boxes", "generalization", "timing", "equivariance"):
        said = " ".join(text for text, _ in shown[name])
        assert "seeds" in said and "Mid2Rest" in said and "Emoji" in said, name


def no_runs(figure: Figure) -> int:
    return [text for text, _ in texts(figure)].count("no runs")


def test_a_missing_cell_is_shown_as_missing(tables):
    few = tables.runs["model"].isin(["standard", "xu"]) & (tables.runs["dataset"] == "mnist")
    gap = (tables.runs["model"] == "xu") & (tables.runs["evaluation"] == 2)
    runs = tables.runs[few & ~gap]
    assert no_runs(hyperparam.boxes(runs, SOURCE)) == 1
    lines = [line for axis in hyperparam.dots(runs, SOURCE).axes for line in axis.lines]
    assert [line.get_marker() for line in lines].count("x") == 1


def test_a_missing_time_is_shown_as_missing(tables):
    gap = (tables.runs["model"] == "xu") & (tables.runs["dataset"] == "mnist")
    assert no_runs(timing.bars(timing.mean_seconds(tables.runs[~gap]), SOURCE, "25 seeds")) == 1


def test_a_missing_scale_curve_is_shown_as_missing(tables):
    scales = tables.scales[tables.scales["model"].isin(["standard", "xu"])]
    gap = (scales["dataset"] == "mnist") & (scales["evaluation"] == 2)
    assert no_runs(generalization.methods(scales[~gap | (scales["model"] != "xu")], "mnist", SOURCE)) == 1
    assert no_runs(generalization.grid(scales[~gap], SOURCE)) == 1


def test_a_missing_cell_of_the_equivariance_grid(errors):
    gap = (errors["dataset"] == "mnist") & (errors["evaluation"] == 2)
    assert no_runs(equivariance.grid(errors[~gap], SOURCE)) == 1


def test_missing_speeds_are_shown_as_missing():
    said = [text for text, _ in texts(speed.steps(speeds(), "cpu", "two cores"))]
    assert said.count("not measured") == 1
    assert "8.1×" in said


def test_nothing_to_draw_has_a_reason():
    for name in plots.FIGURES:
        with pytest.raises(style.NothingToDraw, match=r"\w+ \w+"):
            plots.draw(name, plots.Tables("nothing"))


def test_an_unknown_figure_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'timing'"):
        plots.draw("timings", plots.Tables("nothing"))


def test_a_speed_table_with_missing_columns_is_refused():
    with pytest.raises(InvalidArgument, match="no column ratio"):
        plots.draw("speed", plots.Tables("x", speed=speeds().drop(columns="ratio")))


def test_one_run_a_cell_can_be_drawn():
    one = published.runs().query("model == 'standard' and dataset == 'emoji' and evaluation == 2 and seed == 1")
    for figure in plots.draw("hyperparam", plots.Tables("one", runs=one)).values():
        assert isinstance(figure, Figure)
        assert any("1 seed" in text for text, _ in texts(figure))


def test_channels_are_ordered_by_correlation():
    scales = np.arange(17.0, 65.0)
    table = np.stack([scales, -scales, np.full(48, 3.0), scales**2], axis=1)
    r = indices.channel_correlation(table, scales)
    expected = [np.corrcoef(table[:, channel], scales)[0, 1] for channel in (0, 1, 3)]
    np.testing.assert_allclose(r, [expected[0], expected[1], 0.0, expected[2]], atol=1e-12)


def test_timing_is_that_of_the_paper():
    table = timing.mean_seconds(published.runs())
    assert table.loc["pixel_pool", "emoji"] == pytest.approx(6.84, abs=0.005)
    assert "| Pixel pool | 6.84 | 94.67 | 81.03 | 45.61 |" in timing.markdown(table)
    assert r"Pixel pool & 6.84 & 94.67 & 81.03 & 45.61 \\" in timing.latex(table)


@pytest.mark.parametrize("kind", style.FORMATS)
def test_the_same_table_gives_the_same_bytes(tmp_path, kind):
    files = []
    for number in range(2):
        figure = timing.bars(timing.mean_seconds(published.runs()), SOURCE, "25 to 50 seeds")
        files.append(style.save(figure, tmp_path / f"{number}.{kind}").read_bytes())
    assert files[0] == files[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"0.{kind}", f"1.{kind}"]


def test_fonts_are_embedded_as_outlines_that_can_be_edited(tmp_path):
    figure = timing.bars(timing.mean_seconds(published.runs()), SOURCE, "25 to 50 seeds")
    content = style.save(figure, tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in content and b"/Type3" not in content


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SiconvnetError, match="cannot write"):
        style.save(Figure(), tmp_path / "file" / "figure.pdf")


def test_drawing_imports_neither_torch_nor_mlflow():
    code = (
        "import sys; from benchmark import plots\nfrom benchmark.studies import published\n"
        "for name in ('hyperparam', 'timing'):\n"
        "    plots.draw(name, plots.Tables('x', runs=published.runs()))\n"
        "assert not {'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
