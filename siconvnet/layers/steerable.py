"""Scale-equivariant steerable convolutions: SESN's lifting and scale-space layers.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 4. A kernel is a weighted
sum of fixed basis functions, kappa_s = sum_i w_i psi_i,s. The weights w are learned and shared by all scales s; the
functions are one basis of `siconvnet.bases` sampled at each scale. T stands for the plane Z2, H for scale and
translation, S x Z2.

In place of a list of scales both take `LearnableScales`: the basis then follows the current scales, on kernels whose
side follows the largest of them (see `siconvnet.bases.learned`), and gradients reach them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.bases import BasisOptions, make_basis
from siconvnet.bases.learned import check_learnable, kernel_side, learned_basis, plain_basis, supports_at
from siconvnet.errors import InvalidArgument
from siconvnet.functional.checks import check_size
from siconvnet.functional.dispatch import outside_graphs, plain_requested
from siconvnet.functional.steerable import conv_h_h, conv_z2_h, steer, supports_of
from siconvnet.functional.torch_state import numbers_of
from siconvnet.layers.checks import check_images, check_maps, check_scale_axis
from siconvnet.layers.learned_scales import LearnableScales, ScaleWarning, check_scales
from siconvnet.scale_starts import check_largest


class _SESConv(nn.Module):
    """The basis, the weights and the bias that both steerable convolutions hold."""

    basis: Tensor
    bias: nn.Parameter | None
    learned: LearnableScales | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float] | LearnableScales,
        stride: int,
        padding: int,
        bias: bool,
        basis_type: str,
        scale_size: int | None,
        options: BasisOptions,
    ):
        super().__init__()
        if min(in_channels, out_channels, stride) < 1 or padding < 0:
            raise InvalidArgument("in_channels, out_channels and stride must be at least 1, padding at least 0.")
        if not isinstance(scales, LearnableScales):
            scales = tuple(float(scale) for scale in scales)
        num_scales = scales.num_scales if isinstance(scales, LearnableScales) else len(scales)
        if scale_size is not None and not 1 <= scale_size <= num_scales:
            raise InvalidArgument(f"the scale size must lie in 1..{num_scales}, not {scale_size}.")
        self.in_channels, self.out_channels, self.num_scales = in_channels, out_channels, num_scales
        self.kernel_size, self.effective_size = kernel_size, effective_size
        self.stride, self.padding = stride, padding
        self.basis_type = basis_type
        window = () if scale_size is None else (scale_size,)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *window, effective_size**2))
        if isinstance(scales, LearnableScales):
            if kernel_size < effective_size or kernel_size % 2 == 0:
                raise InvalidArgument(
                    f"the ceiling of the kernel size must be odd and at least the effective size {effective_size}, "
                    f"not {kernel_size}."
                )
            if not scales.free.is_meta:
                check_largest(scales.values()[-1], kernel_size)
            self.learned = scales
            self.options = check_learnable(basis_type, effective_size, options)
        else:
            self.learned = None
            self.scales = tuple(round(scale, 3) for scale in scales)
            basis = make_basis(basis_type, kernel_size, scales, effective_size, **options)
            self.register_buffer("basis", basis.to(self.weight))
            self.supports = supports_of(basis)
        self.register_parameter("bias", nn.Parameter(torch.empty(out_channels)) if bias else None)
        self.reset_parameters()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if self.learned is None and not self.basis.is_meta:
            # The basis may come from elsewhere, and with it what of it is zero.
            self.supports = supports_of(self.basis)

    def current_basis(self, extent: float = math.inf) -> tuple[Tensor, tuple[int, ...]]:
        """The basis (F, S, side, side) and, for each scale, the side in pixels beyond which it is zero.

        Args:
            extent: the longer side in pixels of the maps that it meets.

        Raises:
            ScaleError: learned scales have run away.
        """
        if self.learned is None:
            return self.basis, self.supports
        scales = self.learned()
        values = numbers_of(scales)
        if values is None:
            return self._widest_basis(scales, extent)
        check_scales(values, self.kernel_size / 2)
        side = kernel_side(values[-1], self.effective_size, self.kernel_size)
        # Where kernels reach from rim to rim already, more of them would see padding alone.
        whole = 2 * self.padding + 1 == self.kernel_size >= 2 * extent - 1
        if not whole and kernel_side(values[-1], self.effective_size, self.kernel_size + 2) > self.kernel_size:
            warnings.warn(
                f"the kernels have reached their ceiling of {self.kernel_size} pixels and no longer grow with the "
                "largest internal scale, whose functions are cut off at their rim.",
                ScaleWarning,
                stacklevel=2,
            )
        scales = scales.to(self.weight)
        setting = (self.basis_type, side, self.effective_size, self.options)
        basis = plain_basis(scales, *setting) if plain_requested() else learned_basis(scales, *setting, values=values)
        return basis, supports_at(values, side)

    def _widest_basis(self, scales: Tensor, extent: float) -> tuple[Tensor, tuple[int, ...]]:
        """`current_basis` where scales have no numbers, so that their kernels may be as large as they ever get."""
        setting = (self.basis_type, self.kernel_size, self.effective_size, self.options)
        basis = plain_basis(scales.to(self.weight), *setting, follow=True)
        if isinstance(extent, int) and 2 * self.padding + 1 == self.kernel_size > 2 * extent - 1:
            # Further out than the map is wide every kernel sees padding alone.
            margin = (self.kernel_size - (2 * extent - 1)) // 2
            basis = basis[..., margin:-margin, margin:-margin]
        return basis, self.num_scales * (basis.shape[-1],)

    def _frame(self, x: Tensor, side: int) -> tuple[Tensor, int]:
        """The input and its padding for kernels of `side`, so that the output is that of kernels of `kernel_size`."""
        padding = self.padding - (self.kernel_size - side) // 2
        return (x, padding) if padding >= 0 else (F.pad(x, 4 * [padding]), 0)

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights with a = sqrt(5), zero bias: SESN's initialisation."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        if self.learned is None:
            setting = f"scales={list(self.scales)} | size={self.kernel_size}"
        else:
            setting = f"learned scales | size up to {self.kernel_size}"
        size = f"effective_size={self.effective_size} | basis={self.basis_type}"
        return f"{self.in_channels}->{self.out_channels} | {setting} | {size}"


class SESConv_Z2_H(_SESConv):
    """Scale-equivariant steerable convolution Z2 -> (S x Z2), the lifting layer.

    [B, C, H, W] -> [B, C', S, H', W'] with H' = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels: number of channels C of the input image.
        out_channels: number of channels C' of the output.
        kernel_size: side of the kernel in pixels, odd; it holds the largest scale. Of learned scales the side that
            their kernels may grow to: the output is as large as if they had it always.
        effective_size: side of the ordinary kernel with as many weights.
        scales: scales of the basis, ascending; S of them, in the unit of the basis: for Hermite functions the standard
            deviation of their Gaussian in pixels, for the others factors. Or `LearnableScales`.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        bias: whether to learn a bias, one for each output channel and all its scales.
        basis_type: a name of `siconvnet.bases.list_bases()`.
        basis_options: what that basis takes besides, for example `mult` and `max_order`.

    Shapes: ``weight [C', C, effective_size^2]``, ``bias [C']``, and as a buffer, unless the scales are learned,
    ``basis [effective_size^2, S, kernel_size, kernel_size]``.

    Raises:
        InvalidArgument: the basis cannot be built from these arguments; another shape or precision of the input, or
            one that is smaller than the kernel.
        ScaleError: learned scales have run away. Where they reach the largest kernel there is a `ScaleWarning`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float] | LearnableScales = (1.0,),
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
        basis_type: str = "hermite_a",
        **basis_options: Unpack[BasisOptions],
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, effective_size, scales, stride, padding, bias,
            basis_type, None, basis_options,
        )  # fmt: skip

    @outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels, self.weight)
        check_size(x, self.kernel_size, self.padding)
        basis, supports = self.current_basis(max(x.shape[-2:]))
        x, padding = self._frame(x, basis.shape[-1])
        kernel = steer(self.weight, basis)
        return conv_z2_h(x, kernel, self.bias, stride=self.stride, padding=padding, supports=supports)


class SESConv_H_H(_SESConv):
    """Scale-equivariant steerable convolution (S x Z2) -> (S x Z2).

    [B, C, S, H, W] -> [B, C', S, H', W'] with H' = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels: number of channels C of the input.
        out_channels: number of channels C' of the output.
        scale_size: number of neighbouring scales that the kernel spans.
        kernel_size: side of the kernel in pixels, odd; it holds the largest scale. Of learned scales the side that
            their kernels may grow to: the output is as large as if they had it always.
        effective_size: side of the ordinary kernel with as many weights.
        scales: scales of the basis, ascending; S of them, as in the input, in the unit of the basis (see
            `SESConv_Z2_H`). Or `LearnableScales`.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        bias: whether to learn a bias, one for each output channel and all its scales.
        basis_type: a name of `siconvnet.bases.list_bases()`.
        basis_options: what that basis takes besides, for example `mult` and `max_order`.

    Shapes: ``weight [C', C, scale_size, effective_size^2]``, the others as in `SESConv_Z2_H`.

    Raises:
        InvalidArgument: the basis cannot be built from these arguments, or `scale_size` exceeds the scales; another
            shape or precision of the input, another number of scales, or one that is smaller than the kernel.
        ScaleError: learned scales have run away. Where they reach the largest kernel there is a `ScaleWarning`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_size: int,
        kernel_size: int,
        effective_size: int,
        scales: Sequence[float] | LearnableScales = (1.0,),
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
        basis_type: str = "hermite_a",
        **basis_options: Unpack[BasisOptions],
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, effective_size, scales, stride, padding, bias,
            basis_type, scale_size, basis_options,
        )  # fmt: skip
        self.scale_size = scale_size

    @outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        check_maps(x, self.in_channels, self.weight, self.num_scales)
        check_size(x, self.kernel_size, self.padding)
        basis, supports = self.current_basis(max(x.shape[-2:]))
        x, padding = self._frame(x, basis.shape[-1])
        kernel = steer(self.weight, basis)
        return conv_h_h(x, kernel, self.bias, stride=self.stride, padding=padding, supports=supports)


class SESConv_H_H_1x1(nn.Module):
    """Pointwise convolution (S x Z2) -> (S x Z2): no spatial extent, so no basis.

    [B, C, S, H, W] -> [B, C', S, H', W'] with H' = (H - 1) // stride + 1. After "Scale Equivariance Improves Siamese
    Tracking" (Sosnovik, Moskalev, Smeulders, WACV 2021), which lets it span several scales.

    Args:
        in_channels: number of channels C of the input.
        out_channels: number of channels C' of the output.
        scale_size: number of neighbouring scales that the kernel spans.
        stride: step in pixels.

    Raises:
        InvalidArgument: a number below 1; another shape or precision of the input.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_size: int = 1, stride: int = 1):
        super().__init__()
        if min(in_channels, out_channels, scale_size, stride) < 1:
            raise InvalidArgument("in_channels, out_channels, scale_size and stride must be at least 1.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale_size, self.stride = scale_size, stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, scale_size, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        check_maps(x, self.in_channels, self.weight)
        # Each scale sees itself and the next larger ones; beyond the largest there are zeros.
        padded = F.pad(x, [0, 0, 0, 0, 0, self.scale_size - 1])
        return F.conv3d(padded, self.weight, stride=(1, self.stride, self.stride))

    def extra_repr(self) -> str:
        return f"{self.in_channels}->{self.out_channels} | scale_size={self.scale_size}"


class SESMaxProjection(nn.Module):
    """Maximum over the scales: (S x Z2) -> Z2, [B, C, S, H, W] -> [B, C, H, W].

    Raises:
        InvalidArgument: another shape of the input.
    """

    def forward(self, x: Tensor) -> Tensor:
        check_scale_axis(x)
        return x.max(2).values

    def scale_indices(self, x: Tensor) -> Tensor:
        """Which scale wins, for each channel and pixel; the smaller one of equals.

        [B, C, S, H, W] -> [B, C, H, W], int64.
        """
        check_scale_axis(x)
        return x.max(2).indices
