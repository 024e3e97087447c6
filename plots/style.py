"""How every figure looks: one colour, marker, dash, label and place in the order for each method and dataset.

Colours are those of Okabe and Ito (2008) and darker or lighter kin of them. A dozen colours cannot all be
told apart by everyone, nor in gray, so a method's marker is its own and neighbours in hue differ in dash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from benchmark.protocol import SCENARIOS
from siconvnet.errors import SiconvnetError
from siconvnet.whole_files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Drawing = TypeVar("Drawing", bound=Callable[..., Any])

FORMATS = ("pdf", "png", "svg")
WIDTH = 7.5
"""Width in inches of a figure that spans a page of text."""

RC: dict[Any, Any] = {  # matplotlib types its keys as literals
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "siconvnet",
}
SHADE = "#ececec"
"""Behind the training range."""
MISSING = "#767676"
"""For what is not there."""
SEQUENTIAL = "cividis"
"""For ordered values: even in lightness, and made for colour-blind readers."""


class NothingToDraw(SiconvnetError):
    """The source holds nothing of the kind that a figure shows; the message says what would."""


@dataclass(frozen=True)
class Look:
    """One method's or dataset's appearance. `dash` is a matplotlib line style."""

    label: str
    colour: str
    marker: str
    dash: Any = "-"


_DASHED, _DOTTED, _MIXED = (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))

MODELS: dict[str, Look] = {
    "standard": Look("Standard", "#000000", "o"),
    "spatial_transform": Look("Spatial transf.", "#8a8a8a", "s", _DASHED),
    "ensemble": Look("Ensemble", "#56b4e9", "D"),
    "xu": Look("Xu", "#cc79a7", "^", _DASHED),
    "kanazawa": Look("Kanazawa", "#882255", "v"),
    "hermite": Look("Hermite", "#0072b2", "<"),
    "disco": Look("DISCO", "#003c67", ">", _DASHED),
    "sesn": Look("SESN", "#3b6fd4", "h", _DOTTED),
    "ses_learned": Look("SESN learned", "#1f9bb4", "x", _MIXED),
    "pixel_pool": Look("Pixel pool", "#d55e00", "P"),
    "slice_pool": Look("Slice pool", "#e69f00", "X"),
    "energy_pool": Look("Energy pool", "#a08a00", "*", _MIXED),
    "conv3d": Look("Conv3d", "#009e73", "p"),
    "sacnn_s_mp": Look("SACNN-S-MP", "#6a3d9a", "d", _DASHED),
    "sacnn_s_at": Look("SACNN-S-AT", "#b08fd8", "H", _DOTTED),
    "sacnn_m_mp": Look("SACNN-M-MP", "#b15928", "8", _DOTTED),
    "sacnn_m_at": Look("SACNN-M-AT", "#c9966b", "1", _MIXED),
    "gauss_der": Look("Gauss. deriv.", "#2f7d1f", "$G$"),
    "gauss_der_avg": Look("Gauss. deriv. avg", "#6abf7b", "$g$", _DASHED),
    "log_polar": Look("Log-polar", "#e0556f", "$L$", _DOTTED),
    "fov_max": Look("Foveated max", "#5c6b00", "$F$", _MIXED),
    "fov_avg": Look("Foveated avg", "#3f8f8f", "$f$", _DOTTED),
}
DATASETS: dict[str, Look] = {
    "emoji": Look("Emoji", "#e69f00", "o"),
    "mnist": Look("MNIST", "#882255", "s"),
    "trafficsign": Look("Traffic sign", "#56b4e9", "D"),
    "aerial": Look("Aerial", "#007358", "^"),
    "signs": Look("Signs (synthetic)", "#cc3311", "v"),
}
_SPARE_COLOURS = ("#44aa99", "#117733", "#cc6677", "#332288", "#999933", "#aa4499")
_SPARE_MARKERS = ("2", "3", "4", "+")


def pale(colour: str) -> str:
    """A lighter tone of a colour, for a lesser kin of what has it."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (0.45 * part + 0.55 for part in to_rgb(colour))
    return to_hex((red, green, blue))


#: How methods of other people ask to be called, in the figures that are being drawn.
_labels: ContextVar[Mapping[str, str]] = ContextVar("labels", default=MappingProxyType({}))


@contextlib.contextmanager
def labelled(labels: Mapping[str, str]) -> Iterator[None]:
    """Call methods that are unknown here as they ask to be called, inside the block."""
    token = _labels.set(labels)
    try:
        yield
    finally:
        _labels.reset(token)


def model_look(name: str) -> Look:
    """The look of a method; one that is unknown here gets the same colour and marker of its own everywhere."""
    return MODELS.get(name) or dataclasses.replace(_spare(name), label=_labels.get().get(name) or _own_label(name))


def dataset_look(name: str) -> Look:
    """The look of a dataset; one that is unknown here gets the same look of its own everywhere.

    A file goes by its name and a part of its content's digest, of which the label keeps what tells two versions apart.
    """
    label = re.sub(r"-([0-9a-f]{4})[0-9a-f]{8}$", r" (\1)", name)
    return DATASETS.get(name) or dataclasses.replace(_spare(name), label=label)


def ordered_models(names: Iterable[str]) -> list[str]:
    """`names` without repetition in the order of every figure: known ones as listed, then the rest by name."""
    return _ordered(names, MODELS)


def ordered_datasets(names: Iterable[str]) -> list[str]:
    """As `ordered_models`, for datasets."""
    return _ordered(names, DATASETS)


def scenario_label(evaluation: int) -> str:
    """The name of a scenario; the number itself where it has none."""
    scenario = SCENARIOS.get(int(evaluation))
    return scenario.name if scenario else f"evaluation {evaluation}"


def training_range(evaluation: int) -> tuple[int, int] | None:
    """The smallest and the largest training scale in pixels, or None for an unknown scenario."""
    scenario = SCENARIOS.get(int(evaluation))
    return (min(scenario.train_scales), max(scenario.train_scales)) if scenario else None


def seeds_label(counts: Iterable[int]) -> str:
    """How many runs a figure's cells are over: "50 seeds", "25 to 50 seeds", "1 seed"."""
    numbers = sorted({int(count) for count in counts})
    if not numbers:
        return "no seeds"
    if len(numbers) == 1:
        return f"{numbers[0]} seed{'' if numbers[0] == 1 else 's'}"
    return f"{numbers[0]} to {numbers[-1]} seeds"


def mark_missing(axis: Axes, text: str = "no runs") -> None:
    """Say in the middle of a panel that there is nothing to show in it."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=MISSING, style="italic")


def mark_chance(axis: Axes, chance: Mapping[str, float], dataset: str, *, along: Literal["x", "y"] = "y") -> None:
    """Draw the accuracy of a guess on a data set as a dashed line, where it is to be shown."""
    if dataset in chance:
        draw = axis.axhline if along == "y" else axis.axvline
        draw(chance[dataset], color=MISSING, ls="--", lw=0.7, zorder=1)


def plain_log_ticks(axis: Axes, low: float, high: float) -> None:
    """Numbers without powers on a logarithmic x axis: whole decades, 1-2-5, or evenly spaced, as the range asks for."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if high / low > 4:
        digits = (1,) if high / low > 100 else (1, 2, 5)
        ticks = [digit * 10.0**power for power in range(-9, 10) for digit in digits]
    else:
        ticks = list(MaxNLocator(5).tick_values(low, high))
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


@contextlib.contextmanager
def matplotlib_settings() -> Iterator[None]:
    """The settings of this house, leaving the caller's own as they were."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def styled(draw: Drawing) -> Drawing:
    """Run `draw` under `matplotlib_settings`."""

    @functools.wraps(draw)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with matplotlib_settings():
            return draw(*args, **kwargs)

    return cast("Drawing", inside)


@styled
def save(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Raises:
        SiconvnetError: the folder cannot be written.
    """
    kind = path.suffix.lstrip(".")
    # No date in the file: otherwise no two drawings of one table would be equal.
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    try:
        with replacing(path) as file:
            figure.savefig(file, format=kind, metadata=metadata, bbox_inches="tight", pad_inches=0.04)
    except OSError as error:
        raise SiconvnetError(f"cannot write {str(path)!r}: {error.strerror or error}.") from None
    return path


def _ordered(names: Iterable[str], table: dict[str, Look]) -> list[str]:
    place = {name: index for index, name in enumerate(table)}
    return sorted(set(names), key=lambda name: (place.get(name, len(place)), name))


@functools.cache
def _own_label(name: str) -> str:
    """What a method of somebody's own calls itself; its name where it is not installed.

    No module that a table merely names is imported for that.
    """
    import siconvnet

    if name not in siconvnet.list_models() and name.partition(":")[0] not in sys.modules:
        return name
    try:
        return siconvnet.model_info(name).label
    except SiconvnetError:
        return name


def _spare(name: str) -> Look:
    # crc32, not hash(): that differs from process to process.
    number = zlib.crc32(name.encode())
    colour = _SPARE_COLOURS[number % len(_SPARE_COLOURS)]
    return Look(name, colour, _SPARE_MARKERS[(number >> 8) % len(_SPARE_MARKERS)], _MIXED)
