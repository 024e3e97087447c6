"""`benchmark speed` on a real model, with its table, its file and its chart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import benchmark.speed
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


def test_a_measurement_that_is_stopped_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    """The rows so far are there, and the table of an earlier measurement is as it was."""
    arguments = ["speed", "-m", "standard", "--batch-size", "2", "--repeats", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    (table,) = tmp_path.glob("speed-*.csv")
    earlier, measure = table.read_bytes(), benchmark.speed.measure

    def stopped(model, *rest):
        if model == "pixel_pool":
            raise KeyboardInterrupt
        return measure(model, *rest)

    monkeypatch.setattr(benchmark.speed, "measure", stopped)
    assert main([*arguments, "-m", "pixel_pool"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    part = Path(f"{table}.part")
    assert pd.read_csv(part)["model"].tolist() == ["standard", "standard"]
    assert table.read_bytes() == earlier
    monkeypatch.undo()
    assert main(arguments) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".png"]


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
