"""The layers that the methods are built from; one family a file."""

from siconvnet.layers.conv import Conv2d
from siconvnet.layers.conv3d import Conv3dMax
from siconvnet.layers.kanazawa import KanazawaConv2d
from siconvnet.layers.learned_scales import LearnableScales
from siconvnet.layers.pooling import GlobalMaxPool
from siconvnet.layers.sacnn import SacnnConv2d
from siconvnet.layers.scale_conv import ScalePool, SiConv2d, SiConvPool2d
from siconvnet.layers.steerable import SESConv_H_H, SESConv_H_H_1x1, SESConv_Z2_H, SESMaxProjection
from siconvnet.layers.xu import XuConv2d

__all__ = [
    "Conv2d",
    "Conv3dMax",
    "GlobalMaxPool",
    "KanazawaConv2d",
    "LearnableScales",
    "SESConv_H_H",
    "SESConv_H_H_1x1",
    "SESConv_Z2_H",
    "SESMaxProjection",
    "SacnnConv2d",
    "ScalePool",
    "SiConv2d",
    "SiConvPool2d",
    "XuConv2d",
]
