"""Runs that differ in how their scales are learned: apart in every table, loaded as what they are, read by epoch."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.events import Ended, Epoch, Result, Started
from benchmark.predictions import Predictions, summarise
from benchmark.results import figures, scale_runs
from benchmark.results.leaderboard import leaderboard
from benchmark.results.selection import selected
from benchmark.results.sources import MLFLOW, Source, matching
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.weights import load_model
from benchmark.studies import scale_fields
from benchmark.studies.stir import STIR
from siconvnet import create_model
from siconvnet.datasets import load_dataset
from siconvnet.layers.learned_scales import scale_figures

VARIANTS = ["ses_learned", "ses_learned [fixed]", "ses_learned [spacing sigma kept isr=3]"]
FIELDS = [{}, {"scale_parameterisation": "fixed"}]
FIELDS += [{"scale_parameterisation": "spacing", "learn_sigma": False, "isr": 3.0}]


def log(store: Store, spec: RunSpec, icons: Path) -> None:
    """A finished run of two epochs, the first the better; its predictions are drawn."""
    data = load_dataset(str(icons))
    torch.manual_seed(spec.seed)
    options = {"num_channels": 1, "num_classes": data.num_classes, **scale_fields.resolved(spec)}
    model = create_model(spec.model, **options)
    subset = data.select("test", range(17, 65))
    found = np.random.default_rng(spec.seed).integers(4, size=len(subset.labels))
    predictions = Predictions(found, subset.labels, subset.scales, np.zeros(len(found), dtype=np.float32))
    metrics = summarise(predictions, spec.settings.scenario) | {"best_acc": 50.0, "avg_time": 1.0, "run_time": 9.0}
    started = Started(uuid.uuid4().hex, spec, time.time(), 10, {"host": "test", "device_name": "cpu"})
    run_id = store.start(started)
    scales = scale_figures(model)
    for number, accuracy in ((1, 50.0), (2, 40.0)):
        own = {name: value * number for name, value in scales.items() if name != "isr"}
        store.log_epoch(run_id, Epoch(number, 1.0, 50.0, 1.0, 1.0, accuracy, 50.0, 9, time.time(), own))
    store.finish(run_id, Result(started, metrics, (), predictions, model.state_dict(), time.time()))


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty, icons) -> str:
    path = tmp_path_factory.mktemp("learned") / "mlflow.db"
    path.write_bytes(Path(empty).read_bytes())
    store = Store(str(path))
    for fields in FIELDS:
        log(store, RunSpec("ses_learned", str(icons), evaluation=2, **fields), icons)
    log(store, RunSpec("hermite", str(icons), evaluation=2), icons)
    return str(path)


@pytest.mark.parametrize(("name", "fields"), list(zip(VARIANTS, FIELDS, strict=True)))
def test_a_variant_says_what_it_is(name, fields):
    spec = RunSpec("ses_learned", "emoji", evaluation=1, **fields)
    assert scale_fields.variant(spec) == name
    assert scale_fields.of_variant(name) == ("ses_learned", fields)
    assert scale_fields.of_variant("package.module:Class") == ("package.module:Class", {})


def test_variants_are_apart_in_the_tables(database, icons, capsys):
    runs = Source(STIR, [MLFLOW], database).runs
    assert sorted(runs["entry"]) == sorted([*VARIANTS, "hermite"])
    assert set(runs["model"]) == {"ses_learned", "hermite"}
    assert len(matching(runs, {"model": ("ses_learned",)})) == 3
    assert len(matching(runs, {"model": ("ses_learned [fixed]",)})) == 1
    assert main(["leaderboard", "--tracking-uri", database, "-d", str(icons), "-e", "2", "--format", "csv"]) == 0
    said = capsys.readouterr().out
    assert all(f",{name}," in said for name in VARIANTS)


def test_weights_of_every_variant_are_loaded(database, icons):
    store, data = Store(database), load_dataset(str(icons))
    for run in Source(STIR, [MLFLOW], database).runs.to_dict("records"):
        load_model(store, run, data)


def test_every_variant_is_evaluated(database, icons, capsys):
    command = ["evaluate", "--tracking-uri", database, "-d", str(icons), "-m", "ses_learned"]
    assert main([*command, "--part", "generalization"]) == 0
    said = capsys.readouterr().out
    told = [re.sub(r"[][]", "", name) for name in VARIANTS]
    assert all(f"{name} s1 on icons" in said for name in told) and "hermite" not in said


def test_scales_by_epoch(database):
    table = scale_runs.read(Store(database))
    learned = table[table["model"] == "ses_learned"]
    assert len(learned) == 3 * 2 and learned["kept"].sum() == 3
    kept = learned[learned["kept"].astype(bool)]
    assert kept["epoch"].tolist() == [1, 1, 1]
    assert dict(zip(kept["scale_parameterisation"], kept["own_start"], strict=True)) == {
        "isr": True, "fixed": True, "spacing": False,
    }  # fmt: skip
    spacing = kept[kept["scale_parameterisation"] == "spacing"].iloc[0]
    assert [spacing[f"scale_{number}"] for number in (1, 4)] == pytest.approx([1.5, 4.5])
    # The reference stands beside them with a row of its own.
    assert table[table["model"] == "hermite"]["scale_1"].isna().tolist() == [True]
    assert "hermite" not in set(scale_runs.outcomes(table)["model"])


def test_a_failed_variant_is_named_and_counted_where_it_would_stand(own, finish):
    store, spec = Store(own), RunSpec("ses_learned", "emoji", evaluation=2, scale_parameterisation="fixed")

    def start(**changes: object) -> tuple[str, Started]:
        made = spec.replace(**changes)
        started = Started(uuid.uuid4().hex, made, time.time(), 10, {"host": "test", "device_name": "cpu"})
        return store.start(started), started

    # The same again, a short trial and another kernel size are no further run of the cell.
    for changes in ({}, {}, {"seed": 2}, {"max_epochs": 2}, {"kernel_size": 5}):
        run_id, started = start(**changes)
        store.end(run_id, Ended(started, "FAILED", "no reason", (), time.time()))
    store.client.log_metric(finish(store, spec.replace(seed=3)), "test_acc", 50.0)

    def note(**setting: object) -> str:
        source = Source(STIR, [MLFLOW], own)
        counted = selected(STIR, source.runs, setting)
        only = {"model": ("ses_learned [fixed]",)}
        table = leaderboard(STIR, counted, setting=setting, unfinished=source.unfinished, only=only).table
        return str(table.set_index("model").loc["ses_learned [fixed]", "note"])

    assert note() == "2 failed"
    finish(store, spec.replace(seed=2))
    assert note() == "1 failed"
    finish(store, spec.replace(kernel_size=5, seed=9))
    assert note(kernel_size=5) == "1 failed"


def test_figures_get_the_runs_of_a_store(database):
    learned = figures.tables(Source(STIR, [MLFLOW], database)).learned
    assert learned is not None and len(learned) == 3 * 2 + 1


def test_a_store_without_learned_scales(own, tmp_path, capsys):
    assert main(["plot", "scales", "--tracking-uri", own, "--out", str(tmp_path)]) == 1
    assert "no run with learned scales; `benchmark sweep --suite scale-learning` makes them" in capsys.readouterr().err
