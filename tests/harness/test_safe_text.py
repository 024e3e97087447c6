"""Names from strangers command no terminal, end no cell and compute nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.system.files import csv_text
from benchmark.training import records
from siconvnet.safe_text import csv_cell, markdown_cell, printable

HOSTILE = ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "a\u202eb", "\ud800", "a\x9bK"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_commands_a_terminal(text: str) -> None:
    assert printable(text).isprintable() and printable(text) != text
    printable(text).encode("utf-8")
    assert printable("pixel_pool é ± 中") == "pixel_pool é ± 中"
    assert printable("one\n\ttwo\x1b", lines=True) == "one\n\ttwo\\x1b"


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", '=HYPERLINK("x")'])
def test_no_field_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    (line,) = csv_text(pd.DataFrame({"model": [text], "lr": [-0.5]})).splitlines()[1:]
    assert line.lstrip('"').startswith("'")


def test_numbers_and_plain_tables_are_as_pandas_writes_them() -> None:
    table = pd.DataFrame({"model": ["a", None], "x": [-1.5, float("nan")], "n": [1, 2], "text": ["-1e-3", "+2"]})
    assert csv_text(table) == table.to_csv(index=False, lineterminator="\n")
    assert csv_text(table[:0]) == table[:0].to_csv(index=False, lineterminator="\n")
    assert pd.read_csv(io.StringIO(csv_text(table)))["x"][0] == -1.5


def test_integers_beside_empty_cells_stay_integers() -> None:
    table = pd.DataFrame({"name": ["a", "b"], "n": [1, None]}, dtype=object)
    assert csv_text(table) == "name,n\na,1\nb,\n"


@given(st.text())
def test_a_cell_of_a_table_is_one_cell_on_one_line(text: str) -> None:
    cell = markdown_cell(text)
    assert cell.isprintable()
    bare = cell.replace("\\\\", "").replace("\\|", "").replace("\\<", "").replace("\\`", "")
    assert not {*bare} & {*"|<`"}
    assert "](" not in cell


def test_what_a_store_says_can_be_shown(database: Path) -> None:
    from benchmark.store import Store

    store = Store(str(database))
    experiment = store.client.create_experiment("stir/emoji/Mid2Rest")
    run = store.client.create_run(experiment, tags={"reason": "\x1b[2Jgone", "last_lines": "a\nb\x07"})
    store.client.log_param(run.info.run_id, "model", "=cmd\x1b[31m")
    (found,) = store.read()
    assert found.params["model"] == "=cmd\\x1b[31m"
    assert (found.tags["reason"], found.tags["last_lines"]) == ("\\x1b[2Jgone", "a\nb\\x07")


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\rb", "two\nlines", "\udcffraw"])
def test_a_folder_s_name_commands_no_terminal(
    tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / "in" / name
    folder.mkdir(parents=True)
    (folder / records.RECORD).write_text('{"format": "\x1b[31m"}', encoding="utf-8")
    with pytest.raises(records.RecordError) as caught:
        records.read(folder)
    assert str(caught.value).isprintable()
    assert main(["ingest", str(tmp_path / "in"), "--tracking-uri", str(database)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and line.isprintable()
