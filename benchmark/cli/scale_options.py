"""The options of `benchmark run` that say how internal scales are learned, and which sizes objects have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--scale-parameterisation",
        metavar="NAME",
        help="Models that learn scales: isr, spacing, direct, fixed, isr_leaky or spacing_linear.  [default: isr]",
    ),
    click.option(
        "--learn-sigma/--no-learn-sigma",
        default=None,
        help="Whether the smallest scale is learned too.  [default: yes, if anything is]",
    ),
    click.option("--sigma", type=float, help="Smallest scale at the start, in pixels.  [default: the model's]"),
    click.option("--isr", type=float, help="Internal scale range at the start, above 1.  [default: the model's]"),
    click.option("--scale-range", metavar="LOW,HIGH", help="mnist-range: scales of the digits.  [default: 1,8]"),
    click.option("--distribution", help="mnist-range: loguniform, uniform, normal or fixed.  [default: loguniform]"),
    click.option("--canvas", type=int, help="mnist-range: side of the images in pixels.  [default: 168]"),
    click.option("--digits", help="mnist-range: full (70,000), or embedded (1,500 in the package).  [default: full]"),
)


def scale_options(command: Command) -> Command:
    """Give a command these options, by the names of the fields of a `RunSpec`."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command
