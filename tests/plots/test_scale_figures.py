"""The figures of learned scales: from the published tables, from runs, and from the table that they write."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmark import plots
from benchmark.plots import scale_courses, scale_looks, style
from benchmark.results import scale_runs
from benchmark.results.runs import TableError
from benchmark.spec import RunSpec
from tests.plots.test_plot_figures import overlaps, texts


def runs() -> pd.DataFrame:
    """Courses as a sweep leaves them, of several studies; their numbers are made up."""
    specs = [
        RunSpec("scale_probe", "mnist-range", scale_range="1,8", seed=seed, **more)
        for seed in (0, 1)
        for more in ({}, {"scale_parameterisation": "spacing"}, {"isr": 6.0}, {"scale_parameterisation": "fixed"})
    ]
    specs += [RunSpec("scale_probe", "mnist-range", scale_range="0.35,1.4", canvas=28, max_epochs=10, isr=1.5)]
    specs += [RunSpec("ses_learned_56", "mnist-scale", augment=augment) for augment in (False, True)]
    specs += [
        RunSpec(model, "emoji", evaluation=number, seed=seed, lr=lr, scale_parameterisation=name)
        for model, name in (("ses_learned", None), ("ses_learned", "fixed"), ("hermite", None))
        for number in (1, 2, 3)
        for seed, lr in ((1, 1e-2), (2, 1e-2), (1, 1e-3))
    ]
    rows = []
    for number, spec in enumerate(specs):
        facts = scale_runs._facts(spec.study, spec)
        final = {"test_err": 3.0, "test_acc": 97.0, "best_acc": 95.0 + 1000 * spec.lr}
        final |= {"acc_17_32": 60.0, "acc_33_48": 90.0, "acc_49_64": 40.0 + number % 7}
        for epoch in (1, 2, 3, 4):
            isr = (facts["isr"] or 2.0) * (1 + 0.1 * epoch)
            scales = {f"scale_{i + 1}": 2.0 * isr ** (i / 2) for i in range(3)} if facts["isr"] else {}
            rows.append({**facts, "lr": spec.lr, "seed": spec.seed, "run_id": str(number), **final,
                         "epoch": epoch, "kept": epoch == 3, **scales})  # fmt: skip
    table = pd.DataFrame(rows)
    reference = (table["model"] == "hermite") & ~table["kept"]
    return table[~reference].reset_index(drop=True)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return runs()


@pytest.fixture(scope="module")
def drawn(table) -> plots.Drawn:
    return plots.draw("scales", plots.Tables("Our runs", learned=table))


def test_published_alone():
    drawn = plots.draw("scales", plots.Tables("Published", learned=scale_runs.empty()))
    assert list(drawn) == ["scales-final", "scales-errors", "scales-isr", "scales-tolerance"]
    for name, figure in drawn.items():
        assert isinstance(figure, Figure)
        assert overlaps(texts(figure)) == [], name
    assert sum(text == "Direct" for text, _ in texts(drawn["scales-final"])) == 2  # once a row of panels
    words = " ".join(text for text, _ in texts(drawn["scales-errors"]))
    for expected in ("MNIST-range [1, 8]", "MNIST-Scale 56+", "Fixed, ISR 5.35", "Spacing, σ kept", "published"):
        assert expected in words
    assert "ours" not in words


def test_ours_beside_the_published(drawn):
    studies = ["mnist-range", "mnist-scale", "stir"]
    assert [name for name in drawn if "course" in name] == [f"scales-course-{study}" for study in studies]
    shown = {name: texts(figure) for name, figure in drawn.items() if isinstance(figure, Figure)}
    assert {name: found for name, words in shown.items() if (found := overlaps(words))} == {}
    said = {name: " ".join(text for text, _ in words) for name, words in shown.items()}
    assert "other starts" in said["scales-course-mnist-range"] and "ISR 6" in said["scales-course-mnist-range"]
    assert "max epochs 10" in said["scales-course-mnist-range"]
    assert "ours" in said["scales-final"] and "[0.35, 1.4], canvas 28" in said["scales-final"]
    assert all(name in said["scales-stir"] for name in ("Small2Large", "Mid2Rest", "Large2Small", "Hermite", "Fixed"))


def test_stir_shows_the_rate_that_validation_chose(table):
    figure = plots.draw("scales", plots.Tables("Our runs", learned=table))["scales-stir"]
    # Two seeds at the better rate: three bands of two dots, and not those of the other rate.
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert len(dots) == 3 * 2
    assert "2 seeds" in figure.get_suptitle()


def test_the_table_comes_back(drawn, tmp_path):
    path = tmp_path / "scales.csv"
    path.write_text(drawn["scales.csv"], encoding="utf-8")
    again = plots.draw("scales", plots.Tables("Our runs", learned=scale_runs.read_file(path)))
    assert list(again) == list(drawn)
    assert again["scales.csv"] == drawn["scales.csv"]
    shown = [[text for text, _ in texts(found["scales-errors"])] for found in (drawn, again)]
    assert shown[0] == shown[1]


def test_a_table_that_lacks_columns(drawn, tmp_path):
    path = tmp_path / "scales.csv"
    pd.read_csv(io.StringIO(drawn["scales.csv"])).drop(columns="kept").to_csv(path, index=False)
    with pytest.raises(TableError, match="no column kept"):
        scale_runs.read_file(path)


def test_no_runs():
    with pytest.raises(style.NothingToDraw, match="benchmark sweep --suite scale-learning"):
        plots.draw("scales", plots.Tables("Our runs"))


def test_every_kind_and_every_realization_has_a_line_of_its_own(table):
    own = {"own_start": True, "section": "56", "note": ""}
    course = table[table["run_id"] == table.loc[table["study"] == "mnist-scale", "run_id"].iloc[0]]
    kinds = [(name, learned) for name in ("isr", "spacing") for learned in (True, False)]
    runs = [
        course.assign(
            **own, scale_parameterisation=name, learn_sigma=learned, seed=seed, run_id=f"{name}{learned}{seed}"
        )
        for name, learned in kinds
        for seed in range(6)
    ]
    figure = scale_courses.courses(pd.concat(runs), "Our runs")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    seen = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(lines) == len(seen) == 4 * 6


def test_outcomes_are_of_the_weights_that_were_tested(table):
    found = scale_runs.outcomes(table)
    own = found[
        (found["section"] == "loguniform 1,8") & (found["scale_parameterisation"] == "isr") & found["own_start"]
    ]
    assert own["runs"].tolist() == [2]
    assert own["scale_3_mean"].tolist() == pytest.approx([2 * 3.0 * 1.3])
    assert "hermite" not in set(found["model"])


def test_sizes_of_augmented_digits():
    sizes = np.geomspace(0.1, 8, 4000)
    row = {"study": "mnist-scale", "model": "ses_learned_56", "augment": True}
    density = scale_looks.densities(row, sizes)
    assert scale_looks.data_range(row) == (0.3, 4.0)
    octave = np.log2(sizes[1] / sizes[0])
    assert density.sum() * octave == pytest.approx(1, abs=1e-2)
    # The mean of a product of independent factors, 0.65 of the digits and 1.25 of the augmentation, doubled.
    assert (sizes * density).sum() * octave == pytest.approx(2 * 0.65 * 1.25, rel=1e-2)
