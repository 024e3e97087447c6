"""The studies: which data are trained on, by which protocol, and what a run of them is called.

A study is one file. Everything else of the harness (loop, checkpoints, store, records, sweeps) is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmark.studies.base import Study
from benchmark.studies.mnist_range import MnistRange
from benchmark.studies.mnist_scale import MnistScale
from benchmark.studies.stir import Stir
from benchmark.studies.stl10 import Stl10
from siconvnet.errors import UnknownName

__all__ = ["STIR", "STUDIES", "Study", "find_study", "study_of"]

STIR = Stir()
STUDIES: Mapping[str, Study] = MappingProxyType(
    {study.name: study for study in (STIR, MnistScale(), MnistRange(), Stl10())}
)


def find_study(name: str) -> Study:
    """The study of a name.

    Raises:
        UnknownName: there is none.
    """
    if name not in STUDIES:
        raise UnknownName("study", name, STUDIES)
    return STUDIES[name]


def study_of(dataset: str) -> Study:
    """The study that a data set belongs to. STIR has several and takes files; each other is named as its data."""
    return STUDIES.get(dataset, STIR)
