"""The classification datasets of torchvision, by the names of their classes: CIFAR10, GTSRB, EuroSAT, ...

What torchvision calls the test set goes into the test split, all else into the other two. A dataset that has no parts
is divided by chance.
"""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import Any

from siconvnet.errors import DatasetError, InvalidArgument

from .left_out import LeftOut
from .photos import VisionPhoto, open_vision
from .selection import ANY_SPLIT, Candidate

Arguments = tuple[tuple[str, Any], ...]
_LABELS = ("targets", "_labels", "labels", "y", "_samples", "samples", "imgs")
"""Where the datasets keep their labels, or pairs of file and label; asked for before every picture is opened."""


def scan(name: str, root: Path, *, download: bool = False) -> tuple[dict[str, list[Candidate]], LeftOut]:
    """Find the pictures of each class.

    Args:
        name: a class of ``torchvision.datasets``.
        root: the folder that torchvision keeps its data in.
        download: let torchvision download what is missing.

    Returns:
        the pictures by class, and what was left out.

    Raises:
        InvalidArgument: torchvision has no such dataset, or it is not of pictures with one class each.
        DatasetError: its files are not there, or torchvision is not installed.
    """
    kind = _dataset_class(name)
    pools: dict[str, list[Candidate]] = {}
    left_out = LeftOut()
    for arguments, splits in _portions(kind):
        try:
            if download and "download" in inspect.signature(kind).parameters:
                kind(str(root), download=True, **dict(arguments))
            dataset = open_vision(name, str(root), arguments)
        except (RuntimeError, OSError) as error:
            where, advice = f"is not in {root}", "name its folder with --images, or add --download"
            if download:
                where, advice = (
                    f"cannot be downloaded to {root}",
                    "fetch it elsewhere, and name its folder with --images",
                )
            raise DatasetError(f"torchvision's {name} {where} ({_one_line(error)}); {advice}.") from error
        except ImportError as error:  # of a package that torchvision needs for this one, as LSUN needs lmdb
            raise DatasetError(
                f"torchvision's {name} needs another package ({_one_line(error)}); type: pip install {error.name}"
            ) from error
        except (TypeError, ValueError) as error:  # it takes other arguments, as EMNIST and Places365 do
            raise InvalidArgument(
                f"torchvision's {name} cannot be opened by its folder alone ({_one_line(error)}); save its pictures in "
                "a folder for each class, and name that with --images."
            ) from error
        names = _class_names(dataset)
        for index, label in enumerate(_labels(dataset, name)):
            photo = VisionPhoto(name, str(root), arguments, index)
            if label < 0:  # as torchvision marks pictures without a class
                left_out.add("without a class", photo.key)
                continue
            label_name = names[label] if label < len(names) else str(label)
            pools.setdefault(label_name, []).append(Candidate(photo, splits=splits))
    return dict(sorted(pools.items())), left_out


def _dataset_class(name: str) -> Any:
    try:
        from benchmark.system.vision import vision_module

        module = vision_module("datasets")
    except ImportError as error:
        raise DatasetError(f"torchvision cannot be imported ({error}); type: pip install torchvision") from error
    known = {key.lower(): key for key in module.__all__ if inspect.isclass(getattr(module, key))}
    if name not in known.values():
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        hint = f" Did you mean {known[near[0]]!r}?" if near else ""
        raise InvalidArgument(
            f"torchvision has no dataset {name!r}.{hint} Its names: CIFAR10, GTSRB, EuroSAT, SVHN, ..."
        )
    if name in ("ImageFolder", "DatasetFolder"):
        raise InvalidArgument(f"{name} is no dataset but any folder of pictures; leave --torchvision out.")
    return getattr(module, name)


def _portions(kind: Any) -> list[tuple[Arguments, tuple[int, ...]]]:
    """The arguments that choose the parts of a dataset, and the splits that each goes to."""
    parameters = inspect.signature(kind).parameters
    if "root" not in parameters:
        raise InvalidArgument(f"torchvision's {kind.__name__} is not read from a folder.")
    if "train" in parameters:
        return [((("train", True),), (0, 1)), ((("train", False),), (2,))]
    if "split" in parameters:
        return [((("split", "train"),), (0, 1)), ((("split", "test"),), (2,))]
    return [((), ANY_SPLIT)]


def _class_names(dataset: Any) -> list[str]:
    names = getattr(dataset, "classes", None) or []
    # Some hold tuples of synonyms, as ImageNet does.
    return [name if isinstance(name, str) else str(name[0]) for name in names] if isinstance(names, list) else []


def _labels(dataset: Any, name: str) -> list[int]:
    for attribute in _LABELS:
        values = getattr(dataset, attribute, None)
        if values is not None and len(values) == len(dataset):
            break
    else:
        values = [dataset[index][1] for index in range(len(dataset))]
    try:
        return [int(value[1] if isinstance(value, (tuple, list)) else value) for value in values]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(f"torchvision's {name} is no classification dataset: {error}.") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
