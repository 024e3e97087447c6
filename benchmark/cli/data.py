"""`benchmark data`: build a dataset's file, download one, and check one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.data import Report


@click.group(cls=Group)
def data() -> None:
    """Build the data files, download them, and verify them."""


folder = click.Path(exists=True, file_okay=False, path_type=Path)


@data.command()
@click.argument("name")
@click.option(
    "--source",
    type=folder,
    help="Folder with the raw material of a built-in dataset. emoji: the icons of Font Awesome 5.15.3, in place of "
    "those in the package; mnist_digits, mnist-scale, mnist-range: MNIST's four IDX files; trafficsign, aerial: the "
    "downloaded zip archives; signs_source: the npm package of the signs.",
)
@click.option("--images", type=folder, help="Your own images: a folder for each class, or photos with --annotations.")
@click.option(
    "--annotations",
    type=click.Path(exists=True, path_type=Path),
    help="Boxes in the photos: a COCO file (.json), or a folder of YOLO files (.txt).",
)
@click.option(
    "--boxes",
    metavar="stored|displayed",
    help="Which pixels the boxes count in photos that EXIF turns or mirrors: those of the file, or those seen.  "
    "[default: what the sizes in the COCO file tell, else displayed]",
)
@click.option(
    "--torchvision", metavar="DATASET", help="A dataset of torchvision (CIFAR10, GTSRB, ...); --images is its root."
)
@click.option("--download", is_flag=True, help="Let torchvision download it.")
@click.option("--classes", type=int, help="So many classes, those with the most objects.  [default: all]")
@click.option("--instances", type=int, help="Objects per class and split.  [default: 25]")
@click.option("--canvas", metavar="64", help="Side of the canvas in pixels; models take no other.")
@click.option("--scales", metavar="17-64", help="Sides of the objects in pixels; a file has them all.")
@click.option(
    "--background",
    metavar="crop|black|mean",
    help="What is around an object: what is around it in the photo, black, or its mean colour.  [default: crop with "
    "--annotations, else black]",
)
@click.option("--channels", type=int, help="1 gray, 3 colour.  [default: colour if any image is]")
@click.option(
    "--seed",
    "--realization",
    type=int,
    help="Of the choice of objects and of their places.  [default: 42]  Of mnist-scale, the realization, 0 to 5.  "
    "[default: all]",
)
@click.option("--allow-upscaling", is_flag=True, help="Also take objects of less than 64 pixels.")
@click.option("--licence", metavar="TEXT", help="Of the images, to be kept in the file.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; its usual place by default."
)
@click.option("--jobs", type=int, help="Processes to use; one for each processor by default.")
@click.option("--unverified", is_flag=True, help="Keep a built-in dataset's file even if it is not the known one.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def build(
    name: str, source: Path | None, output: Path | None, jobs: int | None, unverified: bool, quiet: bool, **own: Any
) -> None:
    """Build the data file of NAME.

    NAME is a built-in dataset: emoji, mnist or signs; trafficsign or aerial, from the raw archives in --source;
    mnist_digits or signs_source, of which two of these are made; mnist-scale (six files, one a realization); or
    mnist-range, all digits for it. Or it is the dataset of an installed package. Or it is a name of your choice, and
    --images or --torchvision says of what; the dataset is then known by that name.

    The file appears when it is complete, or not at all; interrupted, the same command goes on where it was.

    \b
    benchmark data build mnist-scale --seed 0
    benchmark data build mine --images photos/             photos/cat/1.jpg, photos/dog/1.jpg, ...
    benchmark data build cars --images coco/val2017 --annotations coco/annotations/instances_val2017.json --classes 10
    benchmark data build tiny --torchvision CIFAR10 --images ~/data --allow-upscaling
    """
    import time

    from benchmark import data as builders
    from siconvnet.errors import InvalidArgument, UnknownName

    given = {key: value for key, value in own.items() if value is not None and value is not False}
    start = time.perf_counter()
    notes: list[str] = []
    if name == "mnist-scale":
        chosen = given.pop("seed", None)
        taken = {**given, **({"output": output} if output else {}), **({"unverified": True} if unverified else {})}
        if taken:
            raise InvalidArgument(f"'mnist-scale' takes no --{next(iter(taken)).replace('_', '-')}.")
        _build_mnist_scale(chosen, source)
        return
    if name == "mnist-range":
        _build_mnist_range(source, {**given, "output": output, "unverified": unverified})
        return
    if name in builders.BUILDERS or not given:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise InvalidArgument(f"{name!r} is a built-in dataset and takes no --{option}; choose another name.")
        try:
            path = builders.build(
                name,
                source=source,
                output=output,
                jobs=jobs,
                progress=not quiet,
                unverified=unverified,
                tell=notes.append,
            )
        except UnknownName as error:
            raise InvalidArgument(f"{error} For images of your own: --images FOLDER, or --torchvision NAME.") from None
    else:
        if source or unverified:
            option = "--source" if source else "--unverified"
            raise InvalidArgument(f"{option} is for built-in datasets; your own images take --images.")
        _check_format(given.pop("canvas", None), given.pop("scales", None))
        built = builders.build_custom(name, builders.Options(**given), output=output, jobs=jobs, progress=not quiet)
        path, notes = built.path, built.notes
    size = path.stat().st_size / 1e6
    click.echo(f"built {name} in {time.perf_counter() - start:.0f} s: {path} ({size:.1f} MB)")
    for note in notes:
        click.echo(f"note: {note}")


def _build_mnist_scale(realization: int | None, source: Path | None) -> None:
    from benchmark.data.mnist_scale import prepare
    from siconvnet.datasets.mnist_scale import NUM_REALIZATIONS, check_realization

    if realization is not None:
        check_realization(realization)
    for number in range(NUM_REALIZATIONS) if realization is None else [realization]:
        click.echo(f"mnist-scale, realization {number}: {prepare(number, source=source)} (as published)")


def _build_mnist_range(source: Path | None, others: dict[str, Any]) -> None:
    from benchmark.data.mnist_range import prepare
    from siconvnet.errors import InvalidArgument

    if taken := [key for key, value in others.items() if value]:
        raise InvalidArgument(f"'mnist-range' takes no --{taken[0].replace('_', '-')}.")
    click.echo(f"mnist-range, MNIST's 70,000 digits: {prepare(source)}")


def _check_format(canvas: str | None, scales: str | None) -> None:
    """Refuse other sizes: what a scenario shows, how large kernels grow and all published figures hang on these."""
    from siconvnet.datasets.schema import CANVAS, SCALES
    from siconvnet.errors import InvalidArgument

    if canvas not in (None, f"{CANVAS}"):
        raise InvalidArgument(
            f"--canvas {canvas} is not accepted, only {CANVAS}: models take images of {CANVAS} x {CANVAS} pixels, and "
            "objects are scaled into these whatever the size of their pictures; leave it out."
        )
    if scales not in (None, only := f"{SCALES[-1]}-{SCALES[0]}"):
        raise InvalidArgument(
            f"--scales {scales} is not accepted, only {only}: a file holds each object at all of these sizes, and "
            "which of them a model is trained and tested on is the scenario (benchmark run --evaluation); leave it out."
        )


@data.command()
@click.argument("name")
@click.option("--url", help="Where from, in place of the published file's address.")
@click.option("--force", is_flag=True, help="Download it even if it is there.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def fetch(name: str, url: str | None, force: bool, quiet: bool) -> None:
    """Download the published file of NAME.

    NAME is trafficsign or aerial (Zenodo record 6578038), or stl10 (an archive of 2.6 GB, of which the 0.4 GB of the
    labelled images are kept); the others ship with the package or are built. An interrupted download goes on where it
    was. A file appears when it is complete and its format is right, or not at all.
    """
    from benchmark.data import fetch as fetching
    from benchmark.data import stl10

    def tell(note: str) -> None:
        click.echo(f"note: {note}")

    if name == "stl10":
        path = stl10.fetch(url=url, force=force, progress=not quiet, tell=tell)
    else:
        path = fetching.fetch(name, url=url, force=force, progress=not quiet, tell=tell)
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    click.echo(f"{name}: {path} ({size / 1e6:.1f} MB)")


@data.command()
@click.argument("name_or_path", metavar="NAME-OR-PATH")
def verify(name_or_path: str) -> None:
    """Check a data file's format and checksums.

    NAME-OR-PATH is a dataset, or any .npz file; a file called emoji.npz is compared with emoji. Of mnist-scale all
    realizations that are there are checked.
    """
    from benchmark.data import mnist_range, mnist_scale, stl10
    from benchmark.data import verify as verify_file
    from siconvnet.errors import UnknownName

    whole: dict[str, Callable[[], list[Report]]] = {
        "mnist-scale": _verify_realizations,
        "mnist-range": lambda: [mnist_range.verify()],
        "stl10": lambda: [stl10.verify()],
    }
    if name_or_path in whole:
        reports = whole[name_or_path]()
    elif mnist_scale.FILE_NAME.fullmatch(Path(name_or_path).name):
        reports = [mnist_scale.verify(Path(name_or_path))]
    else:
        try:
            reports = [verify_file(name_or_path)]
        except UnknownName as error:
            raise UnknownName(error.kind, error.name, [*error.known, *whole]) from None
    _echo_reports(reports)


def _verify_realizations() -> list[Report]:
    from benchmark.data.mnist_scale import verify as verify_digits
    from siconvnet.datasets.mnist_scale import NUM_REALIZATIONS, mnist_scale_path

    paths = [mnist_scale_path(number) for number in range(NUM_REALIZATIONS)]
    absent = [number for number, path in enumerate(paths) if not path.is_file()]
    # Asked for one that is not there, the reader says what to type.
    reports = [verify_digits(path) for path in paths if path.is_file()] or [verify_digits(paths[0])]
    for number in absent:
        click.echo(f"realization {number} is not built; type: benchmark data build mnist-scale --seed {number}")
    return reports


def _echo_reports(reports: list[Report]) -> None:
    """Say what was found, file by file.

    Raises:
        DatasetError: a file is another than the known one.
    """
    from siconvnet.errors import DatasetError

    errors = []
    for report in reports:
        click.echo(f"{report.path}")
        click.echo(f"format  ok, {report.content}")
        width = max((len(check.key) for check in report.checks), default=0)
        for check in report.checks:
            click.echo(f"{check.key:{max(6, width)}}  {'ok' if check.ok else 'DIFFERENT'}, {check.found}")
        if not report.checks:
            click.echo("sums    none known for this file")
        if wrong := [f"{c.key} has checksum {c.found}, expected {c.expected}" for c in report.checks if not c.ok]:
            errors.append(f"{report.path} is not {report.name} as it is known: {'; '.join(wrong)}.")
    if errors:
        raise DatasetError(" ".join(errors))


@data.command()
@click.argument("name_or_path", metavar="NAME-OR-PATH")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("cards"),
    show_default=True,
    help="Folder to write to.",
)
def card(name_or_path: str, output: Path) -> None:
    """Write a dataset's card: samples, class balance, scales, positions, licence and origin.

    A page of HTML that stands alone, and Markdown with its pictures beside it. NAME-OR-PATH is a dataset, or any file
    of the format.
    """
    from benchmark.data import prepare
    from benchmark.data.cards import write_card
    from siconvnet.datasets.catalog import as_path

    if as_path(name_or_path) is None:
        prepare(name_or_path)
    written = write_card(name_or_path, output)
    click.echo(f"{written.html}\n{written.markdown}")
