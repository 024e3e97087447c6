"""The studies: which data are trained on, by which protocol, and how their results are read.

A study is one file and one registered object; the rest of the harness knows none by name. Other packages add studies
through the entry-point group ``benchmark.studies``: an entry names an instance of `Study`.
"""

from __future__ import annotations

from typing import Any

from benchmark.studies.base import Study
from siconvnet.errors import InvalidArgument, SiconvnetError
from siconvnet.registry import Registry

__all__ = ["Study", "all_studies", "default_study", "find_study", "register_study", "study_of"]


def _adapt(name: str, study: object) -> Study[Any]:
    if not isinstance(study, Study):
        raise InvalidArgument(f"it is {type(study).__name__}, not an instance of benchmark.studies.Study")
    if study.name != name:
        raise InvalidArgument(f"its study calls itself {study.name!r}; give both the same name")
    return study


_registry: Registry[Study[Any]] = Registry(
    "study",
    {
        "stir": "benchmark.studies.stir",
        "mnist-scale": "benchmark.studies.mnist_scale",
        "mnist-range": "benchmark.studies.mnist_range",
        "stl10": "benchmark.studies.stl10",
    },
    "benchmark.studies",
    adapt=_adapt,
)


def register_study(study: Study[Any]) -> None:
    """Make a study known by its name.

    Raises:
        InvalidArgument: another study has that name.
    """
    _registry.register(study.name, study)


def all_studies() -> tuple[Study[Any], ...]:
    """Every study that loads, built-in ones first. One of another package that fails to load is a warning."""
    found = []
    for name in _registry.names():
        try:
            found.append(_registry[name])
        except SiconvnetError:  # the registry has warned
            continue
    return tuple(found)


def find_study(name: str) -> Study[Any]:
    """The study of a name.

    Raises:
        UnknownName: there is none.
    """
    return _registry[name]


def default_study() -> Study[Any]:
    """The study that commands mean where no data set is named, and that takes data sets of the user's own."""
    return next(study for study in all_studies() if study.takes_files)


def study_of(dataset: str) -> Study[Any]:
    """The study that a data set belongs to; one that no study lists is taken for the user's own."""
    own = default_study()
    return next((study for study in all_studies() if study is not own and study.owns(dataset)), own)
