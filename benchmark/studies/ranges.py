"""What a person writes for a set of values, `1-5,8`, `all`, `*pool`, as the values. Standard library only."""

from __future__ import annotations

import fnmatch
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from benchmark.protocol import SCENARIOS, find_scenario
from siconvnet.errors import InvalidArgument, UnknownName

ALL = "all"
#: A learning rate that depends on the cell: what the paper selected there.
PUBLISHED = "published"
#: No grid is larger; a slip such as 1-1000000000 must not eat the memory.
MOST = 1_000_000
#: The most values that are written one by one, and the most characters of each.
MOST_PARTS, LONGEST = 20_000, 4096

#: Without leading zeros, which YAML 1.1 takes for base eight, so that the meaning would be unclear.
_NUMBER = "0|[1-9][0-9]{0,17}"
_DECIMAL = re.compile(r"\+?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

T = TypeVar("T")


def parts(value: object, what: str) -> list[str]:
    """The comma-separated parts of a text, or of each item of a list.

    Raises:
        InvalidArgument: there is none, or an item is neither text nor number.
    """
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    found: list[str] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise InvalidArgument(f"{what}: {reprlib.repr(item)} is neither text nor a number.")
        new = [part.strip() for part in str(item).split(",")]
        found += new
        if len(found) > MOST_PARTS or any(len(part) > LONGEST for part in new):
            raise InvalidArgument(
                f"{what}: more than {MOST_PARTS:,} parts, or one of more than {LONGEST:,} characters."
            )
    if not found or "" in found:
        raise InvalidArgument(f"{what}: {reprlib.repr(value)} is empty, or has an empty part.")
    return found


def numbers(value: object, what: str) -> tuple[int, ...]:
    """`1-5,8` -> 1, 2, 3, 4, 5, 8, each once, in the order written.

    Raises:
        InvalidArgument: no such range, or one that holds nothing.
    """
    found: list[int] = []
    for part in parts(value, what):
        match = re.fullmatch(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?", part)
        if not match:
            shown = part if len(part) <= 18 else f"{part[:18]}..."
            raise InvalidArgument(
                f"{what}: {shown!r} is neither a whole number of at most 18 digits nor a range; write 1-5,8, "
                "without leading zeros."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InvalidArgument(f"{what}: the range {part!r} is empty; did you mean {last}-{first}?")
        if len(found) + last - first >= MOST:
            raise InvalidArgument(f"{what}: {part!r} holds more than {MOST:,} values.")
        found += range(first, last + 1)
    return _once(found)


def number(value: object, what: str) -> int:
    """One whole number.

    Raises:
        InvalidArgument: none, or several.
    """
    found = numbers(value, what)
    if len(found) != 1:
        raise InvalidArgument(f"{what}: {value!r} is not one whole number.")
    return found[0]


def rates(value: object, what: str = "lrs") -> tuple[float | str, ...]:
    """Learning rates: numbers above 0, or `published`.

    Raises:
        InvalidArgument: something else.
    """

    def rate(part: str) -> float | str:
        if part.lower() == PUBLISHED:
            return PUBLISHED
        number = float(part) if _DECIMAL.fullmatch(part) else 0.0
        if not 0 < number < float("inf"):
            raise InvalidArgument(
                f"{what}: {part!r} is not a rate; give numbers above 0 such as 1e-3, without leading zeros, "
                f"or {PUBLISHED}."
            )
        return number

    return _once(rate(part) for part in parts(value, what))


def names(
    value: object,
    kind: str,
    known: Sequence[str],
    *,
    other: Callable[[str], bool] = lambda name: False,
) -> tuple[str, ...]:
    """Names, `all`, and shell patterns, as known names.

    Args:
        kind: what they name, in the singular.
        other: says whether an unknown name is acceptable as it is (a file, a class).

    Raises:
        UnknownName: a name that is none; the message suggests the nearest.
        InvalidArgument: a pattern that nothing matches.
    """
    found: list[str] = []
    for part in parts(value, f"{kind}s"):
        if part == ALL:
            found += known
        elif part in known or other(part):
            found.append(part)
        elif set(part) & set("*?["):
            matching = fnmatch.filter(known, part)
            if not matching:
                raise InvalidArgument(f"no {kind} matches {part!r}. Known: {', '.join(known)}.")
            found += matching
        else:
            raise UnknownName(kind, part, known)
    return _once(found)


def flags(value: object, what: str) -> tuple[bool, ...]:
    """`no` -> False, `yes` -> True, `both` or a list -> both; YAML's true and false as they are.

    Raises:
        InvalidArgument: something else.
    """
    known = {"no": (False,), "yes": (True,), "false": (False,), "true": (True,), "both": (False, True)}
    found: list[bool] = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        for part in [str(item)] if isinstance(item, bool) else parts(item, what):
            if part.lower() not in known:
                raise InvalidArgument(f"{what}: {part!r} is neither no nor yes nor both.")
            found += known[part.lower()]
    return _once(found)


def evaluations(value: object) -> tuple[int, ...]:
    """`1-4`, `all`, `Mid2Rest,4` -> scenario ids.

    Raises:
        UnknownName: no such scenario.
        InvalidArgument: an empty range.
    """
    found: list[int] = []
    for part in parts(value, "evaluations"):
        if part == ALL:
            found += SCENARIOS
        elif re.fullmatch(r"[0-9\s-]+", part):
            found += (find_scenario(number).id for number in numbers(part, "evaluations"))
        else:
            found.append(find_scenario(part).id)
    return _once(found)


def _once(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
