"""Tables in and out: three kinds of run table, two of scale table, and clear words for broken ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.results.frames import (
    EXPORT_NAMES,
    RUN_COLUMNS,
    SCALE_COLUMNS,
    TableError,
    read_runs,
    read_scales,
    scales_to_wide,
    to_export,
)
from benchmark.studies import published


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return published.runs().query("dataset == 'emoji' and evaluation == 2")


def test_the_export_has_the_columns_that_the_original_plots_read(runs):
    table = to_export(runs)
    assert {"run_id", "status", "metrics.train_time", *EXPORT_NAMES.values()} == set(table.columns)
    # What plots/hyperparam.py of the original asks for, in its words.
    rows = table[
        (table["params.model"] == "standard")
        & (table["params.data"] == "emoji")
        & (table["params.interpolation"] == "bicubic")
        & (table["params.kernel_size"] == 7)
        & (table["params.evaluation"] == 2)
    ]
    assert rows["metrics.test_acc"].mean() == pytest.approx(published.cell("standard", "emoji", 2).mean, abs=1e-4)


def test_an_export_read_back_is_the_same_table(runs, tmp_path):
    path = tmp_path / "runs.csv"
    to_export(runs).to_csv(path, index=False)
    back = read_runs(path)
    assert tuple(back.columns) == RUN_COLUMNS
    for column in (
        "model",
        "dataset",
        "evaluation",
        "kernel_size",
        "interpolation",
        "lr",
        "seed",
        "test_acc",
        "avg_time",
    ):
        assert back[column].tolist() == runs[column].tolist(), column


def test_unfinished_runs_of_an_export_are_left_out(runs, tmp_path):
    table = to_export(runs)
    table.loc[table.index[:3], ["status", "metrics.test_acc"]] = ["FAILED", np.nan]
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert len(read_runs(tmp_path / "runs.csv")) == len(runs) - 3


def test_our_own_table_and_the_published_one_can_be_read(runs, tmp_path):
    runs.to_csv(tmp_path / "ours.csv", index=False)
    assert read_runs(tmp_path / "ours.csv")["test_acc"].tolist() == runs["test_acc"].tolist()
    stir = runs.rename(columns={"lr": "learning_rate", "test_acc": "test_accuracy"})
    stir.to_csv(tmp_path / "stir.csv", index=False)
    assert set(read_runs(tmp_path / "stir.csv")["kernel_size"]) == {7}


def test_the_wide_scale_table_is_in_fractions_and_comes_back_in_percent(tmp_path):
    rows = [
        {"model": "xu", "dataset": "emoji", "evaluation": 2, "run_id": f"run{n}", "scale": scale, "accuracy": 10.0 * n}
        for n in (1, 2)
        for scale in range(17, 65)
    ]
    wide = scales_to_wide(pd.DataFrame(rows))
    assert wide.columns.tolist() == ["model", "data", "eval", *(f"s{scale}" for scale in range(17, 65))]
    assert sorted(wide["s17"]) == [0.1, 0.2]
    wide.to_csv(tmp_path / "generalization.csv", index=False)
    back = read_scales(tmp_path / "generalization.csv")
    assert tuple(back.columns) == SCALE_COLUMNS
    assert back["accuracy_mean"].tolist() == pytest.approx([15.0] * 48)
    assert set(back["runs"]) == {2}


def test_a_long_scale_table_can_be_read(tmp_path):
    published.generalization().to_csv(tmp_path / "scales.csv", index=False)
    assert len(read_scales(tmp_path / "scales.csv")) == 8448


def test_a_run_table_is_no_scale_table(runs, tmp_path):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    assert read_scales(tmp_path / "runs.csv") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model,dataset\nxu,emoji\n", "no column evaluation, lr, seed, test_acc; needed are"),
        ("params.model,params.data\nxu,emoji\n", r"no column params\.evaluation"),
        ("", "cannot read"),
        ("model,dataset,evaluation,lr,seed,test_acc\nxu,emoji,two,0.1,1,5\n", "column 'evaluation' holds"),
        ("model,dataset,evaluation,lr,seed,test_acc\nxu,emoji,2,0.1,1,\n", "1 of 1 runs have no test accuracy"),
        ("model,dataset,evaluation,lr,seed,test_acc\nxu,emoji,2,0.1,1,512\n", "1 of 1 runs have no test accuracy"),
        ("model,dataset,evaluation,lr,seed,test_acc\n", "holds no finished run"),
    ],
)
def test_a_broken_table_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "broken.csv"
    path.write_text(content)
    with pytest.raises(TableError, match=message) as raised:
        read_runs(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(TableError, match="mlflow"):
        read_runs(tmp_path / "nothing.csv")
