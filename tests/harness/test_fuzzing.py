"""Runs and records with anything in them: what is wrong with one is a line of ours, never a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.events import Result
from benchmark.spec import RunSpec
from benchmark.training import records
from benchmark.training.execution import execute
from benchmark.training.records import RecordError
from siconvnet.errors import InvalidArgument

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**400),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["\x1b[31m", "=1+1", "../x", "1,1e999", "a.b:C", "isr", "emoji", "x.npz", "\ud800", "9" * 5000]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
SPECS = [
    RunSpec("standard", "emoji", evaluation=2),
    RunSpec("ses_learned", "few.npz", evaluation=1, sigma=1.7, isr=2.5),
    RunSpec("cnn_28", "mnist-scale", realization=3, augment=True),
    RunSpec("scale_probe", "mnist-range", scale_range="1,4"),
    RunSpec("wrn_16_8", "stl10", amp="float16"),
]


def read_spec(values: dict[str, Any]) -> None:
    try:
        spec = RunSpec.from_dict(values)
    except InvalidArgument as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        # What is accepted can be named, stored, and found again.
        assert RunSpec.from_dict(spec.to_dict()) == spec
        assert spec.name.isprintable() and spec.setting
        assert len(spec.hash_with(spec.model, spec.dataset)) == 64
        assert spec.study.experiment(spec, spec.dataset) and isinstance(spec.deviations, tuple)


def changes(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), ODD, max_size=3)


NAMES = sorted({name for spec in SPECS for name in spec.to_dict()} | {"scale_parameterisation", "unheard_of"})


@example(SPECS[0], {"": 1}, set())
@example(SPECS[0], {"amp": "9" * 5000}, set())
@example(SPECS[0], {"9" * 5000: 1}, set())
@given(st.sampled_from(SPECS), changes(NAMES), st.sets(st.sampled_from(NAMES), max_size=2))
@settings(max_examples=300, deadline=None)
def test_any_values_of_a_run(spec: RunSpec, changed: dict[str, Any], dropped: set[str]) -> None:
    values = {**spec.to_dict(), **changed}
    read_spec({name: value for name, value in values.items() if name not in dropped})


@pytest.mark.slow
@given(st.sampled_from(SPECS), changes(NAMES), st.sets(st.sampled_from(NAMES), max_size=2))
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_thousands_of_values_of_a_run(spec: RunSpec, changed: dict[str, Any], dropped: set[str]) -> None:
    values = {**spec.to_dict(), **changed}
    read_spec({name: value for name, value in values.items() if name not in dropped})


@pytest.fixture(scope="module")
def record(few_icons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    result: Result = execute(
        RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, max_epochs=1), device="cpu"
    )
    yield records.write(result, tmp_path_factory.mktemp("records"))


def places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    if at:
        yield at
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def read_changed(folder: Path, name: str, content: bytes, *, sealed: bool = True) -> None:
    """Read a record with another content of one of its files; then put back what was there."""
    kept = {path: (folder / path).read_bytes() for path in (name, records.SUMS)}
    (folder / name).write_bytes(content)
    if sealed:
        records.seal(folder)
    try:
        records.read(folder)
    except RecordError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    finally:
        for path, before in kept.items():
            (folder / path).write_bytes(before)


def change_a_value(folder: Path, name: str, where: int, value: Any, how: str) -> None:
    values = json.loads((folder / name).read_text())
    ways = list(places(values))
    *parents, last = ways[where % len(ways)]
    place = changed = copy.deepcopy(values)
    for key in parents:
        place = place[key]
    if how == "drop":
        del place[last]
    elif how == "rename" and isinstance(place, dict):
        place[str(value)] = place.pop(last)
    else:
        place[last] = value
    with contextlib.suppress(ValueError):  # numbers of more than 4300 digits
        read_changed(folder, name, json.dumps(changed, default=str).encode("utf-8", "surrogatepass"))


DOCUMENTS = st.sampled_from([records.RECORD, records.ENVIRONMENT])
HOW = st.sampled_from(["put", "put", "drop", "rename"])
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@given(DOCUMENTS, st.integers(0, 10**6), ODD, HOW)
@settings(max_examples=100, **QUIET)
def test_any_value_anywhere_in_a_record(record: Path, name: str, where: int, value: Any, how: str) -> None:
    change_a_value(record, name, where, value, how)


@pytest.mark.slow
@given(DOCUMENTS, st.integers(0, 10**6), ODD, HOW)
@settings(max_examples=2_000, **QUIET)
def test_thousands_of_values_in_a_record(record: Path, name: str, where: int, value: Any, how: str) -> None:
    change_a_value(record, name, where, value, how)


def damage_at_random(folder: Path, times: int) -> None:
    draw = random.Random(0)
    for _ in range(times):
        name = draw.choice(records.FILES)
        content = bytearray((folder / name).read_bytes())
        for _ in range(draw.choice((1, 1, 8, 64))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        read_changed(folder, name, bytes(content[: draw.choice((len(content), draw.randrange(len(content)))) or 1]))


def test_bytes_at_random_in_a_record(record: Path) -> None:
    damage_at_random(record, 60)
    records.read(record)


@pytest.mark.slow
def test_many_bytes_at_random_in_a_record(record: Path) -> None:
    damage_at_random(record, 3_000)
