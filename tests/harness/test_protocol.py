"""Scenarios and protocol against the figures of the paper."""

from __future__ import annotations

import pytest

from benchmark.protocol import BANDS, PAPER, SCENARIOS, find_scenario
from siconvnet.errors import UnknownName


@pytest.mark.parametrize(
    ("number", "name", "train", "test"),
    [
        (1, "Small2Large", [*range(17, 33)], [*range(33, 65)]),
        (2, "Mid2Rest", [*range(33, 49)], [*range(17, 33), *range(49, 65)]),
        (3, "Large2Small", [*range(49, 65)], [*range(17, 49)]),
        (4, "All2All", [*range(17, 65)], [*range(17, 65)]),
    ],
)
def test_scenario_is_the_papers(number: int, name: str, train: list[int], test: list[int]) -> None:
    scenario = SCENARIOS[number]
    assert (scenario.name, list(scenario.train_scales), list(scenario.test_scales)) == (name, train, test)
    assert find_scenario(number) is find_scenario(str(number)) is find_scenario(name.upper()) is scenario


def test_bands_split_all_sizes_and_know_what_training_saw() -> None:
    assert [scale for band in BANDS for scale in band.scales] == list(range(17, 65))
    assert [SCENARIOS[2].saw(band) for band in BANDS] == [False, True, False]
    assert all(SCENARIOS[4].saw(band) for band in BANDS)


@pytest.mark.parametrize("key", [0, 5, "mid", "", "2.0"])
def test_unknown_evaluation_names_what_there_is(key: object) -> None:
    with pytest.raises(UnknownName, match="Known: 1, 2, 3, 4, All2All"):
        find_scenario(key)  # type: ignore[arg-type]


def test_slip_of_the_finger_finds_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'Mid2Rest'"):
        find_scenario("Mid2Rset")


def test_protocol_is_the_papers() -> None:
    assert (PAPER.batch_size, PAPER.max_epochs, PAPER.patience) == (16, 200, 10)
    assert (PAPER.kernel_size, PAPER.interpolation, PAPER.learning_rates) == (7, "bicubic", (1e-2, 1e-3))
    assert {name: len(seeds) for name, seeds in PAPER.seeds.items()} == {
        "emoji": 50,
        "mnist": 25,
        "trafficsign": 25,
        "aerial": 25,
    }
