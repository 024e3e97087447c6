"""`benchmark mnist-scale`: the suite of SESN and DISCO."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group("mnist-scale", short_help="MNIST-Scale: build its realizations, train its networks.")
def mnist_scale() -> None:
    """The suite of SESN and DISCO: 28 x 28 digits at random sizes, in six realizations."""


@mnist_scale.command()
@click.option(
    "--seed", "realizations", type=int, multiple=True, help="Realization, 0 to 5; repeatable.  [default: all]"
)
@click.option("--source", type=FOLDER, help="Folder of MNIST's four IDX files.  [default: downloaded by torchvision]")
def build(realizations: tuple[int, ...], source: Path | None) -> None:
    """Build realizations, and check that they are the published ones."""
    from benchmark.data.mnist_scale import prepare
    from siconvnet.datasets.mnist_scale import NUM_REALIZATIONS, check_realization

    chosen = realizations or range(NUM_REALIZATIONS)
    for realization in chosen:
        check_realization(realization)
    for realization in chosen:
        click.echo(f"realization {realization}: {prepare(realization, source=source)}")


@mnist_scale.command()
@click.argument("pattern", default="*")
def models(pattern: str) -> None:
    """List the networks whose names match PATTERN."""
    from siconvnet.models.mnist_scale import VARIANTS, list_mnist_scale_models

    for name in list_mnist_scale_models(pattern):
        click.echo(f"{name:<20} {VARIANTS[name].label}")


@mnist_scale.command()
@click.option("-m", "--model", required=True, help="See `benchmark mnist-scale models`.")
@click.option("--realization", type=int, default=0, show_default=True, help="0 to 5.")
@click.option("--augment", is_flag=True, help="Rescale training images at random, 0.5 to 2 (the papers' +).")
@click.option("--seed", type=int, help="Of everything random.  [default: the realization]")
@click.option("--epochs", type=int, default=60, show_default=True, help="The rate drops after a third and two thirds.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--output", type=FOLDER, help="Folder for run.json and weights.safetensors, one folder a run inside it.")
def run(
    model: str, realization: int, augment: bool, seed: int | None, epochs: int, device: str, output: Path | None
) -> None:
    """Train one network on one realization and test it once."""
    from dataclasses import replace

    from benchmark import environment
    from benchmark.mnist_scale import PAPER, PUBLISHED, MnistScaleSpec, save, train

    protocol = replace(PAPER, epochs=epochs)
    spec = MnistScaleSpec(model, realization, augment, realization if seed is None else seed, protocol)
    where = environment.find_device(device)
    result = train(
        spec,
        where,
        lambda epoch: click.echo(
            f"epoch {epoch.number:2}/{epochs}  loss {epoch.train_loss:.4f}  validation {epoch.val_acc:.2f} %"
            f"  {epoch.train_time:.0f} s"
        ),
    )
    published = PUBLISHED.get((model, augment))
    beside = f" (published: {published[0]:.2f} +- {published[1]:.2f} over 60 epochs)" if published else ""
    click.echo(f"test error {result.test_error:.2f} %{beside}, epoch {result.best_epoch}, {result.run_time:.0f} s")
    if output:
        click.echo(f"saved in {save(result, output, environment.describe(where))}")
