"""The studies by name, and what is said of a name or setting that belongs to another study or to none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.studies.base import Study
from benchmark.studies.settings import option_text, settings_of
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.models import is_target
from siconvnet.registry import Registry


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


def unknown_dataset(name: str) -> UnknownName:
    """What to say of a name that is no data set of any study."""
    return UnknownName("dataset", name, [each for study in all_studies() for each in study.list_datasets()])


def check_names(study: Study[Any], dataset: str, values: Mapping[str, Any]) -> None:
    """Refuse settings that a run on a data set does not have, and a run without a setting that it needs.

    Raises:
        UnknownName: no study has such a setting or data set.
        InvalidArgument: a setting is missing, or belongs to another study.
    """
    known = settings_of(study.settings)
    unknown = next((name for name in values if name not in known), None)
    missing = next((found for found in known.values() if found.required and found.name not in values), None)
    if (unknown is not None or missing) and not study.owns(dataset):  # what is wrong is the data set, not the settings
        raise unknown_dataset(dataset)
    if unknown is not None:
        if any(unknown in settings_of(each.settings) for each in all_studies()):
            told = option_text(unknown, values[unknown])
            raise InvalidArgument(f"{told} does not apply to a run on {dataset}; leave it out.")
        raise UnknownName(f"setting of a run on {study.title}", unknown, known)
    if missing:
        raise InvalidArgument(f"a run on {dataset} needs {missing.missing or missing.words}.")


def check_model(study: Study[Any], model: str) -> None:
    """Refuse a model that cannot be trained in a study.

    Raises:
        InvalidArgument: it is a model for another study, or a class that cannot be imported or is not a model.
        UnknownName: there is no such model.
    """
    import siconvnet

    if is_target(model):  # of registered names the list is enough: to look at a model can load PyTorch
        siconvnet.model_info(model)
    if study.takes(model):
        return
    for other in all_studies():
        if other.takes(model):
            # A study with a single data set is asked for by its name.
            train = f"train it with --dataset {other.name}, or " if other.list_datasets() == [other.name] else ""
            raise InvalidArgument(
                f"{model!r} is a model for {other.title}, not for {study.title}; {train}"
                f"choose one of `benchmark models --study {study.name}`."
            )
    raise study.unknown_model(model)
