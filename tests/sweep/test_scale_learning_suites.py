"""The suites of learned scales: every published figure has its runs, and what they compare with is there."""

from __future__ import annotations

import pytest

from benchmark.results.selection import cell_key
from benchmark.spec import RunSpec
from benchmark.studies import find_study, published
from benchmark.sweeps.grid import expand
from benchmark.sweeps.suites import load_suite
from siconvnet.models import LEARNERS


def specs_of(suite: str) -> list[RunSpec]:
    return [spec for grid in load_suite(suite).grids for spec in expand(grid)]


@pytest.fixture(scope="module")
def specs() -> list[RunSpec]:
    return specs_of("scale-learning")


@pytest.mark.parametrize(("study", "count"), [("mnist-range", 77), ("mnist-scale", 10)])
def test_every_published_error_has_its_runs(specs, study, count):
    found = find_study(study)
    entries = {cell_key(found, spec.fields) for spec in specs if spec.dataset == study}
    learned = [spec for spec in found.published_specs() if spec.model in LEARNERS]
    assert len(learned) == count == len([error for error in published.all_errors(study) if error.model in LEARNERS])
    assert {cell_key(found, spec.fields) for spec in learned} <= entries
    # One start of the toy study was not published: it is run all the same.
    assert len(entries) == {"mnist-range": 78, "mnist-scale": 10}[study]
    # Negative control: a start that nobody published has none.
    other = RunSpec(learned[0].model, study, isr=2.21)
    assert cell_key(found, other.fields) not in entries


def test_seeds_and_realizations_are_the_published_ones(specs):
    assert {spec.seed for spec in specs if spec.dataset == "mnist-range"} == {0, 1, 2}
    assert {spec.settings.realization for spec in specs if spec.dataset == "mnist-scale"} == set(range(5))
    assert not any(spec.deviations for spec in specs if spec.study.name != "stir")


@pytest.mark.parametrize("suite", ["scale-learning", "scale-learning-stir"])
def test_extrapolation_is_compared_with_scales_that_stay(suite):
    stir = [spec for spec in specs_of(suite) if spec.study.name == "stir"]
    assert {spec.settings.evaluation for spec in stir} == {1, 2, 3}
    kinds = {(spec.model, spec.settings.scale_parameterisation) for spec in stir}
    assert {("ses_learned", None), ("ses_learned", "fixed")} <= kinds
    if suite == "scale-learning-stir":
        assert kinds == {("ses_learned", None), ("ses_learned", "spacing"), ("ses_learned", "fixed"), ("hermite", None)}
