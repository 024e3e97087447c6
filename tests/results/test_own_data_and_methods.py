"""Data and methods of one's own in the results: found by their content, told apart by it, and called as they ask."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.entries import tags_of
from benchmark.studies.stir import STIR, _file_key
from benchmark.system.own_model import describe_model

SOURCE = """
from torch import nn


class Tiny(nn.Module):
    label = "Tiny net"


class Plain(nn.Module):
    pass
"""


@pytest.fixture
def mine(icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set of one's own in the data folder; the key by which results know it."""
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    shutil.copy(icons, tmp_path / "data" / "mine.npz")
    return RunSpec("standard", "mine", evaluation=2).dataset_key


@pytest.fixture
def my_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with models in a git repository of its own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_versioned_net.py").write_text(SOURCE, encoding="utf-8")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a net"]):
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *command], check=True)
    monkeypatch.syspath_prepend(folder)
    yield folder / "my_versioned_net.py"
    sys.modules.pop("my_versioned_net", None)


@pytest.mark.parametrize("asked", [[], ["-d", "mine"], ["-d", "KEY"]])
def test_own_data_are_found_by_their_content(own, finish, mine, capsys, asked):
    finish(Store(own), RunSpec("standard", "mine", evaluation=2))
    named = [mine if word == "KEY" else word for word in asked]
    assert main(["evaluate", "--tracking-uri", own, *named, "--part", "equivariance"]) == 0
    assert f"standard s1 on {mine} Mid2Rest: test_acc" in capsys.readouterr().out


def test_chance_stands_beside_own_data(own, finish, mine, capsys):
    finish(Store(own), RunSpec("standard", "mine", evaluation=2))
    assert main(["leaderboard", "--tracking-uri", own]) == 0
    assert f"{mine}, Mid2Rest: test accuracy [%], chance 25.00" in capsys.readouterr().out


def test_own_data_that_have_changed_or_lie_elsewhere_say_what_to_type(own, finish, mine, icons, tmp_path, capsys):
    store = Store(own)
    finish(store, RunSpec("standard", "mine", evaluation=2))
    finish(store, RunSpec("standard", str(icons), evaluation=2))
    with np.load(icons) as arrays:
        np.savez(tmp_path / "data" / "mine.npz", **{**arrays, "imgs": 255 - arrays["imgs"]})
    _file_key.cache_clear()
    assert main(["evaluate", "--tracking-uri", own, "--part", "equivariance"]) == 1
    said = capsys.readouterr().err
    assert "'mine' in the data folder has another content" in said
    assert "name their file: --dataset icons.npz" in said


@pytest.mark.parametrize("command", ["leaderboard", "export", "evaluate"])
def test_short_runs_alone_do_not_count_unless_they_are_asked_for(own, finish, mine, capsys, command):
    finish(Store(own), RunSpec("standard", "mine", evaluation=2, max_epochs=2))
    named = [command, "--tracking-uri", own, "-d", "mine"]
    assert main(named) == 1
    assert "--include-short takes the 1 of another length" in capsys.readouterr().err
    assert main([*named, "--include-short"]) == 0


def test_a_method_is_recorded_with_its_source_and_commit(my_net):
    spec = RunSpec("my_versioned_net:Tiny", "emoji", evaluation=2)
    found = describe_model(spec.model, spec.model_key)
    assert found is not None
    assert (found["source"], found["label"], found["git"]["modified"]) == (SOURCE, "Tiny net", False)
    assert spec.model_key.endswith(found["version"]) and len(found["version"]) == 12
    tags = tags_of(spec, {"model": found})
    assert tags["model_version"] == found["version"] and tags["model_label"] == "Tiny net"
    assert (tags["model_commit"], tags["model_modified"]) == (found["git"]["commit"], "False")
    plain = describe_model("my_versioned_net:Plain", spec.model_key)
    assert plain is not None and plain["label"] == ""
    assert describe_model("standard", "standard") is None


def test_what_is_recorded_of_a_method_comes_back_with_its_runs(own, icons, capsys):
    from test_learned_scale_runs import log

    store = Store(own)
    log(store, RunSpec("standard", str(icons), evaluation=2), icons)
    (run,) = store.read(statuses=["FINISHED"])
    for name, value in {"model_version": "3f2a0123abcd", "model_label": "Tiny net"}.items():
        store.client.set_tag(run.run_id, name, value)
    (row,) = Source(STIR, [MLFLOW], own).runs.to_dict("records")
    assert (row["version"], row["label"]) == ("3f2a0123abcd", "Tiny net")
    assert main(["leaderboard", "--tracking-uri", own]) == 0
    assert "standard (Tiny net)" in capsys.readouterr().out
    assert main(["export", "--tracking-uri", own]) == 0
    (written,) = pd.read_csv(io.StringIO(capsys.readouterr().out)).to_dict("records")
    assert (written["tags.model_version"], written["tags.model_label"]) == ("3f2a0123abcd", "Tiny net")


def test_several_sources_are_taken_together(tmp_path, capsys):
    from benchmark.studies import published

    runs = published.runs().query("model == 'standard' and dataset == 'emoji' and evaluation == 2")
    for name, part in (("a", runs[:3]), ("b", runs[3:7])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    both = [word for name in "ab" for word in ("--source", str(tmp_path / f"{name}.csv"))]
    assert main(["leaderboard", *both, "-m", "standard", "--format", "csv"]) == 0
    (row,) = pd.read_csv(io.StringIO(capsys.readouterr().out)).to_dict("records")
    assert (row["n"], row["source"]) == (7, "ours")
    assert main(["leaderboard", *both, *both[:2]]) == 2
    assert "is given twice" in capsys.readouterr().err
