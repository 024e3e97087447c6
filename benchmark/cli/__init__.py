"""The command `benchmark`: one click command a file, loaded when it is asked for.

Every failure is one line on stderr: exit code 2 for what the user wrote, 1 for what went wrong, 130 for
Ctrl-C. `--debug`, anywhere on the line, shows the traceback instead.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmark.system.memory import out_of_memory
from siconvnet import __version__
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.registry import PluginWarning
from siconvnet.safe_text import printable

#: Heading of `benchmark --help` -> command -> where it is.
SECTIONS = {
    "Train": {
        "run": "benchmark.cli.run:run",
        "sweep": "benchmark.cli.sweep:sweep",
        "status": "benchmark.cli.status:status",
        "ingest": "benchmark.cli.ingest:ingest",
    },
    "Results": {
        "evaluate": "benchmark.cli.evaluate:evaluate",
        "leaderboard": "benchmark.cli.leaderboard:leaderboard",
        "compare": "benchmark.cli.compare:compare",
        "plot": "benchmark.cli.plot:plot",
        "export": "benchmark.cli.export:export",
        "runs": "benchmark.cli.runs:runs",
        "ui": "benchmark.cli.ui:ui",
    },
    "A method of your own": {
        "new-method": "benchmark.cli.new_method:new_method",
        "check": "benchmark.cli.check:check",
    },
    "What there is": {
        "models": "benchmark.cli.models:models",
        "datasets": "benchmark.cli.datasets:datasets",
        "data": "benchmark.cli.data:data",
        "basis": "benchmark.cli.basis:basis",
        "speed": "benchmark.cli.speed:speed",
    },
}
#: What click raises where a group is named without a command; before 8.2 it shows the help and raises nothing.
_ASKED_NOTHING: tuple[type[click.UsageError], ...] = getattr(click.exceptions, "NoArgsIsHelpError", ())
COMMANDS = {name: target for section in SECTIONS.values() for name, target in section.items()}


class Group(click.Group):
    """A group of commands, each of which refuses a second value of an option that takes one.

    click would take the last of several in silence.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            its_own = click.Context(command, ctx, name, **command.context_settings)
            _refuse_repeats(command.make_parser(its_own).parse_args(args=list(rest))[2])
        return name, command, rest


def _refuse_repeats(given: Iterable[click.Parameter]) -> None:
    """Refuse a line with these parameters, as often as each is given.

    Raises:
        click.UsageError: naming the first option that stands there twice and cannot hold both.
    """
    for option, times in Counter(given).items():
        if not isinstance(option, click.Option) or option.multiple or option.count or times == 1:
            continue
        if option.is_flag and not option.secondary_opts:  # says the same twice
            continue
        several = "; separate several by commas" if option.metavar == "LIST" else ""
        raise click.UsageError(f"{max(option.opts, key=len)} is given {times} times, and takes one value{several}.")


class LazyGroup(Group):
    """A group whose commands are imported one by one, and whose help lists them under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise UnknownName("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(width), command.get_short_help_str(limit=90))
                        for name in commands
                        if (command := self.get_command(ctx, name)) and not command.hidden
                    ]
                )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="benchmark")
@click.option("--debug", is_flag=True, help="Show the traceback of an error. Goes anywhere on the line.")
def cli(debug: bool) -> None:
    """The benchmark for scale-equivariant vision: train, measure and compare every method under one protocol.

    Start with: benchmark run --model standard --dataset emoji --evaluation 2
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code. Entry point of the console script."""
    return run_command(cli, "benchmark", argv)


def run_command(command: click.Command, name: str, argv: Sequence[str] | None = None) -> int:
    """Run one command line of any command as `main` does, for those in `scripts/`."""
    _open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    import_from(Path())
    try:
        with _plugin_warnings_in_one_line():
            code = command.main([a for a in arguments if a != "--debug"], prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Nothing is wrong, and Python must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except _ASKED_NOTHING as error:
        error.show()
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        code, line = explain(error)
        click.echo(f"error: {printable(line)}", err=True)
        return code


def _open_streams() -> None:
    """Make the standard streams take whatever is printed.

    A stream that was closed (`>&-`) goes nowhere: its number would be given to the next file that is opened, and what
    is printed would end in that. Characters that a terminal does not know are written as their codes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def import_from(folder: Path) -> None:
    """Let modules of a folder be named, as in --model my_net:MyNet; a console script does not look even in its own.

    The folder comes last, so that no file that happens to lie in it takes the place of an installed module.
    """
    with contextlib.suppress(FileNotFoundError):  # the current folder was removed
        if (path := str(folder.absolute())) not in sys.path:
            sys.path.append(path)


@contextlib.contextmanager
def _plugin_warnings_in_one_line() -> Iterator[None]:
    """Print what is wrong with somebody's plug-in without the place in this package that found it."""
    usual = warnings.formatwarning

    def brief(message: Warning | str, category: type[Warning], *place: Any, **line: Any) -> str:
        if issubclass(category, PluginWarning):
            return f"warning: {_one_line(str(message))}\n"
        return usual(message, category, *place, **line)

    warnings.formatwarning = brief
    try:
        yield
    finally:
        warnings.formatwarning = usual


def explain(error: Exception) -> tuple[int, str]:
    """Exit code and the one line for a person."""
    if isinstance(error, click.ClickException):
        return error.exit_code, _one_line(error.format_message())
    text = _one_line(str(error))
    if isinstance(error, InvalidArgument):
        return 2, text
    if isinstance(error, SiconvnetError):
        return 1, text
    if out_of_memory(error):
        return 1, f"out of memory: {text[:200]}; try a smaller --batch-size, fewer workers or a larger machine."
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return 1, f"{error.strerror or text}{where}"
    return 1, f"{type(error).__name__}: {text} (a defect; --debug shows where)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
