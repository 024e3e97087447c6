"""From a dataset's name to its file: which builder, built once, checked, and put in place whole."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from siconvnet.datasets import dataset_info, dataset_path, list_datasets
from siconvnet.datasets.catalog import CATALOG, EMBEDDED, DatasetInfo, as_path, is_registered, missing_file
from siconvnet.datasets.schema import read_header
from siconvnet.errors import DatasetError, InvalidArgument, SiconvnetError, UnknownName
from siconvnet.registry import load_target, reason_of
from siconvnet.whole_files import link_target

from . import custom
from .assembly import assemble
from .crops import Draft
from .custom import Built, Options, custom_path
from .files import exclusive, save_arrays
from .parallel import default_jobs
from .verification import CHECKSUMS, compare

Arrays = dict[str, npt.NDArray]


@dataclass(frozen=True)
class Builder:
    """How one file is built.

    Attributes:
        target: ``module:function``; called as ``function(source, jobs=, progress=)``, returns the file's arrays, or
            if `streamed` as ``function(source)``, returns a `crops.Draft` of what is too large for memory.
        path: where the file belongs.
        on_demand: `prepare` builds it when it is missing: it needs nothing but the package that it comes from.
        foreign: the function is another package's, so that nothing is known of the file but what that says of it.
    """

    target: str
    path: Callable[[], Path]
    on_demand: bool = False
    streamed: bool = False
    foreign: bool = False


BUILDERS: Mapping[str, Builder] = {
    "emoji": Builder("benchmark.data.emoji:build", lambda: dataset_path("emoji")),
    "mnist": Builder("benchmark.data.mnist:build", lambda: dataset_path("mnist"), on_demand=True),
    "trafficsign": Builder("benchmark.data.trafficsign:plan", lambda: dataset_path("trafficsign"), streamed=True),
    "aerial": Builder("benchmark.data.aerial:plan", lambda: dataset_path("aerial"), streamed=True),
    "signs": Builder("benchmark.data.signs:plan", lambda: dataset_path("signs"), on_demand=True, streamed=True),
    "signs_source": Builder("benchmark.data.signs_source:build", lambda: EMBEDDED / "signs_source.npz"),
    "mnist_digits": Builder("benchmark.data.mnist_digits:build", lambda: EMBEDDED / "mnist_digits.npz"),
}


def prepare(name: str, *, progress: bool = True) -> Path:
    """The file of a dataset, built first if it is missing and can be built.

    Safe to be called by several processes at once: one builds, the others wait for it.

    Args:
        name: a dataset's name; or the path of a file, which must exist.
        progress: show a progress bar on stderr while building.

    Raises:
        UnknownName: no such dataset.
        DatasetError: the file is missing and cannot be built; the message says how to get it.
    """
    given = as_path(name)
    path = dataset_path(name) if given is None else given
    if path.exists():
        return path
    if given is not None:
        raise DatasetError(f"there is no file {path}; expected a STIR data file (.npz).")
    builder = find_builder(name)
    if builder is None or not builder.on_demand:
        raise missing_file(name)
    with _alone(path, progress):
        if not path.exists():
            _build(name, builder, path, None, default_jobs(), progress, unverified=False)
    return path


def find_builder(name: str) -> Builder | None:
    """The builder of a built-in dataset, or of one that another package adds; None if it has none."""
    if name in BUILDERS or name in CATALOG or not is_registered(name):
        return BUILDERS.get(name)
    info = dataset_info(name)
    return Builder(info.builder, lambda: dataset_path(name), on_demand=True, foreign=True) if info.builder else None


def build(
    name: str,
    *,
    source: Path | None = None,
    output: Path | None = None,
    jobs: int | None = None,
    progress: bool = True,
    unverified: bool = False,
    tell: Callable[[str], object] = lambda note: None,
) -> Path:
    """Build a file anew, whether it is there or not.

    Args:
        name: one of `BUILDERS`, or a dataset that another package builds.
        source: a folder with the builder's raw material.
        output: the file to write; its place in the data folder or the package if not given.
        jobs: processes to use; one for each processor if not given.
        progress: show a progress bar on stderr.
        unverified: keep the file even if its checksums, or its classes, are not the known ones.
        tell: called with each thing that its maker should know, a sentence each.

    Returns:
        the file written.

    Raises:
        UnknownName: no such builder.
        InvalidArgument: fewer than one job, a source that the builder does not take, or a dataset of another package
            that comes as a file.
        DatasetError: the raw material is missing, the result is not the known one, or it cannot be written.
    """
    builder = find_builder(name)
    if builder is None:
        if is_registered(name):
            raise InvalidArgument(f"{name!r} is not built: its file is {dataset_path(name)}.")
        others = [other for other in list_datasets() if other not in CATALOG and is_registered(other)]
        raise UnknownName("builder", name, [*BUILDERS, *others])
    _check_jobs(jobs)
    path = _place(output or builder.path())
    with _alone(path, progress):
        _build(name, builder, path, source, jobs or default_jobs(), progress, unverified, tell)
    return path


def build_custom(
    name: str, options: Options, *, output: Path | None = None, jobs: int | None = None, progress: bool = True
) -> Built:
    """Build a dataset of one's own images; afterwards it is known by its name.

    Interrupted, the same call goes on where it was.

    Args:
        name: what it will be called; not the name of a built-in dataset.
        options: which images, and how they are drawn.
        output: the file to write; ``NAME.npz`` in `siconvnet.datasets.own_dir` if not given.
        jobs: processes to use; one for each processor if not given.
        progress: show a progress bar on stderr.

    Returns:
        the file, and what its maker should know of it.

    Raises:
        InvalidArgument: an option or a name that is not accepted.
        DatasetError: unreadable annotations, too few objects, or the file cannot be written.
    """
    path = _place(output or custom_path(name))
    options.validate()
    _check_jobs(jobs)
    with _alone(path, progress):
        return custom.build(name, path, options, jobs=jobs, progress=progress)


def _place(path: Path) -> Path:
    """Where a data file is built, which a link may name: scratch files lie beside it, on the disk that has room for it.

    Raises:
        DatasetError: what is there is not a regular file.
    """
    path = link_target(path)
    if path.exists() and not path.is_file():
        raise DatasetError(f"cannot build {path}: it is not a regular file; name one, or a place where there is none.")
    return path


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise InvalidArgument(f"jobs must be 1 or more, got {jobs}.")


def _build(
    name: str,
    builder: Builder,
    path: Path,
    source: Path | None,
    jobs: int,
    progress: bool,
    unverified: bool,
    tell: Callable[[str], object] = lambda note: None,
) -> None:
    if builder.foreign:
        save_arrays(path, _foreign_arrays(name, builder, source, jobs, progress), check=_checked(dataset_info(name)))
        return
    if builder.streamed:
        _stream(name, path, cast("Draft", load_target(builder.target)(source)), jobs, progress, unverified, tell)
        return
    arrays = cast("Callable[..., Arrays]", load_target(builder.target))(source, jobs=jobs, progress=progress)
    wrong = [check for check in compare(arrays, CHECKSUMS[name]) if not check.ok]
    if wrong and not unverified:
        raise DatasetError(
            f"{name} came out different here: {wrong[0].key} has checksum {wrong[0].found}, expected "
            f"{wrong[0].expected}, so no file was written; other library versions may round or render differently. "
            f"To keep it anyway: benchmark data build {name} --unverified"
        )
    save_arrays(path, arrays)


def _foreign_arrays(name: str, builder: Builder, source: Path | None, jobs: int, progress: bool) -> Arrays:
    try:
        made = cast("Arrays", load_target(builder.target)(source, jobs=jobs, progress=progress))
        arrays = {key: np.asarray(array) for key, array in made.items()}
    except SiconvnetError:
        raise
    except Exception as error:
        raise DatasetError(f"{name!r} cannot be built: {builder.target} fails: {reason_of(error)}") from error
    if objects := [key for key, array in arrays.items() if array.dtype.hasobject]:
        raise DatasetError(f"{name!r} cannot be built: {objects[0]} of {builder.target} holds Python objects.")
    return arrays


def _checked(info: DatasetInfo) -> Callable[[Path], None]:
    """A check of a file that was just written: of the format, and of the size that the dataset is said to have."""

    def check(path: Path) -> None:
        try:
            header = read_header(path, oblong=info.oblong)
        except DatasetError as error:
            raise DatasetError(f"{info.builder} builds no STIR file: {str(error).replace(str(path), 'it')}") from None
        found = (*header.labels.shape[2:], header.num_channels)
        said = info.num_classes, info.num_instances, info.num_channels
        if found != said:
            raise DatasetError(
                f"{info.builder} builds a file of (classes, instances, channels) = {found}, and {info.name!r} is said "
                f"to have {said}."
            )

    return check


def _stream(
    name: str, path: Path, draft: Draft, jobs: int, progress: bool, unverified: bool, tell: Callable[[str], object]
) -> None:
    found, expected = len(draft.plan.class_names), CATALOG[name].num_classes
    if found != expected and not unverified:
        raise DatasetError(
            f"{name} would have {found} classes here, and the published file has {expected}: something of the source "
            f"is missing ({' '.join(draft.notes) or 'nothing was left out'}). To build it anyway: --unverified"
        )
    replaced = assemble(path, draft.plan, spare=draft.spare, jobs=jobs, progress=progress, title=name)
    for note in draft.notes:
        tell(note)
    if replaced:
        tell(f"Replaced by the next largest: {replaced.with_examples()}.")


def _alone(path: Path, progress: bool) -> AbstractContextManager[None]:
    # A spawned worker runs its parent's script again when that has no `__main__` guard. Were it to wait here for
    # the lock that its parent holds, both would wait for ever.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise DatasetError("call it under `if __name__ == '__main__':`, as it starts processes.")

    def waiting() -> None:
        if progress:
            print(f"waiting for another process that builds {path} ...", file=sys.stderr)

    return exclusive(path, waiting)
