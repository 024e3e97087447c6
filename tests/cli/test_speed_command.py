"""`benchmark speed` on a real model, with its table, its file and its chart."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.plots.speed import COLUMNS


def test_table_file_and_chart(tmp_path, capfd):
    assert main(["speed", "-m", "standard", "--batch-size", "4", "--repeats", "2", "--out", str(tmp_path)]) == 0
    printed = capfd.readouterr()
    assert "standard" in printed.out and "USDT" not in printed.err
    (table,) = tmp_path.glob("speed-*.csv")
    rows = pd.read_csv(table)
    assert set(COLUMNS) <= set(rows) and rows["pass"].tolist() == ["step", "forward"]
    assert (rows.filter(like="_ms_") > 0).all().all() and (rows["plain_peak_mb"] > 0).all()
    assert (rows["ratio"] - rows["plain_ms_median"] / rows["fast_ms_median"]).abs().max() < 0.05
    assert next(tmp_path.glob("speed-*.png")).stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["-m", "standrad"], 2, "standard"),
        (["-m", "standard", "--repeats", "0"], 2, "repeats"),
        (["-m", "standard", "--device", "tpu"], 2, "cuda"),
    ],
)
def test_bad_input_is_one_line(arguments, code, words, capsys, tmp_path):
    assert main(["speed", *arguments, "--out", str(tmp_path)]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
