"""Names that the library and its callers share; importing this loads nothing."""

from __future__ import annotations

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area")
"""How kernels are rescaled: as `torch.nn.functional.interpolate` does without aligned corners, or by exact areas."""

POOL_MODES = ("pixel", "slice", "energy")
"""How responses are pooled over scales."""

PARAMETERISATIONS = ("isr", "spacing", "direct", "fixed", "isr_leaky", "spacing_linear")
"""How internal scales are learned; see `siconvnet.layers.learned_scales`."""

SCALE_LEARNERS = ("ses_learned", "ses_learned_28", "ses_learned_56", "scale_probe")
"""The models here whose internal scales are learned, with `scale_parameterisation`, `learn_sigma`, `sigma`, `isr`."""
