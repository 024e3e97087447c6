"""Metrics as registered objects: what they say of themselves, and one of another package through the commands."""

from __future__ import annotations

import io
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.results import metrics
from benchmark.results.metrics import all_metrics, figure_names, find_figure, measured
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.studies import all_studies, find_study
from benchmark.studies.stir import STIR
from siconvnet.errors import UnknownName
from siconvnet.registry import PluginWarning

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """The metric of the documentation, installed by an entry point, and one that does not load."""
    (example,) = re.findall(r"```python\n(from benchmark.results.metrics.*?)```", DOC.read_text(encoding="utf-8"), re.S)
    (tmp_path / "metric_of_the_docs.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    points = {
        name: EntryPoint(name, value, "siconvnet.metrics")
        for name, value in {"errors": "metric_of_the_docs:METRIC", "broken": "nowhere:METRIC"}.items()
    }
    monkeypatch.setattr(metrics._registry, "_plugins", points)
    yield
    metrics._registry._objects.pop("errors", None)


def test_every_metric_says_what_it_logs_and_what_it_needs():
    offered = {name for study in all_studies() for name in study.offers}
    for metric in all_metrics():
        assert metric.title and metric.figures and metric.needs <= offered
    assert len(figure_names()) == len(set(figure_names()))
    assert measured(STIR) == measured() == ["generalization", "equivariance", "indices"]
    assert measured(find_study("stl10")) == ["generalization"]


def test_a_figure_is_found_by_its_name_or_its_pattern():
    assert (find_figure("test_err").more_is_better, find_figure("test_acc").more_is_better) == (False, True)
    assert find_figure("equivariance_stage2").heading == "equivariance error (equivariance_stage2)"
    assert find_figure("somebodys", ["somebodys"]).more_is_better is None
    with pytest.raises(UnknownName, match="Did you mean 'scale_consistency'"):
        find_figure("scale_consistancy")


def test_guessing_has_a_figure_where_a_class_is_guessed():
    assert find_figure("test_acc").chance(4) == 25 and find_figure("test_err").chance(10) == 90
    assert find_figure("avg_time").chance(4) is None and find_figure("test_acc").chance(None) is None


@pytest.mark.filterwarnings("ignore::siconvnet.registry.PluginWarning")
def test_a_metric_of_another_package_is_measured_ranked_and_exported(own, finish, icons, plugged, capsys):
    finish(Store(own), RunSpec("standard", str(icons), evaluation=2))
    assert main(["evaluate", "--tracking-uri", own, "--part", "errors"]) == 0
    assert "wrong_images" in capsys.readouterr().out
    assert main(["leaderboard", "--tracking-uri", own, "--metric", "wrong_images"]) == 0
    assert "misclassified images" in capsys.readouterr().out
    assert main(["export", "--tracking-uri", own]) == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out))["metrics.wrong_images"].notna().all()


def test_one_that_does_not_load_is_a_warning(plugged):
    with pytest.warns(PluginWarning, match="broken"):
        assert "errors" in measured(find_study("stl10"))
