"""`benchmark data`: build a dataset's file, and check one."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Build the data files, and verify them."""


@data.command()
@click.argument("name")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the raw material. emoji: the icons of Font Awesome 5.15.3, in place of those in the package; "
    "mnist_digits: MNIST's four IDX files.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; its usual place by default."
)
@click.option("--jobs", type=int, help="Processes to use; one for each processor by default.")
@click.option("--unverified", is_flag=True, help="Keep the file even if its checksums are not the known ones.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def build(name: str, source: Path | None, output: Path | None, jobs: int | None, unverified: bool, quiet: bool) -> None:
    """Build the data file of NAME.

    NAME is emoji, mnist, or mnist_digits (the digits in the package, of which mnist is made). The file appears
    when it is complete and its checksums are right, or not at all.
    """
    import time

    from benchmark.data import build as build_file

    start = time.perf_counter()
    path = build_file(name, source=source, output=output, jobs=jobs, progress=not quiet, unverified=unverified)
    size = path.stat().st_size / 1e6
    click.echo(f"built {name} in {time.perf_counter() - start:.0f} s: {path} ({size:.1f} MB)")


@data.command()
@click.argument("name_or_path", metavar="NAME-OR-PATH")
def verify(name_or_path: str) -> None:
    """Check a data file's format and checksums.

    NAME-OR-PATH is a dataset, or any .npz file; a file called emoji.npz is compared with emoji.
    """
    from benchmark.data import verify as verify_file
    from siconvnet.errors import DatasetError

    report = verify_file(name_or_path)
    click.echo(f"{report.path}")
    click.echo(f"format  ok, {report.content}")
    for check in report.checks:
        click.echo(f"{check.key:6}  {'ok' if check.ok else 'DIFFERENT'}, {check.found}")
    if not report.checks:
        click.echo("sums    none known for this file")
    wrong = [
        f"{check.key} has checksum {check.found}, expected {check.expected}" for check in report.checks if not check.ok
    ]
    if wrong:
        raise DatasetError(f"{report.path} is not the {report.name} file that this package builds: {'; '.join(wrong)}.")
