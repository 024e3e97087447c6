"""The responses of an input at one scale after another, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import spectral
from siconvnet.functional.geometry import Geometry


class Correlation:
    """An input and rescalable kernels, ready to give the responses of any scale.

    Args:
        x: ``[B, C, H, W]``, already padded as `geometry` says.
        weight: ``[C', C, k, k]``.
    """

    def __init__(self, x: Tensor, weight: Tensor, geometry: Geometry):
        self.weight, self.geometry, self.like = weight, geometry, x
        self.batch, self.out_channels = x.shape[0], weight.shape[0]
        self.spectrum = spectral.input_spectrum(x)
        # Summed-area table of the pixels that are not zero in every channel.
        nonzero = (x != 0).any(1).to(torch.int32)
        self.counts = F.pad(nonzero.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))

    def responses(self, scale: int, maps: Tensor | None = None) -> Tensor:
        """Responses of one scale inside the frame, without bias.

        Args:
            maps: which of the B * C' maps to compute; all when none.

        Returns:
            ``[P, Q, B * C']``, or as many maps as were asked for. Where a kernel covers nothing but zeros the response
            is exactly zero, as it is when the products are summed one by one: ties between scales depend on it.
        """
        rows, columns = spectral.axes(self.geometry, scale, self.like)
        kernel = spectral.kernel_spectrum(self.weight, rows, columns)
        # One input channel leaves nothing to sum over, and a batch of outer products is slow as matrix products.
        product = (self.spectrum * kernel if kernel.shape[2] == 1 else self.spectrum @ kernel).flatten(2)
        covered = self._covers_something(scale)
        if maps is not None:
            return (
                spectral.maps_from_spectrum(product[..., maps], rows, columns) * covered[..., maps // self.out_channels]
            )
        responses = spectral.maps_from_spectrum(product, rows, columns)
        return (responses.unflatten(2, (self.batch, -1)) * covered[..., None]).flatten(2)

    def _covers_something(self, scale: int) -> Tensor:
        """Whether the kernel covers a pixel that is not zero: ``[P, Q, B]``."""
        size = self.geometry.size(scale)
        rows, columns = (
            span.first + self.geometry.stride * torch.arange(span.count, device=self.like.device)
            for span in self.geometry.spans(scale)
        )
        upper, lower = self.counts[:, rows], self.counts[:, rows + size]
        covered = lower[..., columns + size] - lower[..., columns] - upper[..., columns + size] + upper[..., columns]
        return (covered > 0).permute(1, 2, 0)


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
        of_scales: for each scale that has any, the scale, the gradient of its responses ``[P, Q, N]`` inside the
            frame, and which of the B * C' maps those N are (none: all).
        wanted: whether the input's and the weight's gradient are needed.
    """
    batch, out_channels = x.shape[0], weight.shape[0]
    spectrum = spectral.input_spectrum(x) if wanted[1] else None
    total_x = total_weight = None
    for scale, maps, which in of_scales:
        rows, columns = spectral.axes(geometry, scale, x)
        gradient = spectral.maps_to_spectrum(maps, rows, columns)
        if which is not None:
            gradient = gradient.new_zeros(*gradient.shape[:2], batch * out_channels).index_copy_(2, which, gradient)
        gradient = gradient.unflatten(2, (batch, out_channels))
        if wanted[0]:
            part = gradient @ spectral.kernel_spectrum(weight, rows, columns).mH
            total_x = part if total_x is None else total_x.add_(part)
        if spectrum is not None:
            part = spectral.kernel_gradient(spectrum.mT @ gradient.conj(), rows, columns)
            total_weight = part if total_weight is None else total_weight + part
    grad_x = grad_weight = None
    if wanted[0]:
        grad_x = torch.zeros_like(x) if total_x is None else spectral.input_from_spectrum(total_x, *x.shape[2:])
    if wanted[1]:
        grad_weight = torch.zeros_like(weight) if total_weight is None else total_weight
    return grad_x, grad_weight


def plain_gradients(
    function: Callable[..., Tensor], gradient: Tensor, inputs: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """Gradients of `function` that can be differentiated again."""
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, gradient, create_graph=True))
    return tuple(next(found) if tensor is not None and tensor.requires_grad else None for tensor in inputs)
