"""The layers that the methods are built from; one family a file."""

from siconvnet.layers.conv import Conv2d
from siconvnet.layers.conv3d import Conv3dMax
from siconvnet.layers.dss import DssConv2d, DssLift
from siconvnet.layers.gaussian_derivatives import (
    GaussianDerivativeConv2d,
    ScaleChannelBatchNorm,
    ScaleChannelPool,
    ScaleChannelSpatialPool,
)
from siconvnet.layers.kanazawa import KanazawaConv2d
from siconvnet.layers.learned_scales import LearnableScales
from siconvnet.layers.log_polar import LogPolar, WrapAngles
from siconvnet.layers.pooling import GlobalMaxPool
from siconvnet.layers.sacnn import SacnnConv2d
from siconvnet.layers.scale_conv import ScalePool, SiConv2d, SiConvPool2d
from siconvnet.layers.scale_steerable import ScaleSteerableConv2d
from siconvnet.layers.sevf import FieldBatchNorm, FieldLength, FieldMaxPool, FieldToField, ScalarToField
from siconvnet.layers.steerable import SESConv_H_H, SESConv_H_H_1x1, SESConv_Z2_H, SESMaxProjection
from siconvnet.layers.xu import ColumnMax, XuConv2d, XuScaleConv2d

__all__ = [
    "ColumnMax",
    "Conv2d",
    "Conv3dMax",
    "DssConv2d",
    "DssLift",
    "FieldBatchNorm",
    "FieldLength",
    "FieldMaxPool",
    "FieldToField",
    "GaussianDerivativeConv2d",
    "GlobalMaxPool",
    "KanazawaConv2d",
    "LearnableScales",
    "LogPolar",
    "SESConv_H_H",
    "SESConv_H_H_1x1",
    "SESConv_Z2_H",
    "SESMaxProjection",
    "SacnnConv2d",
    "ScalarToField",
    "ScaleChannelBatchNorm",
    "ScaleChannelPool",
    "ScaleChannelSpatialPool",
    "ScalePool",
    "ScaleSteerableConv2d",
    "SiConv2d",
    "SiConvPool2d",
    "WrapAngles",
    "XuConv2d",
    "XuScaleConv2d",
]
