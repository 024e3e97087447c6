"""Mean and standard deviation of pixels in 0..1, as published; importing this loads nothing.

Networks are trained on (pixel - mean) / deviation.
"""

from __future__ import annotations

MNIST_SCALE = (0.0607, 0.2161)

STL10 = ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713))
"""Of red, green and blue."""
