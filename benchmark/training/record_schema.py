"""What a record says, as a schema: kinds, names and ranges of everything in `record.json` and `environment.json`.

A record may come from another machine, another person or a broken disk, so nothing in it is believed that has not
been checked here.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from siconvnet.errors import SiconvnetError

#: Seconds since 1970 at the beginning of 2000: no run is older, and a clock that says so is not set.
_EARLIEST = 946_684_800.0
#: Seconds by which another machine's clock may be ahead of this one's.
_AHEAD = 86_400.0
#: The characters that MLflow takes in the name of a metric.
_NAME = re.compile(r"[\w\-. :/]{1,250}", re.ASCII)
_ACCURACY = re.compile(r"(^|_)(acc|err)(_|$)")


class SchemaError(SiconvnetError):
    """A text that does not follow the schema; the message says where."""


def _plausible(seconds: float) -> float:
    if not _EARLIEST <= seconds <= time.time() + _AHEAD:
        raise ValueError("is not a time between 2000 and tomorrow")
    return seconds


def _checked_name(name: str) -> str:
    parts = name.split("/")
    if not _NAME.fullmatch(name) or not all(parts) or {".", ".."} & {*parts}:
        raise ValueError("must be letters, digits and _ - . : / or spaces, as MLflow takes them")
    return name


def _checked_figures(figures: dict[str, float]) -> dict[str, float]:
    for name, value in figures.items():
        if _ACCURACY.search(name) and not 0 <= value <= 100:
            raise ValueError(f"{name} must be within 0 and 100, not {value:g}")
        if name.endswith(("_loss", "_time", "epochs")) and value < 0:
            raise ValueError(f"{name} must not be negative, not {value:g}")
    return figures


Text = Annotated[str, Field(max_length=100_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[Number, Field(ge=0)]
Percent = Annotated[Number, Field(ge=0, le=100)]
Time = Annotated[Number, AfterValidator(_plausible)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, AfterValidator(_checked_name)]
Figures = Annotated[dict[Name, Number], AfterValidator(_checked_figures)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Epoch(_Strict):
    """One epoch of the history; see `benchmark.events.Epoch`."""

    number: Count
    time: Time
    train_loss: Amount
    train_acc: Percent
    train_time: Amount
    val_loss: Amount | None
    val_acc: Percent | None
    best_acc: Percent | None = None
    patience_left: int | None = None
    own: Figures = {}


class Description(_Strict):
    """`record.json`.

    Attributes:
        model_key, dataset_key: what `spec_hash` was made of, because the source of the model and the data may not be
            on the machine that reads the record. Records of format 1 lack the former.
    """

    format: int
    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    spec: dict[str, str | int | float | bool | None]
    spec_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    model_key: Annotated[str, Field(max_length=4200)] | None = None
    dataset_key: Annotated[str, Field(max_length=4200)]
    status: Literal["FINISHED", "FAILED", "KILLED"]
    reason: Text
    start_time: Time
    end_time: Time
    parameters: Count
    metrics: Figures
    history: Annotated[list[Epoch], Field(max_length=1_000_000)]

    @model_validator(mode="after")
    def _consistent(self) -> Description:
        if self.end_time < self.start_time:
            raise ValueError("end_time is before start_time")
        numbers = [epoch.number for epoch in self.history]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError("the epochs of history must be numbered 1, 2, 3 and so on")
        if self.status == "FINISHED":
            self._check_end()
        return self

    def _check_end(self) -> None:
        """What holds for a run that finished.

        Raises:
            ValueError: something of it does not.
        """
        if not self.history:
            raise ValueError("a finished run must have a history")
        if "test_acc" not in self.metrics:
            raise ValueError("a finished run must have a test_acc")
        if self.metrics.get("epochs", len(self.history)) != len(self.history):
            raise ValueError("metrics.epochs is not the number of epochs in history")
        scored = [epoch.val_acc for epoch in self.history if epoch.val_acc is not None]
        if "best_acc" in self.metrics and self.metrics["best_acc"] != max(scored, default=None):
            raise ValueError("metrics.best_acc is not the best val_acc of history")


class _Git(_Strict):
    commit: Annotated[str, Field(max_length=200)] | None = None


class Environment(BaseModel):
    """`environment.json`: whatever describes the machine, and a few things that a store keeps as tags."""

    model_config = ConfigDict(strict=True, extra="allow")

    device_name: Annotated[str, Field(max_length=1000)] = ""
    host: Annotated[str, Field(max_length=1000)] = ""
    pid: Count | Annotated[str, Field(max_length=20)] = ""
    process_start: Annotated[str, Field(max_length=100)] = ""
    process_space: Annotated[str, Field(max_length=200)] = ""
    last_lines: Text = ""
    git: _Git | None = None


class _Format(BaseModel):
    format: Any = None


Model = TypeVar("Model", bound=BaseModel)


def parse(kind: type[Model], content: bytes) -> Model:
    """JSON as an object of the schema.

    Raises:
        SchemaError: it is not; the message names the first place that is wrong.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(part if isinstance(part, str) else str(part) for part in first["loc"])[:200]
        what = str(first["msg"]).removeprefix("Value error, ")[:300]
        raise SchemaError(f"{where}: {what}" if where else what) from None


def format_of(content: bytes) -> Any:
    """The format that a record says it has; None if it says none.

    Raises:
        SchemaError: it is not a JSON object.
    """
    return parse(_Format, content).format
