"""`benchmark leaderboard`: which method is best where, ours among the published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.results.metrics import Figure
    from benchmark.results.sources import Source
    from benchmark.studies import Study


@click.command(short_help="Rank the methods by their mean over seeds or realizations.")
@options.source
@options.tracking_uri
@options.datasets
@options.evaluations
@options.models
@click.option(
    "--metric",
    help="Any figure that runs have: test_acc, best_acc, avg_time, run_time, unseen_acc, scale_consistency, "
    "equivariance_stage2, ...  [default: the study's, test_acc or test_err]",
)
@click.option("--kernel-size", type=int, help="STIR.  [default: 7]")
@click.option("--interpolation", help="STIR.  [default: bicubic]")
@options.include_short
@click.option("--changed", is_flag=True, help="Instead, what leaves the protocol, with what was changed.")
@options.table_format
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead.")
def leaderboard(
    sources: tuple[str, ...],
    tracking_uri: str | None,
    datasets: tuple[str, ...],
    evaluations: tuple[str, ...],
    models: tuple[str, ...],
    metric: str | None,
    kernel_size: int | None,
    interpolation: str | None,
    include_short: bool,
    changed: bool,
    kind: str,
    out: Path | None,
) -> None:
    """Rank the methods by their mean over seeds or realizations, one table for each dataset and setting.

    \b
    benchmark leaderboard --dataset emoji --source published
    benchmark leaderboard --dataset mnist-scale

    Of several learning rates the one with the best validation over seeds 1 to 5 counts. The same runs give the
    same bytes. Published methods that were not run here are ranked among ours and marked.
    """
    from benchmark.results import tables
    from benchmark.results.leaderboard import leaderboard as ranked
    from benchmark.results.selection import selected, with_chosen_lr
    from benchmark.results.sources import Source, matching
    from benchmark.system.files import write_text

    tables.check_format(kind)
    study = options.asked_study(datasets)
    setting = _setting(study, kernel_size=kernel_size, interpolation=interpolation)
    source = Source(study, sources, tracking_uri)
    only = options.selection(study, source.runs, models, datasets, evaluations)
    figure = _figure(study, source, metric)
    counted = source.runs.iloc[:0]
    if not source.only_published:
        found = options.chosen(study, source.runs, only, include_short=include_short or changed)
        counted = with_chosen_lr(study, found) if changed else selected(study, found, setting, include_short=True)
    board = ranked(
        study,
        counted,
        metric=figure.name,
        setting=setting,
        unfinished=None if source.only_published else matching(source.unfinished, only),
        only=only,
        published_only=source.only_published,
        changed_only=changed,
        chance=_chance(study, figure, source, datasets),
    )
    if board.table.empty:
        raise options.NoRuns("no run of that selection leaves the protocol." if changed else options.NO_RUNS)
    text = tables.render(kind, board.sections(), board.legend(), board.table)
    click.echo(write_text(out, text) if out else text, nl=out is not None)


def _setting(study: Study, **given: Any) -> dict[str, Any]:
    """The values that were given for the fields of which a table shows one.

    Raises:
        InvalidArgument: the study has no such field, or no run can have such a value.
    """
    options.refuse_foreign(study, given)
    setting = {name: value for name, value in given.items() if value is not None}
    study.check_setting(**setting)
    return setting


def _figure(study: Study, source: Source, metric: str | None) -> Figure:
    """The figure to rank by.

    Raises:
        UnknownName: there is none of this name.
        InvalidArgument: no run has it.
    """
    from benchmark.results.metrics import find_figure
    from siconvnet.errors import InvalidArgument

    logged = source.logged
    figure = find_figure(metric or study.figure, logged)
    if metric and figure.name not in logged and not study.published_figures(figure.name):
        raise InvalidArgument(f"no run of {study.title} has {figure.name}; they have {', '.join(logged) or 'nothing'}.")
    return figure


def _chance(study: Study, figure: Figure, source: Source, datasets: tuple[str, ...]) -> dict[str, float]:
    """For each data set what guessing would give, as far as that is known."""
    files = {options.dataset_key(name): name for name in datasets}
    keys = {*source.runs["dataset"], *files}
    found = {key: figure.chance(study.num_classes(files.get(key, key))) for key in sorted(keys)}
    return {key: chance for key, chance in found.items() if chance is not None}
