"""Every registered method does what training and measuring ask of it: a new one is tested by being registered."""

from __future__ import annotations

import pytest
import torch

import siconvnet
from siconvnet import testing


@pytest.mark.parametrize("name", siconvnet.list_models())
def test_conforms(name: str) -> None:
    testing.assert_conforms(name)


@pytest.mark.parametrize("name", siconvnet.list_models())
def test_what_is_declared_is_complete(name: str) -> None:
    info = siconvnet.model_info(name)
    assert info.name == name
    assert info.label
    assert info.family
    assert info.paper
    assert info.url.startswith("https://")


@pytest.mark.parametrize("name", [n for n in siconvnet.list_models() if siconvnet.model_info(n).uses_kernel_size])
def test_another_kernel_size(name: str) -> None:
    results = testing.conformance(name, checks=("builds", "gray"), kernel_size=5)
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "area"])
@pytest.mark.parametrize("name", [n for n in siconvnet.list_models() if siconvnet.model_info(n).uses_interpolation])
def test_other_interpolations(name: str, interpolation: str) -> None:
    results = testing.conformance(name, checks=("builds", "gray"), interpolation=interpolation)
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("side", [48, 96])
def test_a_spatial_transformer_takes_images_of_other_sizes(side: int) -> None:
    model = siconvnet.create_model("spatial_transform", num_channels=1, num_classes=7)
    assert model(torch.rand(2, 1, side, side + 4)).shape == (2, 7)
