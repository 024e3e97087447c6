"""The settings of a run whose model learns its internal scales, for every study that has such a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.studies import ranges
from benchmark.studies.axes import Axis, Values
from benchmark.studies.base import Study
from benchmark.studies.settings import ABOVE_ZERO, Hashed, Settings, as_float, option_text, setting, settings_of
from siconvnet.errors import InvalidArgument
from siconvnet.models import LEARNERS, is_target, model_info
from siconvnet.scale_starts import (
    PARAMETERISATIONS,
    SMALLEST,
    ceiling,
    check_largest,
    check_start,
    find_freedom,
)

if TYPE_CHECKING:
    from benchmark.spec import RunSpec

FIELDS = ("scale_parameterisation", "learn_sigma", "sigma", "isr")
DEFAULT = "isr"
OWN = "own"


LS = TypeVar("LS", bound="LearnedScaleSettings")


class LearnedScaleStudy(Study[LS]):
    """A study with models that learn their internal scales."""

    def settings_for(self, model: str, values: Mapping[str, Any]) -> LS:
        return super().settings_for(model, without_redundant(model, values))

    def senseless(self, **judged: Any) -> str:
        return senseless(**judged)

    def check(self, spec: RunSpec[LS]) -> None:
        check_model(spec)

    def check_settings(self, spec: RunSpec[LS]) -> None:
        check_settings(spec)

    def tag(self, spec: RunSpec[LS]) -> str:
        return tag(spec.settings.values())

    def facts(self, spec: RunSpec[LS]) -> dict[str, Any]:
        return resolved(spec)

    def entry(self, spec: RunSpec[LS]) -> str:
        return variant(spec)


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


class LearnedScaleSettings(Settings):
    """Settings of a study with models that learn their internal scales; None stands for the model's own.

    Attributes:
        scale_parameterisation: how scales are learned (`siconvnet.layers.LearnableScales`).
        learn_sigma: whether the smallest scale is learned too.
        sigma: the smallest scale at the start, in pixels.
        isr: the internal scale range at the start, largest over smallest.
    """

    scale_parameterisation: str | None
    learn_sigma: bool | None
    sigma: float | None
    isr: float | None


def parameterisation_setting() -> Any:
    """The field `scale_parameterisation`."""
    return setting(
        None,
        help=f"Models that learn scales: {', '.join(PARAMETERISATIONS)}.",
        default_help=DEFAULT,
        hashed=Hashed.GIVEN,
        axis=_axis("scale_parameterisations", _parameterisations, "As isr,spacing; or own: the model's."),
    )


def learn_sigma_setting() -> Any:
    """The field `learn_sigma`."""
    return setting(
        None,
        help="Whether the smallest scale is learned too.",
        default_help="yes, if anything is",
        hashed=Hashed.GIVEN,
        axis=_axis("learn_sigma", lambda value: ranges.flags(value, "learn_sigma"), "no, yes or both.", alone="yes"),
    )


def sigma_setting() -> Any:
    """The field `sigma`."""
    return setting(
        None,
        help="Smallest scale at the start, in pixels.",
        default_help="the model's",
        hashed=Hashed.GIVEN,
        low=SMALLEST,
        axis=_axis("sigmas", lambda value: _numbers(value, "sigmas"), "Smallest scale at the start, as 1,2,4."),
    )


def isr_setting() -> Any:
    """The field `isr`."""
    return setting(
        None,
        help="Internal scale range at the start, above 1.",
        default_help="the model's",
        hashed=Hashed.GIVEN,
        low=ABOVE_ZERO,
        axis=_axis("isrs", lambda value: _numbers(value, "isrs"), "Internal scale range at the start, as 1.5,3,6."),
    )


def without_redundant(model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without those that say what would hold without them: left out, a run has one hash."""
    try:
        own = own_values(model, values.get("scale_parameterisation"))
    except InvalidArgument:
        own = {}
    return {
        name: None if name in own and type(value) is type(own[name]) and value == own[name] else value
        for name, value in _floats(values).items()
    }


def _floats(values: Mapping[str, Any]) -> dict[str, Any]:
    # 2 and 2.0 are the same scale and must have the same hash.
    return {name: as_float(value) if name in ("sigma", "isr") else value for name, value in values.items()}


def resolved(spec: RunSpec[Any]) -> dict[str, Any]:
    """All that the settings say, what they leave open included; empty for a model that learns no scales."""
    given = {name: value for name in FIELDS if (value := getattr(spec.settings, name)) is not None}
    return {**own_values(spec.model, spec.settings.scale_parameterisation), **given}


def check_model(spec: RunSpec[Any]) -> None:
    """Refuse these settings for a model whose scales are not learned; imports a model that is a class.

    Raises:
        InvalidArgument: naming the setting.
    """
    given = [name for name in FIELDS if getattr(spec.settings, name) is not None]
    if given and not _learns(spec.model):
        raise InvalidArgument(
            f"{option_text(given[0], getattr(spec.settings, given[0]))} does not apply to {spec.model}, whose scales "
            f"are not learned; leave it out, or choose one of {', '.join(LEARNERS)}."
        )


def check_settings(spec: RunSpec[Any], canvas: int | None = None) -> None:
    """Refuse scales that cannot be.

    Args:
        canvas: side of the study's images in pixels, for models that are built for any side.

    Raises:
        UnknownName: no such parameterisation.
        InvalidArgument: a start out of range.
    """
    settings = spec.settings
    if all(getattr(settings, name) is None for name in FIELDS):
        return
    if settings.scale_parameterisation is not None:
        find_freedom(settings.scale_parameterisation)
    if spec.model in LEARNERS:
        found = resolved(spec)
        check_start(2, found["scale_parameterisation"], found["sigma"], found["isr"], settings.learn_sigma)
        check_largest(found["sigma"] * found["isr"], ceiling(LEARNERS[spec.model].side or canvas or 0))


def tag(values: Mapping[str, Any]) -> str:
    """What of these settings is not the model's own, in a few words."""
    words = [name] if (name := values["scale_parameterisation"]) else []
    if values["learn_sigma"] is not None:
        words.append("sigma learned" if values["learn_sigma"] else "sigma kept")
    words += [f"{name}={values[name]:g}" for name in ("sigma", "isr") if values[name] is not None]
    return " ".join(words)


def variant(spec: RunSpec[Any]) -> str:
    """The model, and in brackets what of these settings is not its own: runs that differ in it are no repetitions."""
    return _variant(spec.model, spec.settings.values())


def variant_of(model: str, stored: Mapping[str, str]) -> str:
    """`variant` of a run whose settings a store keeps as text."""
    fields = settings_of(_Fields)
    values = {name: fields[name].read(stored.get(name)) for name in FIELDS}
    return _variant(model, without_redundant(model, values))


def _variant(model: str, values: Mapping[str, Any]) -> str:
    words = tag(values)
    return f"{model} [{words}]" if words else model


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


def _learns(model: str) -> bool:
    if model in LEARNERS:
        return True
    return is_target(model) and model_info(model).takes(FIELDS[0])


@dataclass(frozen=True, kw_only=True)
class _Fields(LearnedScaleSettings):
    """These settings alone."""

    scale_parameterisation: str | None = parameterisation_setting()
    learn_sigma: bool | None = learn_sigma_setting()
    sigma: float | None = sigma_setting()
    isr: float | None = isr_setting()
