"""The fields of a run whose model learns its internal scales, for every study that has such a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmark.studies import ranges
from benchmark.studies.axes import Axis, Values
from siconvnet.errors import InvalidArgument
from siconvnet.scale_starts import LEARNERS, PARAMETERISATIONS, ceiling, check_largest, check_start, find_freedom

if TYPE_CHECKING:
    from benchmark.spec import RunSpec

FIELDS = ("scale_parameterisation", "learn_sigma", "sigma", "isr")
DEFAULT = "isr"
OWN = "own"


def own_values(model: str, parameterisation: str | None = None) -> dict[str, Any]:
    """What these fields are where they are left open: nothing, unless the model is one of ours that learns scales.

    Raises:
        UnknownName: no such parameterisation.
    """
    start = LEARNERS.get(model)
    if start is None:
        return {}
    name = parameterisation or DEFAULT
    own = {"scale_parameterisation": DEFAULT, "learn_sigma": find_freedom(name).learned}
    return {**own, "sigma": start.sigma, "isr": start.isr}


def redundant(spec: RunSpec) -> list[str]:
    """The fields that say what would hold without them; left out, a run has one hash."""
    try:
        own = own_values(spec.model, spec.scale_parameterisation)
    except InvalidArgument:
        return []
    return [
        name for name, value in own.items() if type(getattr(spec, name)) is type(value) and getattr(spec, name) == value
    ]


def resolved(spec: RunSpec) -> dict[str, Any]:
    """All that the fields say, what they leave open included; empty for a model that learns no scales."""
    given = {name: getattr(spec, name) for name in FIELDS if getattr(spec, name) is not None}
    return {**own_values(spec.model, spec.scale_parameterisation), **given}


def check_model(spec: RunSpec) -> None:
    """Refuse these fields for a model whose scales are not learned; imports a model that is a class.

    Raises:
        InvalidArgument: naming the field.
    """
    given = [name for name in FIELDS if getattr(spec, name) is not None]
    if given and not _learns(spec.model):
        raise InvalidArgument(
            f"{option(given[0], getattr(spec, given[0]))} does not apply to {spec.model}, whose scales are not "
            f"learned; leave it out, or choose one of {', '.join(LEARNERS)}."
        )


def check_settings(spec: RunSpec) -> None:
    """Refuse scales that cannot be.

    Raises:
        UnknownName: no such parameterisation.
        InvalidArgument: a start out of range.
    """
    if all(getattr(spec, name) is None for name in FIELDS):
        return
    for name in ("sigma", "isr"):
        value = getattr(spec, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InvalidArgument(f"{name} {value!r} is not a number.")
        if value is not None and not 0 < value < math.inf:
            raise InvalidArgument(f"{name} {value!r} is not accepted: it must be finite and above 0.")
    if not isinstance(spec.learn_sigma, bool | None):
        raise InvalidArgument(f"learn sigma {spec.learn_sigma!r} is neither true nor false.")
    if spec.scale_parameterisation is not None:
        find_freedom(spec.scale_parameterisation)
    if spec.model in LEARNERS:
        found = resolved(spec)
        check_start(2, found["scale_parameterisation"], found["sigma"], found["isr"], spec.learn_sigma)
        check_largest(found["sigma"] * found["isr"], ceiling(LEARNERS[spec.model].side or spec.canvas))


def tag(spec: RunSpec) -> str:
    """What of these fields is not the model's own, in a few words."""
    words = [] if spec.scale_parameterisation is None else [spec.scale_parameterisation]
    if spec.learn_sigma is not None:
        words.append("sigma learned" if spec.learn_sigma else "sigma kept")
    words += [f"{name}={getattr(spec, name):g}" for name in ("sigma", "isr") if getattr(spec, name) is not None]
    return " ".join(words)


def variant(spec: RunSpec) -> str:
    """The model, and in brackets what of these fields is not its own: runs that differ in it are no repetitions."""
    words = tag(spec)
    return f"{spec.model} [{words}]" if words else spec.model


def of_variant(name: str) -> tuple[str, dict[str, Any]]:
    """The model of a name that `variant` gave, and these fields as far as it says them; other names say none."""
    model, _, words = name.removesuffix("]").partition(" [")
    found: dict[str, Any] = {}
    if not words:
        return name, found
    for told, learned in (("sigma learned", True), ("sigma kept", False)):
        if told in words:
            found["learn_sigma"], words = learned, words.replace(told, "")
    for word in words.split():
        key, given, value = word.partition("=")
        found[key if given else FIELDS[0]] = float(value) if given else word
    return model, found


def senseless(
    *, model: str, scale_parameterisation: str | None, learn_sigma: bool | None, sigma: float | None, isr: float | None
) -> str:
    """Why a grid leaves out the runs with these values; empty if it does not."""
    given = (scale_parameterisation, learn_sigma, sigma, isr)
    if all(value is None for value in given):
        return ""
    if not _learns(model):
        return f"{model} learns no scales"
    freedom = find_freedom(scale_parameterisation or DEFAULT)
    if learn_sigma is not None and not (freedom.learned and freedom.has_sigma):
        return f"{scale_parameterisation} has no sigma to learn or to keep"
    return ""


def axes() -> tuple[Axis, ...]:
    """What grids go through in these fields; left out, each model has its own."""
    return (
        _axis("scale_parameterisations", _parameterisations, "As isr,spacing; or own: the model's."),
        _axis("learn_sigma", lambda value: ranges.flags(value, "learn_sigma"), "no, yes or both.", alone="yes"),
        _axis("sigmas", lambda value: _numbers(value, "sigmas"), "Smallest scale at the start, as 1,2,4."),
        _axis("isrs", lambda value: _numbers(value, "isrs"), "Internal scale range at the start, as 1.5,3,6."),
    )


def _axis(name: str, read: Callable[[object], Values], help: str, alone: str | None = None) -> Axis:
    def read_or_own(value: object) -> Values:
        items = value if isinstance(value, (list, tuple)) else [value]
        parts = [part for item in items for part in (_split(item) if isinstance(item, str) else [item])]
        others = [part for part in parts if part != OWN]
        if len(others) == len(parts):
            return read(value)
        return (None, *(read(others) if others else ()))

    field = name if name == "learn_sigma" else name.removesuffix("s")
    return Axis(name, field, read_or_own, OWN, help, alone)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _parameterisations(value: object) -> Values:
    return ranges.names(value, "parameterisation", list(PARAMETERISATIONS))


def _numbers(value: object, what: str) -> Values:
    try:
        return tuple(dict.fromkeys(float(part) for part in ranges.parts(value, what)))
    except ValueError:
        raise InvalidArgument(f"{what}: {value!r} is not accepted; give numbers, as in 1.5,3,6.") from None


def option(name: str, value: object) -> str:
    """A field and its value as they are written on the command line."""
    text = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{text}" if value else f"--no-{text}"
    return f"--{text} {value}"


def _learns(model: str) -> bool:
    if model in LEARNERS:
        return True
    from siconvnet.models import is_target, model_info

    return is_target(model) and model_info(model).takes(FIELDS[0])
