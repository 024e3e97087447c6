"""Names and numbers that the library and its callers share; importing this loads nothing."""

from __future__ import annotations

IMAGE_SIZE = 64
"""Side in pixels of the images that a model is built for where nothing else is said; STIR's."""

KERNEL_SIZE = 7
"""Side in pixels of trained kernels where nothing else is said."""

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area")
"""How kernels are rescaled: as `torch.nn.functional.interpolate` does without aligned corners, or by exact areas."""

INTERPOLATION = "bicubic"
"""How they are where nothing else is said."""

POOL_MODES = ("pixel", "slice", "energy")
"""How responses are pooled over scales."""
