"""The options of `benchmark run` that set a run's settings, made from the settings of the studies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from benchmark.studies import Study, all_studies, study_of
from benchmark.studies.settings import Setting, settings_of

F = TypeVar("F", bound=Callable[..., Any])
_DATASET_OPTIONS = ("-d", "--dataset", "--data")


class SettingsCommand(click.Command):
    """A command whose help shows the settings of the study that ``--dataset`` belongs to, or of every study."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["benchmark.dataset"] = _dataset_in(args)  # --help is handled before --dataset is
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = [p.get_help_record(ctx) for p in self.get_params(ctx) if not isinstance(p, _SettingOption)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in others if record])
        dataset = ctx.meta.get("benchmark.dataset")
        for heading, settings in _sections(study_of(dataset) if dataset else None):
            with formatter.section(heading):
                formatter.write_dl([_record(found, dataset is not None) for found in settings])


class _SettingOption(click.Option):
    pass


def settings_options(function: F) -> F:
    """Give a command one option for each setting of any study; those given arrive as one dictionary `settings`.

    Values stay text, but for flags: what a text means is up to the study, which is known once the data set is.
    """
    known = {found.name: found for study in all_studies() for found in settings_of(study.settings).values()}

    @functools.wraps(function)
    def gathered(**values: Any) -> Any:
        given = {name: value for name in known if (value := values.pop(name)) is not None}
        return function(settings=given, **values)

    for found in reversed(known.values()):
        names = [*([found.short] if found.short else []), _flag(found)]
        gathered = click.option(*names, found.name, default=None, cls=_SettingOption)(gathered)
    return gathered  # type: ignore[return-value]


def read_settings(study: Study[Any], given: dict[str, Any]) -> dict[str, Any]:
    """The values of the options, as the study reads them; a setting of another study keeps its text."""
    known = settings_of(study.settings)
    return {
        name: known[name].parse_text(value) if name in known and isinstance(value, str) else value
        for name, value in given.items()
    }


def _sections(study: Study[Any] | None) -> Iterator[tuple[str, list[Setting]]]:
    if study:
        yield f"Settings of {study.title}", list(settings_of(study.settings).values())
        return
    tables = {each.title: settings_of(each.settings) for each in all_studies()}
    common = [name for name in next(iter(tables.values())) if all(name in table for table in tables.values())]
    yield "Settings (add --dataset NAME for its defaults)", [next(iter(tables.values()))[name] for name in common]
    for title, table in tables.items():
        if own := [found for name, found in table.items() if name not in common]:
            yield f"Settings of {title}", own


def _record(found: Setting, with_default: bool) -> tuple[str, str]:
    name = f"{found.short}, {_flag(found)}" if found.short else _flag(found)
    value = {int: " INTEGER", float: " NUMBER", str: " TEXT"}.get(found.kind, "")
    default = found.default_text() if with_default or not found.shared else ""
    needed = "  [required]" if found.required else ""
    return f"{name}{value}", f"{found.help}{f'  [default: {default}]' if default else needed}"


def _flag(found: Setting) -> str:
    return f"{found.option}/--no-{found.option[2:]}" if found.kind is bool else found.option


def _dataset_in(args: list[str]) -> str | None:
    for place, argument in enumerate(args):
        name, given, value = argument.partition("=")
        if name in _DATASET_OPTIONS:
            return value if given else next(iter(args[place + 1 : place + 2]), None)
    return None
