"""Accuracy and consistency over sizes, on tables whose figures are plain, and on a real model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from siconvnet import create_model
from siconvnet.datasets import load_dataset
from siconvnet.errors import InvalidArgument
from siconvnet.metrics.generalization import accuracy_by_scale, by_scale, predict, scale_consistency


def test_accuracy_by_scale():
    predicted = np.array([0, 1, 2, 0])
    labels = np.array([0, 1, 1, 1])
    assert accuracy_by_scale(predicted, labels, np.array([18, 18, 17, 17])) == {17: 0.0, 18: 100.0}


def test_scale_consistency_counts_objects_of_one_class():
    scales = np.repeat([17, 18, 19], 4)
    steady = np.tile([0, 1, 2, 3], 3)
    assert scale_consistency(steady, scales) == 1
    wavering = steady.copy()
    wavering[4] = 9
    assert scale_consistency(wavering, scales) == 0.75


def test_scale_consistency_does_not_ask_whether_the_class_is_right():
    assert scale_consistency(np.zeros(6, dtype=int), np.repeat([17, 18], 3)) == 1


def test_scales_in_any_order_give_the_same_table():
    scales = np.array([20, 17, 20, 17])
    np.testing.assert_array_equal(by_scale(np.array([0, 1, 2, 3]), scales), [[1, 3], [0, 2]])


def test_scales_with_different_objects_are_refused():
    with pytest.raises(InvalidArgument, match="same objects"):
        scale_consistency(np.zeros(3), np.array([17, 17, 18]))


def test_predictions_are_those_of_the_model_and_leave_its_mode():
    torch.manual_seed(0)
    model = create_model("standard", num_channels=1, num_classes=36).train()
    images = load_dataset("emoji").select("test", [17, 40]).images
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(predict(model, images, batch_size=7), expected)
    assert model.training
    np.testing.assert_array_equal(predict(model.double(), images, batch_size=7), expected)
