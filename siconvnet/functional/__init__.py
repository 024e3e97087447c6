"""The computations behind the layers, as pure functions of tensors.

`plain` states what is computed, as the papers do; the other modules compute the same numbers faster and are tested
against it. Inside `plain_math()` every layer takes the plain way.
"""

from siconvnet.functional.constants import clear_caches
from siconvnet.functional.conv import conv2d
from siconvnet.functional.conv3d import conv3d_max
from siconvnet.functional.dispatch import outside_graphs, plain_math, plain_requested
from siconvnet.functional.interpolation import interpolation_matrix
from siconvnet.functional.rescaled_input import rescaled_input_conv2d
from siconvnet.functional.scale_candidates import ScaleCandidates
from siconvnet.functional.scale_conv import scale_conv2d, scale_conv_pool2d
from siconvnet.functional.steerable import conv_h_h, conv_z2_h, steer

__all__ = [
    "ScaleCandidates",
    "clear_caches",
    "conv2d",
    "conv3d_max",
    "conv_h_h",
    "conv_z2_h",
    "interpolation_matrix",
    "outside_graphs",
    "plain_math",
    "plain_requested",
    "rescaled_input_conv2d",
    "scale_conv2d",
    "scale_conv_pool2d",
    "steer",
]
