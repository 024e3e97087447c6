"""Every registered model does what training and measuring ask of it: a new one is tested by being registered.

The networks of MNIST-Scale and STL-10 share their code in families, and are large. Of each family one network goes
through all checks, and the others through those that say that they are built, run and declare what they have; those of
STL-10 are narrow and see small images.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import siconvnet
from siconvnet import testing

BRIEF = ("builds", "gray", "stages", "scale_pools")
NAMES = siconvnet.list_models()


def options(name: str) -> dict[str, Any]:
    return {"widen": 2, "image_size": 24} if siconvnet.model_info(name).studies == ("stl10",) else {}


def thorough() -> set[str]:
    """All of STIR's networks; of the others the first with each factory."""
    first: dict[object, str] = {}
    for name in NAMES:
        info = siconvnet.model_info(name)
        first.setdefault(name if info.studies == ("stir",) else info.factory, name)
    return set(first.values())


@pytest.mark.parametrize("name", sorted(thorough(), key=NAMES.index))
def test_conforms(name: str) -> None:
    testing.assert_conforms(name, **options(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in thorough()])
def test_others_of_a_family_conform_too(name: str) -> None:
    testing.assert_conforms(name, checks=BRIEF, **options(name))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared_is_complete(name: str) -> None:
    info = siconvnet.model_info(name)
    assert info.name == name
    assert info.label
    assert info.family
    assert info.paper
    assert info.url.startswith("https://")
    assert info.studies


def test_what_is_said_of_learned_scales_is_so() -> None:
    learning = {name for name in NAMES if siconvnet.model_info(name).learned_scales}
    assert learning == {name for name in NAMES if siconvnet.model_info(name).takes("scale_parameterisation")}


@pytest.mark.parametrize("name", [n for n in NAMES if siconvnet.model_info(n).uses_kernel_size])
def test_another_kernel_size(name: str) -> None:
    results = testing.conformance(name, checks=("builds", "gray"), kernel_size=5)
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("name", siconvnet.list_models(study="stir"))
def test_another_image_size(name: str) -> None:
    results = testing.conformance(name, checks=("builds", "gray"), image_size=40)
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "area"])
@pytest.mark.parametrize("name", [n for n in NAMES if siconvnet.model_info(n).uses_interpolation])
def test_other_interpolations(name: str, interpolation: str) -> None:
    results = testing.conformance(name, checks=("builds", "gray"), interpolation=interpolation)
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("side", [48, 96])
def test_a_spatial_transformer_takes_images_of_other_sizes(side: int) -> None:
    model = siconvnet.create_model("spatial_transform", num_channels=1, num_classes=7)
    assert model(torch.rand(2, 1, side, side + 4)).shape == (2, 7)
