"""The files that the original repository's evaluation script writes, so that its plot scripts find them.

`generalization_{data}.csv` (accuracy by scale as fractions, a row a run), and for each run `eval/{run_id}/errors.npz`
(stage1, stage2: [classes, instances, 6]) and `eval/{run_id}/indices.npz` (pool1, pool2: winning scale of every test
image, scales in ascending order).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.protocol import ALL_SCALES
from benchmark.system.files import write_npz, write_text
from siconvnet.errors import SiconvnetError
from siconvnet.metrics import NotMeasurable
from siconvnet.models import model_info

if TYPE_CHECKING:
    from torch import nn

    from siconvnet.datasets import StirDataset

Loader = Callable[[Mapping[str, Any]], "nn.Module"]


def write_files(
    runs: Sequence[Mapping[str, Any]],
    load: Loader,
    dataset: StirDataset,
    name: str,
    out: Path,
    *,
    generalization: bool = False,
    equivariance: bool = False,
    index_correlation: bool = False,
    published_input_range: bool = False,
    report: Callable[[str], None] = print,
    complain: Callable[[str], None] = print,
) -> None:
    """Measure `runs` and write the files under `out`.

    The table of accuracies is written again after each run, so that what ends this early costs one run and no more.

    Args:
        runs: rows of the table of runs, all of one dataset.
        load: gives the trained model of a row.
        name: of the dataset, for the file's name.
        report: told of each file written, and why one is not.
        complain: told of a run that could not be evaluated.

    Raises:
        SiconvnetError: there were such runs; the others are written.
    """
    path, rows, failed = out / f"generalization_{name}.csv", [], 0
    for run in runs:
        who, folder = f"{run['entry']} {run['run_id']}", out / "eval" / run["run_id"]
        try:
            model, info = load(run), model_info(run["model"])
            if equivariance:
                measure = partial(_errors, model, dataset, info.stages, published_input_range)
                _keep(folder / "errors.npz", measure, who, report)
            if index_correlation:
                _keep(folder / "indices.npz", partial(_indices, model, dataset, info.scale_pools), who, report)
            if generalization:
                rows.append([run["entry"], name, int(run["evaluation"]), *_fractions(model, dataset)])
        except SiconvnetError as error:
            failed += 1
            complain(f"{who}: failed: {error}")
            continue
        if rows:
            _write_table(path, rows)
    if rows:
        report(str(path))
    if failed:
        raise SiconvnetError(f"{failed} of {len(runs)} runs could not be evaluated.")


def _keep(path: Path, measure: Callable[[], dict[str, np.ndarray]], who: str, report: Callable[[str], None]) -> None:
    """Write arrays, or say why there are none."""
    try:
        arrays = measure()
    except NotMeasurable as reason:
        report(f"{who}: no {path.name}: {reason}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays)
    report(str(path))


def _write_table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    import pandas as pd

    columns = ["model", "data", "eval", *(f"s{scale}" for scale in ALL_SCALES)]
    write_text(path, pd.DataFrame(rows, columns=columns).to_csv(lineterminator="\n"))


def _fractions(model: nn.Module, dataset: StirDataset) -> list[float]:
    from siconvnet.metrics.generalization import accuracy_by_scale, predict

    subset = dataset.select("test", ALL_SCALES)
    found = accuracy_by_scale(predict(model, subset.images), subset.labels, subset.scales)
    return [found[scale] / 100 for scale in ALL_SCALES]


def _errors(
    model: nn.Module, dataset: StirDataset, stages: tuple[str, ...], published_input_range: bool
) -> dict[str, np.ndarray]:
    from siconvnet.metrics.equivariance import equivariance_errors

    errors = equivariance_errors(model, dataset, stages, published_input_range=published_input_range)
    return {f"stage{number}": values for number, values in enumerate(errors.values(), 1)}


def _indices(model: nn.Module, dataset: StirDataset, pools: tuple[str, ...]) -> dict[str, np.ndarray]:
    from siconvnet.metrics.indices import scale_indices

    batches = list(scale_indices(model, dataset.select("test", ALL_SCALES).images, pools))
    return {f"pool{number}": np.concatenate([batch[pool] for batch in batches]) for number, pool in enumerate(pools, 1)}
