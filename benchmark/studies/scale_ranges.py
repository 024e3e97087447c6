"""Ranges of object scales as people write them: `1,8`, or `2` for a single scale."""

from __future__ import annotations

import math
import reprlib

from siconvnet.errors import InvalidArgument


def canonical(value: object) -> object:
    """The text of a range, the same for `1,8`, `1.0,8` and `(1, 8)`; what is no range is given back as it is."""
    try:
        low, high = parse_range(value)
    except InvalidArgument:
        return value
    return f"{low!r},{high!r}".replace(".0,", ",").removesuffix(".0")


def parse_range(value: object) -> tuple[float, float]:
    """The smallest and the largest scale, both finite and above 0, in this order.

    Raises:
        InvalidArgument: no such range.
    """
    parts = value.split(",") if isinstance(value, str) else [value] if type(value) in (int, float) else value
    try:
        numbers = tuple(float(part) for part in parts)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2 or not 0 < numbers[0] <= numbers[1] < math.inf:
        raise InvalidArgument(
            f"scale range {reprlib.repr(value)} is not accepted: give the smallest and the largest scale, both above "
            "0, as in 1,8."
        )
    return numbers[0], numbers[1]
