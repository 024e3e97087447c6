"""Measure trained models: the original repository's entry point, flags and files. See also `benchmark evaluate`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from benchmark.cli import options, run_command


@click.command()
@click.option("--data", required=True, help="emoji, mnist, trafficsign, aerial, or a file in the STIR format (.npz).")
@click.option("--generalization", is_flag=True, help="Write generalization_DATA.csv: accuracy by scale, a row a run.")
@click.option("--equivariance", is_flag=True, help="Write eval/RUN/errors.npz.")
@click.option("--index-correlation", is_flag=True, help="Write eval/RUN/indices.npz.")
@click.option("--runs", type=click.Path(path_type=Path), help="Only the runs of this export (runs.csv).")
@click.option("--models", type=click.Path(path_type=Path), help="Folder of RUN/artifacts/model.safetensors or .pt.")
@click.option("--published-input-range", is_flag=True, help="Feed the equivariance error 0..255, as the original does.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="[default: here]")
@options.tracking_uri
def main(
    data: str,
    generalization: bool,
    equivariance: bool,
    index_correlation: bool,
    runs: Path | None,
    models: Path | None,
    published_input_range: bool,
    out: Path,
    tracking_uri: str | None,
) -> None:
    """Write the original's evaluation files for finished runs, from MLflow unless --runs and --models say otherwise."""
    from benchmark.results.sources import MLFLOW, Source
    from benchmark.results.upstream_export import write_files
    from benchmark.store.weights import load_model
    from siconvnet.datasets import load_dataset

    if not (generalization or equivariance or index_correlation):
        raise click.UsageError("nothing to do; give --generalization, --equivariance or --index-correlation.")
    if models and not runs:
        raise click.UsageError("--models needs --runs, which says what the folders hold.")
    from benchmark.studies.stir import STIR

    dataset = load_dataset(data)
    source = Source(STIR, [str(runs) if runs else MLFLOW], tracking_uri)
    only = options.selection(STIR, source.runs, (), (data,), ())
    chosen = options.chosen(STIR, source.runs, only, include_short=False)
    place = models or source.store or Source(STIR, [MLFLOW], tracking_uri).store
    assert place is not None
    write_files(
        chosen.to_dict("records"),
        lambda run: load_model(place, run, dataset),
        dataset,
        options.dataset_key(data),
        out,
        generalization=generalization,
        equivariance=equivariance,
        index_correlation=index_correlation,
        published_input_range=published_input_range,
        report=click.echo,
        complain=partial(click.echo, err=True),
    )


if __name__ == "__main__":
    sys.exit(run_command(main, "eval.py"))
