"""Names that the library and its callers share; importing this loads nothing."""

from __future__ import annotations

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area")
"""How kernels are rescaled: as `torch.nn.functional.interpolate` does without aligned corners, or by exact areas."""

POOL_MODES = ("pixel", "slice", "energy")
"""How responses are pooled over scales."""
