"""Trained models from the weights of finished runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from benchmark.results.runs import field_value, spec_of
from benchmark.studies import scale_fields
from benchmark.studies.stir import STIR
from benchmark.training.records import WEIGHTS
from siconvnet.errors import SiconvnetError
from siconvnet.models import is_target

if TYPE_CHECKING:
    from torch import nn

    from benchmark.store import Store
    from siconvnet.datasets import StirDataset


def load_model(place: Store | Path, run: Mapping[str, Any], dataset: StirDataset, device: str = "cpu") -> nn.Module:
    """The trained model of a row of the table of runs.

    A run may come from anyone, and to build a model ``package.module:Class`` is to run its code. It is imported only if
    the source on this machine is the one that was trained.

    Args:
        place: the store that has its weights, or a folder with `RUN/artifacts/model.safetensors` or `model.pt`.

    Raises:
        SiconvnetError: the run has no weights, they are of another version of the model, or its class is not, or not
            known to be, the one that was trained.
    """
    from siconvnet.models import create_model

    if is_target(run["model"]):
        _check_source(run)
    model = create_model(
        run["model"],
        num_channels=dataset.num_channels,
        num_classes=dataset.num_classes,
        kernel_size=int(run["kernel_size"]),
        interpolation=run["interpolation"],
        **{name: value for name in scale_fields.FIELDS if (value := field_value(run[name])) is not None},
    )
    if isinstance(place, Path):
        at_hand: AbstractContextManager[Path] = contextlib.nullcontext(_in_folder(place, run["run_id"]))
    else:
        at_hand = place.artifact(run["run_id"], WEIGHTS)
    try:
        with at_hand as path:
            model.load_state_dict(_weights(path))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise SiconvnetError(f"the weights of run {run['run_id']} are not of this {run['model']}: {first}") from None
    return model.to(device).eval()


def _check_source(run: Mapping[str, Any]) -> None:
    """Refuse to import a class whose source is not the one that was trained; this imports nothing.

    Raises:
        SiconvnetError: it is not, or the table does not say which one was.
    """
    spec = spec_of(STIR, run)
    if run["spec_hash"] != spec.hash_with(spec.model_key, spec.dataset):
        raise SiconvnetError(
            f"{spec.model} is not imported: its source on this machine is not known to be the one that run "
            f"{run['run_id']} was trained with; restore that version of the file, or train again."
        )


def _in_folder(folder: Path, run_id: str) -> Path:
    candidates = [folder / run_id / "artifacts" / name for name in (WEIGHTS, "model.pt")]
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise SiconvnetError(f"no weights of run {run_id}: neither {candidates[0]} nor {candidates[1].name} is there.")
    return found[0]


def _weights(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    return dict(torch.load(path, map_location="cpu", weights_only=True))
