"""The settings of a run, as data: one frozen dataclass for each study.

A field of such a class says everything about one setting: its type, its default, how it enters the hash of a run, its
help on the command line, and how grids vary it. The command line, suites, stores and tables are all derived from these
fields, so a setting is written once.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import reprlib
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from benchmark.protocol import Protocol
from benchmark.studies import axes
from benchmark.studies.axes import Axis
from siconvnet.errors import InvalidArgument
from siconvnet.safe_text import brief

_KEY = "setting"
#: Neither a name nor a number of a run exceeds these; larger values are mistakes or malice.
_LONGEST_TEXT, _LARGEST_NUMBER = 4096, 2**53
PRECISIONS = ("bfloat16", "float16")


class Hashed(enum.Enum):
    """When a setting enters the hash of a run.

    Settings that were added after a study's first runs enter only where they leave their default, so that the runs
    people already have keep their hash.
    """

    ALWAYS = enum.auto()
    CHANGED = enum.auto()
    """Where it differs from its default."""
    GIVEN = enum.auto()
    """Where it is not None: it concerns some models only, and None stands for the model's own value."""


def as_float(value: Any) -> Any:
    """An integer as a float; anything else, and what is larger than any float, as it is, for `Setting.check`."""
    return float(value) if type(value) is int and abs(value) <= sys.float_info.max else value


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the harness knows of one setting; made by `setting`.

    Attributes:
        name: of the field.
        kind: int, float, bool or str.
        default: `dataclasses.MISSING` where every run has to state it.
        nullable: whether None is a value.
        hashed: when it enters the hash.
        protocol: whether the protocol fixes it, so that another value leaves the protocol.
        help: for the command line, without the default.
        default_help: the default in words, where the value alone does not say it.
        low, high: bounds of a number, both included.
        axis: how grids vary it; None where they do not.
        parse: text of the command line -> value; raises `SiconvnetError`. None: by `kind`.
        short: one-letter option of the command line.
        missing: what an error says where a run has to state the setting and does not.
    """

    name: str
    kind: type[Any]
    default: Any
    nullable: bool
    hashed: Hashed
    protocol: bool
    help: str
    default_help: str
    low: float
    high: float
    axis: Axis | None
    parse: Callable[[str], Any] | None
    short: str
    missing: str

    @property
    def shared(self) -> bool:
        """Whether every study has the setting, so that its default depends on the study."""
        return self.name in Settings.__annotations__

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def words(self) -> str:
        """The name in a sentence."""
        return "learning rate" if self.name == "lr" else self.name.replace("_", " ")

    @property
    def option(self) -> str:
        """The name on the command line."""
        return _OPTIONS.get(self.name, f"--{self.name.replace('_', '-')}")

    def default_text(self) -> str:
        """The default as the help shows it; empty where there is none."""
        if self.default_help or self.required:
            return self.default_help
        if self.default is None:
            return "none"
        if self.kind is bool:
            return "yes" if self.default else "no"
        return f"{self.default:g}" if self.kind is float else str(self.default)

    def check(self, value: Any) -> None:
        """Refuse a value of the wrong type or out of bounds.

        Raises:
            InvalidArgument: naming the setting and what is accepted.
        """
        if value is None:
            if not self.nullable:
                raise InvalidArgument(f"{self.words} must be given.")
            return
        accepted, called = _KINDS[self.kind]
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.kind is not bool):
            raise InvalidArgument(f"{self.words} must be {called}, not {reprlib.repr(value)}.")
        if isinstance(value, str) and not (value.isprintable() and 0 < len(value) <= _LONGEST_TEXT):
            raise InvalidArgument(f"{self.words} must be printable text, not {reprlib.repr(value)}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgument(f"{self.words} {value!r} is not accepted: it must be finite and {self._bounds()}.")
        most = self.high if self.kind is int else sys.float_info.max
        if isinstance(value, int | float) and not self.low <= value <= most:
            raise InvalidArgument(f"{self.words} {reprlib.repr(value)} is not accepted: it must be {self._bounds()}.")

    def _bounds(self) -> str:
        low = "above 0" if self.low == ABOVE_ZERO else f"at least {self.low:g}"
        return low if self.high >= _LARGEST_NUMBER else f"within {self.low:g} and {self.high:.0f}"

    def parse_text(self, text: str) -> Any:
        """The value that a person wrote on the command line.

        Raises:
            SiconvnetError: it is not one.
        """
        if self.parse:
            return self.parse(text)
        try:
            return self.kind(text)
        except ValueError:
            raise InvalidArgument(f"{self.option} must be {_KINDS[self.kind][1]}, not {reprlib.repr(text)}.") from None

    def read(self, value: Any) -> Any:
        """The value that a store, a CSV file or the command line holds as text; other values are kept."""
        if not isinstance(value, str):
            return value
        if self.nullable and value in ("None", "none", ""):
            return None
        if self.kind is bool:
            return value in ("True", "true", "yes", "1")
        # Columns of integers with a gap come back from pandas as fractions.
        return int(float(value)) if self.kind is int else self.kind(value)


_KINDS: Mapping[type[Any], tuple[tuple[type[Any], ...], str]] = {
    int: ((int,), "an integer"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
    str: ((str,), "text"),
}
ABOVE_ZERO = math.nextafter(0.0, 1.0)
#: Settings whose option has another name than the field.
_OPTIONS = {"max_epochs": "--epochs"}


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    default_help: str = "",
    hashed: Hashed = Hashed.ALWAYS,
    protocol: bool = False,
    low: float = -_LARGEST_NUMBER,
    high: float = _LARGEST_NUMBER,
    axis: Axis | None = None,
    parse: Callable[[str], Any] | None = None,
    short: str = "",
    missing: str = "",
) -> Any:
    """A field of a settings class; see `Setting` for the arguments."""
    about = {
        **{"hashed": hashed, "protocol": protocol, "help": help, "default_help": default_help, "low": low},
        **{"high": high, "axis": axis, "parse": parse, "short": short, "missing": missing},
    }
    return dataclasses.field(default=default, metadata={_KEY: about})


def learning_rate(protocol: Protocol, default_help: str = "") -> Any:
    """The field `lr`."""
    return setting(
        protocol.lr, help="Initial learning rate.", default_help=default_help, low=ABOVE_ZERO, axis=axes.lrs()
    )


def seed(default: int | None, *, grid: str, default_help: str = "") -> Any:
    """The field `seed`.

    Args:
        grid: the seeds of a grid that names none.
    """
    return setting(
        default, help="Random seed.", default_help=default_help, low=0, high=2**32 - 1, axis=axes.seeds(grid)
    )


def batch_size(protocol: Protocol) -> Any:
    """The field `batch_size`."""
    return setting(protocol.batch_size, help="Images per batch.", hashed=Hashed.CHANGED, protocol=True, low=1)


def max_epochs(protocol: Protocol) -> Any:
    """The field `max_epochs`."""
    return setting(protocol.max_epochs, help="Maximum epochs.", hashed=Hashed.CHANGED, protocol=True, low=1)


def patience(protocol: Protocol) -> Any:
    """The field `patience`."""
    told = "Epochs without a better validation accuracy before training stops; none: train to the last epoch."
    return setting(protocol.patience, help=told, hashed=Hashed.CHANGED, protocol=True, low=1, parse=_number_or_none)


def _number_or_none(text: str) -> int | None:
    if text.lower() == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"patience must be an integer or none, not {text!r}.") from None


class Settings:
    """What every run has, whatever its study. A study's settings are a frozen, keyword-only dataclass over this.

    Attributes:
        study: name of the study that these are the settings of.
        lr: initial learning rate.
        seed: of Python, NumPy and PyTorch, set before the model is built.
        batch_size, max_epochs: as in the study's protocol unless changed.
        patience: epochs without a strictly better validation accuracy before training stops; None: to the last epoch.
        amp: mixed precision, "bfloat16" or "float16"; None: single precision.
    """

    study: ClassVar[str]

    lr: float
    seed: int
    batch_size: int
    max_epochs: int
    patience: int | None = None
    amp: str | None = None

    def __post_init__(self) -> None:
        # 1 and 1.0 are the same rate and must have the same hash.
        for found in settings_of(type(self)).values():
            if found.kind is float:
                object.__setattr__(self, found.name, as_float(getattr(self, found.name)))

    def check(self) -> None:
        """Check every value by itself; imports and reads nothing.

        Raises:
            InvalidArgument: naming the setting and what is accepted.
        """
        for found in settings_of(type(self)).values():
            found.check(getattr(self, found.name))

    def values(self) -> dict[str, Any]:
        """All settings by name."""
        return {name: getattr(self, name) for name in settings_of(type(self))}

    def changes(self) -> Iterator[tuple[Setting, Any]]:
        """The settings that leave the protocol, the learning rate aside."""
        for found in settings_of(type(self)).values():
            if found.protocol and (value := getattr(self, found.name)) != found.default:
                yield found, value

    def hashed(self) -> dict[str, Any]:
        """What of the settings enters the hash."""
        rules = {
            Hashed.ALWAYS: lambda value, default: True,
            Hashed.CHANGED: lambda value, default: value != default,
            Hashed.GIVEN: lambda value, default: value is not None,
        }
        return {
            name: value
            for name, found in settings_of(type(self)).items()
            if rules[found.hashed](value := getattr(self, name), found.default)
        }

    def to_dict(self) -> dict[str, Any]:
        """The settings as they are stored; those of some models only are left out where they are None."""
        return {
            name: value
            for name, found in settings_of(type(self)).items()
            if (value := getattr(self, name)) is not None or found.hashed is not Hashed.GIVEN
        }


def settings_of(cls: type[Settings]) -> Mapping[str, Setting]:
    """The settings of a settings class by name, in the order of its fields."""
    return _settings_of(typing.cast(Any, cls))


@functools.cache
def _settings_of(cls: Any) -> Mapping[str, Setting]:
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls!r} must be a dataclass.")
    hints = typing.get_type_hints(cls)
    found: dict[str, Setting] = {}
    for field in dataclasses.fields(cls):
        if _KEY not in field.metadata:
            raise TypeError(f"{cls!r}.{field.name} must be made by `setting`.")
        kind, nullable = _kind(hints[field.name])
        about = field.metadata[_KEY]
        found[field.name] = Setting(field.name, kind, field.default, nullable, **about)
    return types.MappingProxyType(found)


def _kind(hint: Any) -> tuple[type[Any], bool]:
    """The type of a setting, and whether None is a value of it."""
    arguments = typing.get_args(hint)
    kinds = [kind for kind in arguments or (hint,) if kind is not type(None)]
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        raise TypeError(f"a setting is an int, float, bool or str, or one of them or None; not {hint}.")
    return kinds[0], type(None) in arguments


def option_text(name: str, value: object) -> str:
    """A setting and its value as they are written on the command line."""
    text = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{text}" if value else f"--no-{text}"
    return f"--{text} {brief(str(value))}"
