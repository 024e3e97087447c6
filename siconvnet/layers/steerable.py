"""Scale-equivariant steerable convolutions: SESN's lifting and scale-space layers.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 4. A kernel is a weighted
sum of fixed basis functions, kappa_s = sum_i w_i psi_i,s. The weights w are learned and shared by all scales s; the
functions are one basis of `siconvnet.bases` sampled at each scale. T stands for the plane Z2, H for scale and
translation, S x Z2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.bases import make_basis
from siconvnet.errors import InvalidArgument


def steer(weight: Tensor, basis: Tensor) -> Tensor:
    """The kernel of each scale: weights times basis functions.

    Args:
        weight: shape (..., num_funcs).
        basis: shape (num_funcs, num_scales, size, size).

    Returns:
        Shape (..., num_scales, size, size).
    """
    return (weight @ basis.flatten(1)).unflatten(-1, basis.shape[1:])


def conv_z2_h(
    x: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0, supports: Sequence[int] | None = None
) -> Tensor:
    """Lift a plane to scale space: one convolution for each scale. [B, C, H, W] -> [B, C', S, H', W']

    Args:
        x: shape (B, C, H, W).
        kernel: shape (C', C, S, size, size).
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        supports: for each scale the odd side in pixels beyond which its kernel is zero; that part is not computed.

    Raises:
        InvalidArgument: the input is smaller than the kernel.
    """
    sides = supports or [kernel.shape[-1]] * kernel.shape[2]
    planes = [_conv2d(x, kernel[:, :, s], side, stride, padding) for s, side in enumerate(sides)]
    return torch.stack(planes, dim=2)


def conv_h_h(
    x: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0, supports: Sequence[int] | None = None
) -> Tensor:
    """Convolve over scale and plane. [B, C, S, H, W] -> [B, C', S, H', W']

    Output scale s sees the input scales s .. s + scale_size - 1; beyond the largest scale there is nothing.

    Args:
        x: shape (B, C, S, H, W).
        kernel: shape (C', C, scale_size, S, size, size).
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        supports: for each scale the odd side in pixels beyond which its kernel is zero; that part is not computed.

    Raises:
        InvalidArgument: the input is smaller than the kernel, or has another number of scales.
    """
    scale_size, num_scales = kernel.shape[2:4]
    if x.shape[2] != num_scales:
        raise InvalidArgument(f"an input of {x.shape[2]} scales meets a kernel of {num_scales}.")
    planes = []
    for s, side in enumerate(supports or [kernel.shape[-1]] * num_scales):
        window = x[:, :, s : s + scale_size]
        taps = kernel[:, :, : window.shape[2], s]
        planes.append(_conv2d(window.flatten(1, 2), taps.flatten(1, 2), side, stride, padding))
    return torch.stack(planes, dim=2)


def _conv2d(x: Tensor, weight: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """A convolution with the middle `side` x `side` pixels of a kernel whose other pixels are zero."""
    size = weight.shape[-1]
    if min(x.shape[-2:]) + 2 * padding < size:
        raise InvalidArgument(f"an input of {tuple(x.shape[-2:])} pixels is smaller than the {size}x{size} kernel.")
    if 2 * padding + 1 == size:
        # The output is as large as the input, so that a tap further out than the input is wide sees zeros alone.
        side = min(side, 2 * max(x.shape[-2:]) - 1)
    margin = (size - side) // 2
    weight = weight[:, :, margin : size - margin, margin : size - margin]
    if margin > padding:
        x = F.pad(x, [padding - margin] * 4)
    padding = max(padding - margin, 0)
    if stride == 1:
        return functional.conv2d(x, weight, padding=padding)
    return F.conv2d(x, weight, stride=stride, padding=padding)


def supports_of(basis: Tensor) -> tuple[int, ...]:
    """For each scale, the odd side in pixels of the centred square outside which all functions are zero."""
    size = basis.shape[-1]
    distance = (torch.arange(size) - size // 2).abs()
    ring = torch.maximum(distance[:, None], distance)
    used = (basis != 0).any(dim=0).cpu()
    return tuple(2 * int((ring * plane).max()) + 1 for plane in used)


class _SESConv(nn.Module):
    """The basis, the weights and the bias that both steerable convolutions hold."""

    basis: Tensor
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float],
        stride: int,
        padding: int,
        bias: bool,
        basis_type: str,
        scale_size: int | None,
        options: dict[str, object],
    ):
        super().__init__()
        if scale_size is not None and not 1 <= scale_size <= len(scales):
            raise InvalidArgument(f"the scale size must lie in 1..{len(scales)}, not {scale_size}.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.effective_size = kernel_size, effective_size
        self.scales = tuple(round(float(scale), 3) for scale in scales)
        self.stride, self.padding = stride, padding
        self.basis_type = basis_type
        basis = make_basis(basis_type, kernel_size, scales, effective_size, **options)
        self.register_buffer("basis", basis.float())
        self.supports = supports_of(basis)
        window = () if scale_size is None else (scale_size,)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *window, len(basis)))
        self.register_parameter("bias", nn.Parameter(torch.empty(out_channels)) if bias else None)
        self.reset_parameters()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        # The basis may come from elsewhere, and with it what of it is zero.
        self.supports = supports_of(self.basis)

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights with a = sqrt(5), zero bias: SESN's initialisation."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}->{self.out_channels} | scales={list(self.scales)} | size={self.kernel_size}"
            f" | effective_size={self.effective_size} | basis={self.basis_type}"
        )

    def _add_bias(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1, 1)


class SESConv_Z2_H(_SESConv):
    """Scale-equivariant steerable convolution Z2 -> (S x Z2), the lifting layer.

    [B, C, H, W] -> [B, C', S, H', W'] with H' = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels: number of channels C of the input image.
        out_channels: number of channels C' of the output.
        kernel_size: side of the kernel in pixels, odd; it holds the largest scale.
        effective_size: side of the ordinary kernel with as many weights.
        scales: scales of the basis, ascending; S of them.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        bias: whether to learn a bias, one for each output channel and all its scales.
        basis_type: a name of `siconvnet.bases.list_bases()`.
        basis_options: what that basis takes besides, for example `mult` and `max_order`.

    Raises:
        InvalidArgument: the basis cannot be built from these arguments.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float] = (1.0,),
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
        basis_type: str = "hermite_a",
        **basis_options: object,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, effective_size, scales, stride, padding, bias,
            basis_type, None, basis_options,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        kernel = steer(self.weight, self.basis)
        return self._add_bias(conv_z2_h(x, kernel, stride=self.stride, padding=self.padding, supports=self.supports))


class SESConv_H_H(_SESConv):
    """Scale-equivariant steerable convolution (S x Z2) -> (S x Z2).

    [B, C, S, H, W] -> [B, C', S, H', W'] with H' = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels: number of channels C of the input.
        out_channels: number of channels C' of the output.
        scale_size: number of neighbouring scales that the kernel spans.
        kernel_size: side of the kernel in pixels, odd; it holds the largest scale.
        effective_size: side of the ordinary kernel with as many weights.
        scales: scales of the basis, ascending; S of them, as in the input.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        bias: whether to learn a bias, one for each output channel and all its scales.
        basis_type: a name of `siconvnet.bases.list_bases()`.
        basis_options: what that basis takes besides, for example `mult` and `max_order`.

    Raises:
        InvalidArgument: the basis cannot be built from these arguments, or `scale_size` exceeds the scales.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_size: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float] = (1.0,),
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
        basis_type: str = "hermite_a",
        **basis_options: object,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, effective_size, scales, stride, padding, bias,
            basis_type, scale_size, basis_options,
        )  # fmt: skip
        self.scale_size = scale_size

    def forward(self, x: Tensor) -> Tensor:
        kernel = steer(self.weight, self.basis)
        return self._add_bias(conv_h_h(x, kernel, stride=self.stride, padding=self.padding, supports=self.supports))


class SESConv_H_H_1x1(nn.Module):
    """Pointwise convolution (S x Z2) -> (S x Z2): no spatial extent, so no basis.

    [B, C, S, H, W] -> [B, C', S, H', W'] with H' = (H - 1) // stride + 1. After "Scale Equivariance Improves Siamese
    Tracking" (Sosnovik, Moskalev, Smeulders, WACV 2021), which lets it span several scales.

    Args:
        in_channels: number of channels C of the input.
        out_channels: number of channels C' of the output.
        scale_size: number of neighbouring scales that the kernel spans.
        stride: step in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_size: int = 1, stride: int = 1):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale_size, self.stride = scale_size, stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, scale_size, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        # Each scale sees itself and the next larger ones; beyond the largest there are zeros.
        padded = F.pad(x, [0, 0, 0, 0, 0, self.scale_size - 1])
        return F.conv3d(padded, self.weight, stride=(1, self.stride, self.stride))

    def extra_repr(self) -> str:
        return f"{self.in_channels}->{self.out_channels} | scale_size={self.scale_size}"


class SESMaxProjection(nn.Module):
    """Maximum over the scales: (S x Z2) -> Z2, [B, C, S, H, W] -> [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.max(dim=2).values

    def scale_indices(self, x: Tensor) -> Tensor:
        """Which scale wins, for each channel and pixel; the smaller one of equals.

        [B, C, S, H, W] -> [B, C, H, W], int64.
        """
        return x.max(dim=2).indices
