"""One small layer of each kind, with the shape of an input."""

from __future__ import annotations

from siconvnet import layers


def learned() -> layers.LearnableScales:
    return layers.LearnableScales(2, sigma=0.8, isr=1.5)


IMAGES, MAPS = (2, 2, 12, 12), (2, 2, 5, 9, 9)
CASES = {
    "Conv2d": (lambda: layers.Conv2d(2, 3, 5), IMAGES),
    "Conv3dMax": (lambda: layers.Conv3dMax(2, 3, 3), MAPS),
    "GaussianDerivativeConv2d": (lambda: layers.GaussianDerivativeConv2d(2, 3, (0.7, 1.0, 1.4), 3), IMAGES),
    "GaussianDerivativeConv2d, maps": (lambda: layers.GaussianDerivativeConv2d(2, 3, (0.7, 1, 1.4, 2, 2.8)), MAPS),
    "KanazawaConv2d": (lambda: layers.KanazawaConv2d(2, 3, 3, [0.8, 1.0, 1.26]), IMAGES),
    "KanazawaConv2d padded": (lambda: layers.KanazawaConv2d(2, 3, 3, [0.3, 1.0], stride=2, padding=1), IMAGES),
    "DssConv2d": (lambda: layers.DssConv2d(2, 3, 3, 4, window=2), MAPS),
    "SESConv_H_H": (lambda: layers.SESConv_H_H(2, 3, 1, 5, 3, (1.0, 1.4, 1.6, 1.8, 2.0)), MAPS),
    "SESConv_Z2_H": (lambda: layers.SESConv_Z2_H(2, 3, 7, 3, (1.0, 1.5)), IMAGES),
    "SESConv_Z2_H learned": (lambda: layers.SESConv_Z2_H(2, 3, 11, 3, learned(), padding=5), IMAGES),
    "SacnnConv2d": (lambda: layers.SacnnConv2d(2, 3, 3, (1.0, 2.0), select="attention"), IMAGES),
    "SiConv2d": (lambda: layers.SiConv2d(2, 3, 4, 3, interp_mode="bicubic"), IMAGES),
    "SiConvPool2d": (lambda: layers.SiConvPool2d(2, 3, 4, 3, interp_mode="bicubic"), IMAGES),
    "ScalarToField": (lambda: layers.ScalarToField(2, 3, 3), IMAGES),
    "ScaleSteerableConv2d": (lambda: layers.ScaleSteerableConv2d(2, 3, (3, 5)), IMAGES),
    "XuConv2d": (lambda: layers.XuConv2d(2, 3, 3, [3, 5], initial=True), IMAGES),
    "XuScaleConv2d": (lambda: layers.XuScaleConv2d(2, 3, 3, [0.67, 1.5], initial=True, stride=2), IMAGES),
}
