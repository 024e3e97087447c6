"""Scale convolutions and scale pooling written as the papers state them, with nothing left out.

Slow, obviously right, differentiable any number of times: what the fast paths are tested against.
Sources: STIR (arXiv 2211.10288), section 3; SESN (arXiv 1910.11093), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.errors import UnknownName
from siconvnet.functional.interpolation import interpolation_matrix, scale_sizes
from siconvnet.names import POOL_MODES


def rescale_kernel(weight: Tensor, size: int, mode: str) -> Tensor:
    """Resize kernels ``[..., k, k] -> [..., size, size]`` and multiply by k^2 / size^2, so that responses at
    all scales are comparable."""
    k = weight.shape[-1]
    matrix = interpolation_matrix(k, size, mode).to(weight)
    return matrix @ weight @ matrix.T * (k * k / (size * size))


def scale_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_scales: int,
    mode: str,
    padding: bool = False,
    stride: int = 1,
) -> Tensor:
    """Correlate with one kernel at many scales: ``[B, C, H, W] -> [B, C', S, H', W']``.

    Without `padding` the response of each scale is the valid correlation plus the bias, zero-padded around to the
    side of the first scale; the zeros come after the bias. With it the input is zero-padded by half the kernel.
    """
    k = weight.shape[-1]
    responses = []
    for size in scale_sizes(k, num_scales):
        kernel = rescale_kernel(weight, size, mode)
        if padding:
            response = F.conv2d(x, kernel, bias, padding=size // 2)
        else:
            response = F.pad(F.conv2d(x, kernel, bias), 4 * ((size - k) // 2,))
        responses.append(response[..., ::stride, ::stride])
    return torch.stack(responses, dim=2)


def scale_candidates(x: Tensor, weight: Tensor, bias: Tensor | None, sides: Sequence[int], mode: str) -> Tensor:
    """Correlate with each of M kernels at S scales, which may be chosen from: ``[B, C, H, W] -> [B, C', M S, H, W]``.

    Each kernel is resized to each side, and correlated with the input, zero-padded by half of that side. Scales run
    fastest.

    Args:
        weight: ``[C', M, C, k, k]``.
        bias: ``[C', M]``, the same at all scales, or none.
        sides: S odd numbers of pixels.
    """
    kernels, biases = weight.flatten(0, 1), None if bias is None else bias.flatten()
    responses = [F.conv2d(x, rescale_kernel(kernels, side, mode), biases, padding=side // 2) for side in sides]
    return torch.stack(responses, 2).unflatten(1, weight.shape[:2]).flatten(2, 3)


def scale_pool(x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Remove the scale axis: ``[B, C, S, H, W] -> [B, C, H, W]`` and the index of the scale that won.

    "pixel" takes the maximum at each pixel (indices ``[B, C, H, W]``), "slice" the scale that holds the largest
    activation of the channel, "energy" the scale with the largest sum (indices ``[B, C]``). Of equals the smallest
    scale wins, as `torch.argmax` has it.

    Raises:
        UnknownName: another mode.
    """
    if mode == "pixel":
        winner = x.argmax(2)
        return x.gather(2, winner[:, :, None]).squeeze(2), winner
    if mode == "slice":
        score = x.flatten(3).amax(3)
    elif mode == "energy":
        score = x.sum((3, 4))
    else:
        raise UnknownName("pooling", mode, POOL_MODES)
    winner = score.argmax(2)
    index = winner[:, :, None, None, None].expand(-1, -1, 1, *x.shape[3:])
    return x.gather(2, index).squeeze(2), winner


def conv_z2_h(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """SESN's lifting: all scales as channels of one convolution, ``[B, C, H, W] -> [B, C', S, H', W']``.

    Args:
        kernel: ``[C', C, S, k, k]``.
    """
    out_channels, _, num_scales = kernel.shape[:3]
    every = F.conv2d(x, kernel.transpose(1, 2).flatten(0, 1), stride=stride, padding=padding)
    return _add_bias(every.unflatten(1, (out_channels, num_scales)), bias)


def conv_h_h(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """SESN's convolution in scale space: for each offset in scale one convolution with a group for each scale,
    ``[B, C, S, H, W] -> [B, C', S, H', W']``.

    Args:
        kernel: ``[C', C, scale_size, S, k, k]``.
    """
    scale_size, num_scales = kernel.shape[2:4]
    x = F.pad(x, [0, 0, 0, 0, 0, scale_size - 1])
    total: Tensor | None = None
    for offset in range(scale_size):
        grouped = x[:, :, offset : offset + num_scales].transpose(1, 2).flatten(1, 2)
        kernels = kernel[:, :, offset].permute(2, 0, 1, 3, 4).flatten(0, 1)
        responses = F.conv2d(grouped, kernels, stride=stride, padding=padding, groups=num_scales)
        responses = responses.unflatten(1, (num_scales, -1)).transpose(1, 2)
        total = responses if total is None else total + responses
    assert total is not None, "a kernel spans at least one scale"
    return _add_bias(total, bias)


def _add_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.view(1, -1, 1, 1, 1)
