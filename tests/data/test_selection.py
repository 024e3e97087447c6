"""Which object goes where: enough of each class, no picture in two splits, copies told from originals."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.canvas import Box
from benchmark.data.left_out import LeftOut
from benchmark.data.photos import FilePhoto, Unusable
from benchmark.data.selection import Candidate, Chooser, Slot, largest, shuffled
from siconvnet.errors import DatasetError

BOX = Box(0, 0, 64, 64)


@pytest.fixture
def pictures(tmp_path):
    """Files of random content and random length: what is in them does not matter here."""

    def make(number: int) -> list[FilePhoto]:
        paths = [tmp_path / f"{i}.png" for i in range(number)]
        for i, path in enumerate(paths):
            path.write_bytes(np.random.default_rng(i).bytes(10 + i % 3))
        return list(map(FilePhoto, paths))

    return make


def chooser(pools, admit=lambda candidate: None) -> Chooser:
    return Chooser(pools, admit)


def test_every_slot_once_and_in_turn(pictures):
    files = pictures(12)
    pools = {"a": [Candidate(file) for file in files[:6]], "b": [Candidate(file) for file in files[6:]]}
    slots = chooser(pools).fill(["a", "b"], 2)
    assert set(slots) == {Slot(s, c, i) for s in range(3) for c in range(2) for i in range(2)}
    order = [slots[Slot(s, 0, i)].photo for i in range(2) for s in range(3)]
    assert order == files[:6], "train, valid, test get the first, second, third of what is preferred"


def test_no_picture_in_two_splits(pictures):
    """Photos with objects of several classes, drawn at random again and again."""
    rng = random.Random(0)
    for _ in range(20):
        files = pictures(60)
        pools = {name: [Candidate(file, BOX) for file in files for _ in range(rng.randint(0, 3))] for name in "abc"}
        slots = chooser(pools).fill(list("abc"), 4)
        homes: dict[str, set[int]] = {}
        for slot, candidate in slots.items():
            homes.setdefault(candidate.photo.key, set()).add(slot.split)
        assert all(len(splits) == 1 for splits in homes.values())
        taken = [(name, candidate) for name in "abc" for candidate in pools[name]]
        assert len(slots) == 36 <= len(taken)


def test_all_objects_in_one_photo_are_not_enough(pictures):
    file, *_ = pictures(1)
    with pytest.raises(DatasetError, match=r"'a' lacks 2"):
        chooser({"a": [Candidate(file, BOX)] * 9}).fill(["a"], 1)


def test_what_waits_for_another_split_is_used_there(pictures):
    """One class leads its photos to splits, and the other finds the rest of its objects in those."""
    one, two, three = pictures(3)
    rare = [Candidate(file, Box(0, 0, 70, 70)) for file in (one, two, three)]
    pools = {"rare": rare, "common": [Candidate(file, BOX) for file in (three, three, two, one)]}
    slots = chooser(pools).fill(["common", "rare"], 1)
    assert [slots[Slot(s, 0, 0)].photo for s in range(3)] == [one, two, three]


def test_copies_under_another_name(pictures, tmp_path):
    files = pictures(9)
    for i, source in enumerate((3, 5, 5)):
        copy = tmp_path / f"copy{i}.png"
        copy.write_bytes(files[source].path.read_bytes())
        files.append(FilePhoto(copy))
    choice = chooser({"a": [Candidate(file) for file in files]})
    with pytest.raises(DatasetError, match=r"'a' lacks 3.*left out: 3 the same object again"):
        choice.fill(["a"], 4)
    assert choice.left_out.counts == {"the same object again": 3}


def test_splits_of_the_source_are_kept(pictures):
    files = pictures(9)
    pool = [Candidate(file, splits=(0, 1)) for file in files[:6]] + [Candidate(file, splits=(2,)) for file in files[6:]]
    slots = chooser({"a": pool}).fill(["a"], 3)
    assert {slots[Slot(2, 0, i)].photo for i in range(3)} == set(files[6:])
    with pytest.raises(DatasetError, match=r"'a' lacks 1"):
        chooser({"a": pool[:-1]}).fill(["a"], 3)


def test_what_is_not_admitted_is_counted(pictures):
    files = pictures(8)

    def admit(candidate):
        if candidate.photo in files[:2]:
            raise Unusable("ugly")

    choice = chooser({"a": [Candidate(file) for file in files]}, admit)
    assert len(choice.fill(["a"], 2)) == 6 and choice.left_out.counts == {"ugly": 2}
    assert choice.take("a", 0) is None and choice.take("nothing", 0) is None


def test_too_few_says_how_many_where_and_what_to_do(pictures):
    files = pictures(40)
    pools = {
        "a": [Candidate(file) for file in files[:9]],
        "b": [Candidate(file) for file in files[9:16]],
        "c": [Candidate(file) for file in files[16:]],
    }
    with pytest.raises(DatasetError) as caught:
        chooser(pools).fill(["a", "b", "c"], 3)
    message = str(caught.value)
    assert "of the 9 needed for each class (3 splits x 3), 'b' lacks 2" in message and "\n" not in message
    assert "--instances 2 or --classes 2" in message
    assert len(chooser(pools).fill(["a", "b", "c"], 2)) == 18, "and the advice is right"
    assert len(chooser(pools).fill(["a", "c"], 3)) == 18


@pytest.mark.parametrize("seed", range(30))
def test_advice_holds(pictures, seed):
    """Whatever the pools, their splits and what is not admitted: the options that a failure names do."""
    rng = random.Random(seed)
    files = iter(pictures(200))
    pools: dict[str, list[Candidate]] = {}
    for name in "abcde"[: rng.randint(2, 5)]:
        homes = rng.choice([[(0, 1, 2)], [(0, 1), (2,)], [(0,), (1,), (2,)]])
        pools[name] = [Candidate(next(files), splits=rng.choice(homes)) for _ in range(rng.randint(1, 30))]
    refused = {candidate.photo.key for pool in pools.values() for candidate in pool if rng.random() < 0.2}

    def admit(candidate):
        if candidate.photo.key in refused:
            raise Unusable("ugly")

    names = sorted(pools)
    try:
        chooser(pools, admit).fill(names, 9)
    except DatasetError as error:
        message = str(error)
    else:
        return
    if found := re.search(r"--instances (\d+)", message):
        chooser(pools, admit).fill(names, int(found[1]))
        with pytest.raises(DatasetError):
            chooser(pools, admit).fill(names, int(found[1]) + 1)
    else:
        with pytest.raises(DatasetError):
            chooser(pools, admit).fill(names, 1)
    if found := re.search(r"--classes (\d+)", message):
        chooser(pools, admit).fill(sorted(largest(pools, int(found[1]))), 9)


def test_shuffling_depends_on_the_seed_alone():
    pool = [Candidate(FilePhoto(Path(str(i)))) for i in range(50)]
    assert shuffled(pool, 1) == shuffled(pool, 1) != shuffled(pool, 2)
    assert set(shuffled(pool, 1)) == set(pool)


def test_what_is_left_out_is_told_with_an_example():
    left_out = LeftOut()
    left_out.add("missing", "cat/7.jpg")
    for i in range(1300):
        left_out.add(Unusable("unreadable"), f"dog/{i}.jpg")
    assert str(left_out) == "1,300 unreadable, 1 missing"
    assert left_out.with_examples() == "1,300 unreadable (such as dog/0.jpg), 1 missing (cat/7.jpg)"
