"""The identity of a run: its hash, its checks, its name."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.spec import RunSpec
from benchmark.studies import Study, all_studies
from benchmark.studies.settings import settings_of
from siconvnet.datasets import dataset_path
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

PLAIN = RunSpec("standard", "emoji", evaluation=2)


def test_hash_is_pinned() -> None:
    # These find runs again that people have in their stores: a change here orphans all of them.
    assert PLAIN.hash == "92064c99f5dc6ba498423aa261557b594355449eadb106d8390bb72cb91e22a8"
    assert (
        RunSpec("pixel_pool", "mnist", evaluation=4, lr=0.01, seed=25, max_epochs=7).hash
        == "4281f62662dfef11ea1fcc547c3a690e6abe80e0777c4904ce14f57d7daa69b7"
    )


def test_hash_is_the_same_in_another_process(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = "from benchmark.spec import RunSpec; print(RunSpec('standard', 'emoji', evaluation=2).hash)"
    hashes = {python(code, PYTHONHASHSEED=seed).stdout.strip() for seed in ("1", "2")}
    assert hashes == {PLAIN.hash}


def test_every_field_counts() -> None:
    other: dict[str, object] = {
        "model": "xu",
        "dataset": "mnist",
        "evaluation": 3,
        "kernel_size": 9,
        "interpolation": "area",
        "lr": 0.01,
        "seed": 2,
        "batch_size": 8,
        "max_epochs": 3,
        "patience": 4,
    }
    assert other.keys() == set(PLAIN.to_dict())
    hashes = {dataclasses.replace(PLAIN, **{key: value}).hash for key, value in other.items()}  # type: ignore[arg-type]
    assert len({*hashes, PLAIN.hash}) == len(other) + 1


@pytest.mark.parametrize("study", all_studies(), ids=lambda study: study.name)
def test_defaults_of_a_study_are_those_of_its_protocol(study: Study[Any]) -> None:
    settings = settings_of(study.settings)
    assert set(study.identity) <= set(study.fields)
    for name in {"lr", "batch_size", "max_epochs", "patience"} & settings.keys():
        assert settings[name].default == getattr(study.protocol, name)


def test_making_a_hash_builds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    for dataset in ("mnist", "emoji", "aerial"):
        assert RunSpec("standard", dataset, evaluation=2).hash
    assert list(tmp_path.iterdir()) == []


@given(
    lr=st.floats(min_value=1e-12, max_value=1e3, allow_nan=False),
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(1, 500),
)
def test_dictionary_and_back_is_the_same_run(lr: float, seed: int, epochs: int) -> None:
    spec = dataclasses.replace(PLAIN, lr=lr, seed=seed, max_epochs=epochs)
    again = RunSpec.from_dict(spec.to_dict())
    assert again == spec
    assert again.hash == spec.hash


def test_one_and_one_point_zero_are_one_rate() -> None:
    assert dataclasses.replace(PLAIN, lr=1).hash == dataclasses.replace(PLAIN, lr=1.0).hash


def test_data_file_is_known_by_content_not_by_path(few_icons: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(few_icons, tmp_path / "few.npz"))
    one, two = RunSpec("standard", str(few_icons), evaluation=2), RunSpec("standard", str(copy), evaluation=2)
    assert one.hash == two.hash
    assert one.dataset_key.startswith("few-")
    changed = tmp_path / "changed" / "few.npz"
    changed.parent.mkdir()
    changed.write_bytes(few_icons.read_bytes() + b"\0")
    assert RunSpec("standard", str(changed), evaluation=2).hash != one.hash


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "pixelpool"}, "Did you mean 'pixel_pool'"),
        ({"dataset": "emojis"}, "Did you mean 'emoji'"),
        ({"evaluation": 5}, "unknown evaluation '5'"),
        ({"interpolation": "bicubc"}, "Did you mean 'bicubic'"),
        ({"kernel_size": 8}, "odd"),
        ({"kernel_size": 33}, "at most 31"),
        ({"kernel_size": -7}, "odd"),
        ({"lr": 0.0}, "above 0"),
        ({"lr": -1e-3}, "above 0"),
        ({"lr": math.nan}, "above 0"),
        ({"lr": math.inf}, "above 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 1.5}, "must be an integer"),
        ({"seed": True}, "must be an integer"),
        ({"batch_size": 0}, "at least 1"),
        ({"max_epochs": 0}, "at least 1"),
        ({"patience": 0}, "at least 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        dataclasses.replace(PLAIN, **changes).validate()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kernel_size", [3, 7, 31])
def test_kernel_sizes_that_fit(kernel_size: int) -> None:
    dataclasses.replace(PLAIN, kernel_size=kernel_size).validate()


def test_missing_data_file() -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.npz"):
        RunSpec("standard", "nowhere.npz", evaluation=2).validate()


def test_setting_without_effect_is_refused() -> None:
    dataclasses.replace(PLAIN, model="pixel_pool", interpolation="area").check_effective()
    with pytest.raises(InvalidArgument, match="does not use the interpolation"):
        dataclasses.replace(PLAIN, interpolation="area").check_effective()


def test_dictionary_of_another_version_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'patience'"):
        RunSpec.from_dict({**PLAIN.to_dict(), "patiense": 3})
    with pytest.raises(InvalidArgument, match="evaluation"):
        RunSpec.from_dict({"model": "standard", "dataset": "emoji"})
    with pytest.raises(InvalidArgument, match="model must be printable text, not 3"):
        RunSpec.from_dict({**PLAIN.to_dict(), "model": 3})


def test_rate_of_the_cell_that_the_paper_chose() -> None:
    def rate(model: str, evaluation: int) -> float:
        spec = RunSpec(model, "emoji", evaluation=evaluation)
        return spec.study.default_lr(spec)

    assert rate("pixel_pool", 4) == 1e-2
    assert rate("standard", 2) == 1e-3
    assert rate("sesn", 2) == 1e-3  # not in the paper


def test_names_and_deviations() -> None:
    assert (PLAIN.name, PLAIN.deviations) == ("standard s1", ())
    off = dataclasses.replace(PLAIN, kernel_size=11, max_epochs=2, lr=0.5)
    assert off.name == "standard s1 kernel_size=11 max_epochs=2 lr=0.5"
    assert off.deviations == (
        "kernel size 11 instead of 7",
        "max epochs 2 instead of 200",
        "learning rate 0.5 instead of 0.01 or 0.001",
    )


def test_a_data_set_of_ones_own_is_known_by_its_content(tmp_path, monkeypatch):
    keys = set()
    for content in (b"first", b"second"):
        folder = tmp_path / content.decode()
        folder.mkdir()
        shutil.copy(dataset_path("emoji"), folder / "mine.npz")
        with zipfile.ZipFile(folder / "mine.npz", "a") as archive:
            archive.comment = content
        monkeypatch.setenv("SICONVNET_DATA", str(folder))
        keys.add(RunSpec("standard", "mine", evaluation=2).dataset_key)
    assert len(keys) == 2 and all(key.startswith("mine-") for key in keys)
    assert RunSpec("standard", "emoji", evaluation=2).dataset_key == "emoji"


def test_a_flag_is_true_or_false_and_not_one() -> None:
    assert RunSpec("cnn_28", "mnist-scale", augment=True).validate().settings.augment is True
    with pytest.raises(InvalidArgument, match="augment must be true or false"):
        RunSpec("cnn_28", "mnist-scale", augment=1).validate()  # type: ignore[arg-type]


def test_a_spec_of_our_own_models_is_judged_without_pytorch() -> None:
    # The status of ten thousand runs is to take less than two seconds, and PyTorch alone takes one and a half.
    judge = "from benchmark.spec import RunSpec; RunSpec('standard', 'emoji', evaluation=2).validate()"
    code = f"import sys; {judge}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
