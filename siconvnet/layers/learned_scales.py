"""Internal scales as parameters: which scales a scale-equivariant network has, learned with its weights.

Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional
Networks", VISAPP 2024. The scales of a steerable layer are described by the smallest, sigma, and by the internal scale
range ISR, the ratio of the largest to the smallest. `LearnableScales` holds the parameters behind them; steerable
layers take it in place of a list of scales, one for each layer or one for several.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument, SiconvnetError
from siconvnet.scale_starts import SMALLEST, check_start, find_freedom

_SIGMA = "sigma itself is a free parameter, so that it may reach zero."


class ScaleError(SiconvnetError):
    """Internal scales that no basis can be built from any more."""


class ScaleWarning(UserWarning):
    """Internal scales whose kernels no longer grow with them."""


class Parameterisation:
    """From free parameters to scales.

    Attributes:
        caveat: why the scales may stop to be positive or ascending all the same; the run then ends with a reason.
    """

    caveat: ClassVar[str] = f"Ascending by construction; {_SIGMA}"

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        """The free parameters at which the scales are sigma .. isr sigma, evenly spaced in their logarithm."""
        raise NotImplementedError

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        """The scales in pixels, shape (num_scales,), of the smallest one and the free parameters."""
        raise NotImplementedError


def _step(num_scales: int, isr: float) -> float:
    return isr ** (1 / (num_scales - 1)) - 1


class SquaredRange(Parameterisation):
    """One ratio for all steps, 1 + p^2: sigma_i = sigma (1 + p^2)^i. The paper's choice."""

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        return torch.tensor(math.sqrt(_step(num_scales, isr)))

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        return sigma * (1 + free**2) ** torch.arange(num_scales, device=free.device)


class LeakyRange(Parameterisation):
    """One ratio for all steps, 1 + leaky_relu(p)."""

    caveat = f"A negative p makes them descend slowly; and {_SIGMA}"

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        return torch.tensor(_step(num_scales, isr))

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        return sigma * (1 + F.leaky_relu(free)) ** torch.arange(num_scales, device=free.device)


class SquaredSpacing(Parameterisation):
    """A ratio for each step, 1 + p_i^2: sigma_i = sigma (1 + p_1^2) ... (1 + p_i^2)."""

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        return torch.full((num_scales - 1,), math.sqrt(_step(num_scales, isr)))

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        return sigma * torch.cat([torch.ones_like(free[:1]), torch.cumprod(1 + free**2, 0)])


class LinearSpacing(Parameterisation):
    """A ratio for each step, 1 + p_i."""

    caveat = f"A negative p_i makes the scales descend, one below -1 negative; and {_SIGMA}"

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        return torch.full((num_scales - 1,), _step(num_scales, isr))

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        return sigma * torch.cat([torch.ones_like(free[:1]), torch.cumprod(1 + free, 0)])


class Direct(Parameterisation):
    """The scales themselves."""

    caveat = "Each scale is a parameter by itself: nothing keeps them positive, or in order."

    def start(self, num_scales: int, sigma: float, isr: float) -> Tensor:
        ratios = isr ** (torch.arange(num_scales, dtype=torch.float64) / (num_scales - 1))
        return (sigma * ratios).to(torch.get_default_dtype())

    def scales(self, sigma: Tensor, free: Tensor, num_scales: int) -> Tensor:
        return free


class Fixed(Direct):
    """The scales themselves, which stay as they are."""

    caveat = ""


_PARAMETERISATIONS: Mapping[str, Parameterisation] = MappingProxyType(
    {
        "isr": SquaredRange(),
        "spacing": SquaredSpacing(),
        "direct": Direct(),
        "fixed": Fixed(),
        "isr_leaky": LeakyRange(),
        "spacing_linear": LinearSpacing(),
    }
)


def find_parameterisation(name: str) -> Parameterisation:
    """The parameterisation of a name, one of `siconvnet.scale_starts.PARAMETERISATIONS`.

    Raises:
        UnknownName: there is none; the message suggests the nearest.
    """
    find_freedom(name)
    return _PARAMETERISATIONS[name]


class LearnableScales(nn.Module):
    """Internal scales that may be learned: ``() -> [num_scales]``, in pixels, ascending.

    Steerable layers (`siconvnet.layers.steerable`) take it in place of their scales, with a basis "hermite_a" or
    "hermite_b". Layers that are given the same object share the scales.

    Args:
        num_scales: how many, at least 2.
        parameterisation: "isr" (one ratio 1 + p^2 for all steps), "spacing" (a ratio 1 + p_i^2 for each), "direct" (the
            scales themselves), "fixed" (not learned), "isr_leaky" (1 + leaky_relu(p)) or "spacing_linear" (1 + p_i).
        sigma: the smallest scale at the start, in pixels, at least 0.5.
        isr: internal scale range at the start: largest over smallest, above 1.
        learn_sigma: whether the smallest scale is learned; None: it is if anything is.

    Attributes:
        sigma: the smallest scale; a buffer where it is not learned. With "direct" and "fixed" it is what the smallest
            scale started at, and nothing follows it: `free` holds all scales.
        free: the other parameters; a buffer where nothing is learned. In a `state_dict` it is named after the
            parameterisation, ``free_isr``: the same numbers mean other scales in another.

    Raises:
        UnknownName: no such parameterisation.
        InvalidArgument: a single scale, an ISR of 1 or less, a sigma that is too small, or a `learn_sigma` that the
            parameterisation contradicts.
    """

    sigma: Tensor

    def __init__(
        self,
        num_scales: int,
        parameterisation: str = "isr",
        sigma: float = 2.0,
        isr: float = 3.0,
        learn_sigma: bool | None = None,
    ):
        super().__init__()
        self.kind = find_parameterisation(parameterisation)
        check_start(num_scales, parameterisation, sigma, isr, learn_sigma)
        self.num_scales, self.parameterisation = int(num_scales), parameterisation
        self.freedom = find_freedom(parameterisation)
        self.learn_sigma = self.freedom.learned and learn_sigma is not False
        self._hold("sigma", torch.tensor(float(sigma)), self.learn_sigma and self.freedom.has_sigma)
        self._hold(f"free_{parameterisation}", self.kind.start(self.num_scales, sigma, isr), self.freedom.learned)

    def _hold(self, name: str, value: Tensor, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    @property
    def free(self) -> Tensor:
        found = getattr(self, f"free_{self.parameterisation}")
        assert isinstance(found, Tensor)
        return found

    def forward(self) -> Tensor:
        return self.kind.scales(self.sigma, self.free, self.num_scales)

    def values(self) -> tuple[float, ...]:
        """The scales as numbers."""
        with torch.no_grad():
            return tuple(self().tolist())

    @property
    def isr(self) -> float:
        """The internal scale range: the largest scale over the smallest."""
        scales = self.values()
        return scales[-1] / scales[0]

    def extra_repr(self) -> str:
        listed = ", ".join(f"{scale:.3g}" for scale in self.values())
        learned = "" if not self.freedom.learned else f", {'' if self.learn_sigma else 'not '}learning sigma"
        return f"{self.parameterisation}: {listed}{learned}"


def check_scales(scales: Sequence[float], largest: float) -> None:
    """Refuse scales that have run away.

    Args:
        scales: in pixels, as they came out of training.
        largest: the largest scale that still makes sense, in pixels.

    Raises:
        ScaleError: they are no numbers, below half a pixel, out of order, or above `largest`.
    """
    listed = ", ".join(f"{scale:.3g}" for scale in scales)
    if not all(math.isfinite(scale) for scale in scales):
        why = "are no finite numbers any more"
    elif min(scales) < SMALLEST:
        why = f"have fallen below {SMALLEST:g} pixels"
    elif any(low > high for low, high in itertools.pairwise(scales)):
        why = "are no longer in ascending order"
    elif max(scales) > largest:
        why = f"have left the canvas: the largest one that it holds is {largest:g} pixels"
    else:
        return
    raise ScaleError(f"the internal scales ({listed}) {why}; a smaller learning rate of the scales may keep them.")


def scale_modules(model: nn.Module) -> dict[str, LearnableScales]:
    """The scales of a model, each once, by the name under which it is first found."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LearnableScales)}


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters behind the scales of a model, each once."""
    return [parameter for module in scale_modules(model).values() for parameter in module.parameters()]


def scale_figures(model: nn.Module) -> dict[str, float]:
    """The scales of a model and their ranges, by name: ``scale_1`` .. ``scale_S`` and ``isr``.

    Where layers have scales of their own, the layer's name is a prefix, as in ``conv1_scale_1``. It is made of letters,
    digits, ``-`` and ``_`` alone, which every store of results accepts.

    Raises:
        InvalidArgument: the names of two layers differ in other characters only.
    """
    modules = scale_modules(model)
    figures: dict[str, float] = {}
    layers: dict[str, str] = {}
    for name, module in modules.items():
        prefix = f"{re.sub('[^A-Za-z0-9_-]', '_', name.removesuffix('.learned'))}_" if len(modules) > 1 else ""
        if (other := layers.setdefault(prefix, name)) != name:
            raise InvalidArgument(f"the scales of {other!r} and {name!r} have the same names; rename one of the two.")
        values = module.values()
        figures |= {f"{prefix}scale_{number}": value for number, value in enumerate(values, start=1)}
        figures[f"{prefix}isr"] = values[-1] / values[0]
    return figures
