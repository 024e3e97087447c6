"""The bases that DISCO was compared with on MNIST-Scale: their functions, how well they commute with rescaling, and
what the networks that are built of them err (Sosnovik, Moskalev, Smeulders, BMVC 2021)."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmark.plots.bases import BasisError, ComparedBasis
from benchmark.results.runs import spec_of
from benchmark.studies import find_study, published

if TYPE_CHECKING:
    import pandas as pd

STUDY = find_study("mnist-scale")
OURS = "ours"


def compared(runs: pd.DataFrame | None = None) -> list[ComparedBasis]:
    """The bases with a published equivariance error, that of the smallest error first; and what else of the same
    kinds was run.

    Args:
        runs: our runs of the study, in the columns of `benchmark.results.runs`; those that leave the protocol are left
            out.
    """
    stated = {error.model: error for error in published.all_errors(STUDY.name) if error.equivariance_error is not None}
    ours = {} if runs is None else _means(runs)
    found = []
    for model, error in sorted(stated.items(), key=lambda item: item[1].mean):
        theirs = BasisError(error.source, error.mean, error.std, None)
        found.append(_basis(model, True, error.equivariance_error, [theirs, *ours.get((model, True), ())]))
        plain = model.removesuffix("p")
        if (plain, False) in ours:
            found.append(_basis(plain, False, None, ours[plain, False]))
    return found


def _means(runs: pd.DataFrame) -> dict[tuple[str, bool], list[BasisError]]:
    """(model, augment) -> mean and deviation of the test errors of the runs that keep to the protocol."""
    values: dict[tuple[str, bool], list[float]] = {}
    for row in runs.dropna(subset=["test_err"]).to_dict("records"):
        spec = spec_of(STUDY, row)
        if not spec.deviations:
            values.setdefault((spec.model, bool(spec.settings.augment)), []).append(row["test_err"])
    return {
        key: [BasisError(OURS, statistics.mean(each), statistics.stdev(each) if each[1:] else None, len(each))]
        for key, each in values.items()
    }


def _basis(model: str, augment: bool, stated: float | None, errors: list[BasisError]) -> ComparedBasis:
    from siconvnet.bases import make_basis
    from siconvnet.bases.rescaling import basis_equivariance_error, scale_pairs
    from siconvnet.models import PUBLISHED
    from siconvnet.models.mnist_scale.plan import EFFECTIVE_SIZE

    info = PUBLISHED[model]
    options = dict(info.options)
    name, size, scales = (options.pop(key) for key in ("basis_type", "size", "scales"))
    del options["upsample"]  # of the network
    functions = make_basis(name, size, scales, EFFECTIVE_SIZE, **options)
    table = basis_equivariance_error(functions, scales)
    by_pair = [float(table[pair]) for pair in scale_pairs(len(scales))]
    return ComparedBasis(
        model=model,
        label=info.label,
        augment=augment,
        scales=tuple(scales),
        functions=functions.numpy(),
        equivariance_error=statistics.mean(by_pair),
        published_equivariance_error=stated,
        errors=tuple(errors),
    )
