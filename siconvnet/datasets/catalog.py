"""What datasets there are, where their files lie and how to get them: a table, and look-ups in it.

Beside the table's there are those of other packages (entry points in the group ``siconvnet.datasets``, see
`describe_dataset`), and every STIR file in the data folder or in `own_dir` is a dataset, known by the file's name
without its suffix: those that ``benchmark data build NAME --images FOLDER`` puts there, and any copied there by hand.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from siconvnet.datasets.schema import read_summary
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName
from siconvnet.registry import Registry

RECORD = "https://zenodo.org/records/6578038"
EMBEDDED = Path(__file__).parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a dataset may be called."""


@dataclass(frozen=True)
class DatasetInfo:
    """One dataset of the catalogue.

    Attributes:
        name: what `load_dataset` and the command line call it.
        title: for tables and figures.
        num_classes: classes n.
        num_instances: objects m per class and split.
        num_channels: 1 (gray) or 3 (colour).
        licence: of the images.
        origin: what the objects are taken from.
        published_file: the file's name in the published record, and in the data folder; NAME.npz if not given.
        how_to_get: one line: what to do when the file is missing.
        embedded: the file ships inside this package.
        oblong: the scale is the longer side of the object, whose box need not be a square; the shorter side is
            not in the file.
        fetched: ``benchmark data fetch`` downloads the published file.
        own: not of the catalogue, but a file that was put into the data folder; another file may take its name.
        path: where the file is, if neither in this package nor in the data folder: in another package, or in
            `own_dir`.
        builder: ``module:function`` of another package that makes the file when it is first needed. Called as
            ``function(source, jobs=, progress=)`` with the folder of ``--source`` or None, a number of processes to
            use, and whether to show progress; returns the file's arrays by their keys.
    """

    name: str
    title: str
    num_classes: int
    num_instances: int
    num_channels: int
    licence: str
    origin: str
    published_file: str = ""
    how_to_get: str = ""
    embedded: bool = False
    oblong: bool = False
    fetched: bool = False
    own: bool = False
    path: Path | None = None
    builder: str = ""


CATALOG: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="emoji",
            title="STIR Emoji",
            num_classes=36,
            num_instances=1,
            num_channels=1,
            licence="CC BY 4.0",
            origin="Font Awesome Free 5.15.3",
            published_file="emoji.npz",
            how_to_get="part of the package",
            embedded=True,
        ),
        DatasetInfo(
            name="mnist",
            title="STIR MNIST",
            num_classes=10,
            num_instances=50,
            num_channels=1,
            licence="CC BY-SA 3.0",
            origin="MNIST",
            published_file="mnist.npz",
            how_to_get="built on first use, or by: benchmark data build mnist",
        ),
        DatasetInfo(
            name="trafficsign",
            title="STIR Traffic Sign",
            num_classes=16,
            num_instances=25,
            num_channels=3,
            licence="CC BY-NC-SA 4.0",
            origin="Mapillary Traffic Sign Dataset v2",
            published_file="trafficsign.npz",
            how_to_get="downloaded by: benchmark data fetch trafficsign",
            fetched=True,
        ),
        DatasetInfo(
            name="aerial",
            title="STIR Aerial Object",
            num_classes=9,
            num_instances=25,
            num_channels=3,
            licence="CC BY-NC-SA 4.0",
            origin="DOTA v1.5",
            published_file="aerial.npz",
            how_to_get="downloaded by: benchmark data fetch aerial",
            fetched=True,
            oblong=True,
        ),
        DatasetInfo(
            name="signs",
            title="Synthetic Signs",
            num_classes=16,
            num_instances=25,
            num_channels=3,
            licence="MIT",
            origin="Mapillary sprite sources 1.8.0 on textures of scikit-image; synthetic, nothing published",
            published_file="signs.npz",
            how_to_get="built on first use, or by: benchmark data build signs",
        ),
    )
}


def describe_dataset(name: str, entry: object) -> DatasetInfo:
    """What an entry point of the group ``siconvnet.datasets`` says of its dataset.

    Args:
        name: of the entry point, and so of the dataset.
        entry: a `DatasetInfo`, with a `path` or a `builder`; or the path of a STIR file, which says the rest itself.

    Raises:
        InvalidArgument: neither, or something of it that cannot be.
        DatasetError: the file is missing or not of the format.
    """
    if not NAME.fullmatch(name):
        raise InvalidArgument(f"{name!r} is no name for a dataset: up to 64 letters, digits, - and _.")
    if isinstance(entry, (str, Path)):
        return replace(_info_of_file(name, Path(entry)), path=Path(entry), how_to_get="part of its package")
    if not isinstance(entry, DatasetInfo):
        raise InvalidArgument(
            f"it is no dataset but an object of {type(entry).__name__}; name a siconvnet.datasets.DatasetInfo, or the "
            "path of a file"
        )
    if (entry.path is None) == (not entry.builder):
        raise InvalidArgument("its DatasetInfo needs a path or a builder, and not both")
    numbers = entry.num_classes, entry.num_instances
    if not all(type(number) is int and number > 0 for number in numbers) or entry.num_channels not in (1, 3):
        raise InvalidArgument(
            f"its DatasetInfo has (classes, instances, channels) = {(*numbers, entry.num_channels)}; expected whole "
            "numbers above 0, and 1 or 3 channels"
        )
    how = "part of its package" if entry.path else f"built on first use, or by: benchmark data build {name}"
    return replace(
        entry,
        name=name,
        path=Path(entry.path) if entry.path else None,
        published_file=f"{name}.npz",
        how_to_get=entry.how_to_get or how,
        embedded=False,
        fetched=False,
        own=False,
    )


def make_registry() -> Registry[DatasetInfo]:
    """The datasets of the catalogue and of other packages."""
    return Registry("dataset", CATALOG, "siconvnet.datasets", adapt=describe_dataset)


_registry = make_registry()


def list_datasets() -> list[str]:
    """The names of all datasets: those of the catalogue in the order of the paper, those of other packages, then those
    in the data folder."""
    return [*_registry, *(name for name in _own_files() if _summarise(name) is not None)]


def dataset_info(name: str) -> DatasetInfo:
    """What is known of the dataset `name`.

    Raises:
        UnknownName: no such dataset; the message suggests the nearest.
        InvalidArgument: a dataset of another package that does not load; the message says why.
        DatasetError: a file in the data folder bears that name and is not of the format.
    """
    if name in _registry:
        return _registry[name]
    if name not in _own_files():
        raise UnknownName("dataset", name, list_datasets())
    return _own_info(name)


def is_registered(name: str) -> bool:
    """Whether `name` is a dataset of the catalogue or of another package, so that no file of one's own can have it."""
    return name in _registry


def has_content_of_its_own(name: str) -> bool:
    """Whether `name` is a dataset whose file this package does not know, so that its content has to identify it."""
    return name not in CATALOG and (name in _registry or name in _own_files())


def _own_files() -> dict[str, Path]:
    """The files that may be datasets of one's own, by name. Earlier versions put them into the cache folder."""
    found: dict[str, Path] = {}
    for folder in (data_dir(), own_dir()):
        with contextlib.suppress(OSError):
            found |= {path.stem: path for path in folder.glob("*.npz") if not path.name.startswith(".")}
    return {name: found[name] for name in sorted(found) if name not in _registry}


def _summarise(name: str) -> DatasetInfo | None:
    """The entry for a file in the data folder; None if it is of another format, as MNIST-Scale's are."""
    try:
        return _own_info(name)
    except DatasetError:
        return None


def _own_info(name: str) -> DatasetInfo:
    path = _own_files()[name]
    return replace(_info_of_file(name, path), path=path, own=True)


def _info_of_file(name: str, path: Path) -> DatasetInfo:
    summary = read_summary(path)
    return DatasetInfo(
        name=name,
        title=summary.metadata.get("title") or name,
        num_classes=summary.num_classes,
        num_instances=summary.num_instances,
        num_channels=summary.num_channels,
        licence=summary.metadata.get("license") or "not stated",
        origin=summary.metadata.get("description") or "not stated",
        published_file=path.name,
        how_to_get="your own",
    )


def own_dir() -> Path:
    """The folder of the files of one's own: ``$SICONVNET_DATA``, else one in the user's data folder.

    They cannot be built or downloaded again by a name, and so do not belong into a cache. It need not exist yet.
    """
    if os.environ.get("SICONVNET_DATA"):
        return data_dir()
    import platformdirs

    return platformdirs.user_data_path("siconvnet", appauthor=False) / "datasets"


def data_dir() -> Path:
    """The folder of the data files: ``$SICONVNET_DATA``, else the user's cache folder. It need not exist yet."""
    if chosen := os.environ.get("SICONVNET_DATA"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("siconvnet", appauthor=False)


def dataset_path(name: str) -> Path:
    """Where the file of dataset `name` is, or would be.

    Raises:
        UnknownName: no such dataset.
    """
    info = dataset_info(name)
    return info.path or (EMBEDDED if info.embedded else data_dir()) / info.published_file


def missing_file(name: str) -> DatasetError:
    """The error for a dataset whose file is not there: which file, where it belongs and where it comes from."""
    info, path = dataset_info(name), dataset_path(name)
    if info.embedded or info.path:
        return DatasetError(f"{path} is part of a package and is not there; install the package again.")
    if not info.fetched:
        return DatasetError(f"dataset {name!r} is not built yet ({path}); type: benchmark data build {name}")
    return DatasetError(
        f"dataset {name!r} needs the published file {info.published_file}, which is not there; type: benchmark data "
        f"fetch {name} (or download it from Zenodo record 6578038, {RECORD}/files/{info.published_file}, and save it "
        f"as {path})"
    )


def as_path(name_or_path: str | os.PathLike[str]) -> Path | None:
    """The path, if this is a path (a `Path`, or text that ends in .npz or holds a separator); None for a name."""
    if not isinstance(name_or_path, str):
        return Path(name_or_path).expanduser()
    if name_or_path.lower().endswith(".npz") or "/" in name_or_path or os.sep in name_or_path:
        return Path(name_or_path).expanduser()
    return None
