"""The responses of an input at one scale after another, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import costs, spectral
from siconvnet.functional.constants import cached_constant
from siconvnet.functional.geometry import Geometry
from siconvnet.functional.interpolation import interpolation_matrix


class Correlation:
    """An input and rescalable kernels, ready to give the responses of any scale.

    Args:
        x: ``[B, C, H, W]``, without the padding that `geometry` tells of.
        weight: ``[C', C, k, k]``.
    """

    def __init__(self, x: Tensor, weight: Tensor, geometry: Geometry):
        self.x, self.weight, self.geometry = x, weight, geometry

    def responses(self, scale: int, maps: Tensor | None = None) -> Tensor:
        """Responses of one scale inside the frame, without bias.

        Args:
            maps: which of the B * C' maps to compute; all when none.

        Returns:
            ``[B * C', P, Q]``, or as many maps as were asked for. Where a kernel covers nothing but zeros the response
            is exactly zero, as it is when the products are summed one by one: ties between scales depend on it.
        """
        if not _prefers_spectral(self.x, self.weight, self.geometry, scale):
            seen, kernel = _seen(self.x, self.geometry, scale), rescaled(self.weight, self.geometry, scale)
            stride, padding = self.geometry.stride, self.geometry.margin(scale)
            responses = F.conv2d(seen, kernel, stride=stride, padding=padding).flatten(0, 1)
            return responses if maps is None else responses[maps]
        rows, columns = spectral.axes(self.geometry, scale, self.x)
        product = (self._spectrum @ spectral.kernel_spectrum(self.weight, rows, columns)).flatten(2)
        covered = self._covers_something(scale)
        if maps is not None:
            covered = covered[maps // len(self.weight)]
            return (spectral.maps_from_spectrum(product[..., maps], rows, columns) * covered).contiguous()
        responses = spectral.maps_from_spectrum(product, rows, columns)
        return (responses.unflatten(0, (len(self.x), -1)) * covered[:, None]).flatten(0, 1).contiguous()

    @cached_property
    def _spectrum(self) -> Tensor:
        return spectral.input_spectrum(self.x, self.geometry.padding)

    @cached_property
    def _counts(self) -> Tensor:
        """Summed-area table of the padded pixels that are not zero in every channel: ``[B, H + 1, W + 1]``."""
        nonzero = F.pad((self.x != 0).any(1).to(torch.int32), 4 * (self.geometry.padding,))
        return F.pad(nonzero.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))

    def _covers_something(self, scale: int) -> Tensor:
        """Whether the kernel covers a pixel that is not zero: ``[B, P, Q]``."""
        size = self.geometry.size(scale)
        rows, columns = (
            self.geometry.padding + span.first + self.geometry.stride * torch.arange(span.count, device=self.x.device)
            for span in self.geometry.spans(scale)
        )
        upper, lower = self._counts[:, rows], self._counts[:, rows + size]
        covered = lower[..., columns + size] - lower[..., columns] - upper[..., columns + size] + upper[..., columns]
        return covered > 0


def is_small(x: Tensor, weight: Tensor, geometry: Geometry, scales: Iterable[int]) -> bool:
    """Whether direct convolutions at `scales` take less time than choosing another way for them costs."""
    return costs.is_small(*(_convolution(x, weight, geometry, scale) for scale in scales))


def all_direct(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Whether every scale is convolved directly, forward and backward."""
    ways = [(scale, backward) for scale in range(geometry.num_scales) for backward in (False, True)]
    return not any(_prefers_spectral(x, weight, geometry, scale, backward=backward) for scale, backward in ways)


def _prefers_spectral(x: Tensor, weight: Tensor, geometry: Geometry, scale: int, *, backward: bool = False) -> bool:
    if min(span.count for span in geometry.spans(scale)) == 0:
        return True  # nothing to compute, which matrices without rows do and a convolution refuses
    return costs.prefers_spectral(_convolution(x, weight, geometry, scale), backward=backward)


def _convolution(x: Tensor, weight: Tensor, geometry: Geometry, scale: int) -> costs.Convolution:
    batch, channels, height, width = x.shape
    return costs.Convolution(
        batch, channels, len(weight), 1, height, width, geometry.size(scale), geometry.margin(scale), geometry.stride,
        taps=geometry.kernel_size, reach=geometry.padding, sharing=geometry.num_scales,
    )  # fmt: skip


def _seen(x: Tensor, geometry: Geometry, scale: int) -> Tensor:
    """The part of the input that the kernels of one scale meet."""
    if geometry.padding:
        return x
    rows, columns = (
        slice(span.first, span.first + (span.count - 1) * geometry.stride + geometry.size(scale))
        for span in geometry.spans(scale)
    )
    return x[:, :, rows, columns]


def rescaled(weight: Tensor, geometry: Geometry, scale: int) -> Tensor:
    resize = resize_matrix(geometry, scale, weight.dtype, weight.device)
    return resize @ weight @ resize.T


@cached_constant
def resize_matrix(geometry: Geometry, scale: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    size = geometry.size(scale)
    matrix = interpolation_matrix(geometry.kernel_size, size, geometry.mode) * (geometry.kernel_size / size)
    return matrix.to(device, dtype)


ScaleGradient = tuple[int, Tensor, "Tensor | None"]


def gradients(
    of_scales: Iterable[ScaleGradient],
    x: Tensor,
    weight: Tensor,
    geometry: Geometry,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of input and weight from those of the responses.

    Args:
        of_scales: for each scale that has any, the scale, the gradient of its responses ``[N, P, Q]`` inside the
            frame, and which of the B * C' maps those N are (none: all).
        wanted: whether the input's and the weight's gradient are needed.
    """
    grad_x = torch.zeros_like(x) if wanted[0] else None
    grad_weight = torch.zeros_like(weight) if wanted[1] else None
    spectrum = total = None
    for scale, maps, which in of_scales:
        if not _prefers_spectral(x, weight, geometry, scale, backward=True):
            every = maps if which is None else _among(len(x) * len(weight), maps, which, 0)
            every = every.unflatten(0, (len(x), len(weight)))
            _add_direct_gradients(scale, every, x, weight, geometry, grad_x, grad_weight)
            continue
        rows, columns = spectral.axes(geometry, scale, x)
        gradient = spectral.maps_to_spectrum(maps, rows, columns)
        gradient = gradient if which is None else _among(len(x) * len(weight), gradient, which, 2)
        gradient = gradient.unflatten(2, (len(x), len(weight)))
        if grad_x is not None:
            part = gradient @ spectral.kernel_spectrum(weight, rows, columns).mH
            total = part if total is None else total.add_(part)
        if grad_weight is not None:
            spectrum = spectral.input_spectrum(x, geometry.padding) if spectrum is None else spectrum
            grad_weight += spectral.kernel_gradient(spectrum.mT @ gradient.conj(), rows, columns)
    if grad_x is not None and total is not None:
        grad_x += spectral.input_from_spectrum(total, x, geometry.padding)
    return grad_x, grad_weight


def _among(count: int, maps: Tensor, which: Tensor, dim: int) -> Tensor:
    """`maps` at the places `which` of `count` along `dim`, and zeros at the others."""
    shape = list(maps.shape)
    shape[dim] = count
    return maps.new_zeros(shape).index_copy_(dim, which, maps)


def _add_direct_gradients(
    scale: int,
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    geometry: Geometry,
    grad_x: Tensor | None,
    grad_weight: Tensor | None,
) -> None:
    """Add one scale's share to the gradients, by convolutions with the rescaled kernels."""
    wanted = [grad_x is not None, grad_weight is not None, False]
    stride, padding = ([number] * 2 for number in (geometry.stride, geometry.margin(scale)))
    part_x, part_kernel, _ = torch.ops.aten.convolution_backward(
        gradient.contiguous(), _seen(x, geometry, scale), rescaled(weight, geometry, scale),
        None, stride, padding, [1, 1], False, [0, 0], 1, wanted,
    )  # fmt: skip
    if grad_x is not None:
        _seen(grad_x, geometry, scale).add_(part_x)
    if grad_weight is not None:
        resize = resize_matrix(geometry, scale, weight.dtype, weight.device)
        grad_weight += resize.T @ part_kernel @ resize


def plain_gradients(
    function: Callable[..., Tensor], gradient: Tensor, inputs: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """Gradients of `function` that can be differentiated again."""
    # One input may have been computed from another, and that way is not this function's.
    inputs = tuple(None if tensor is None else tensor.view_as(tensor) for tensor in inputs)
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, gradient, create_graph=True))
    return tuple(next(found) if tensor is not None and tensor.requires_grad else None for tensor in inputs)
