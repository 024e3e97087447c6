"""What the papers measure, as functions of a model (or its outputs) and a dataset.

generalization: accuracy by object size, scale consistency; equivariance: error of feature maps; indices: which scale
wins a pooling; delta: the equivariance error of SESN for any layer or net. A model that lacks what a metric looks at
raises `NotMeasurable` with the reason.
"""

from __future__ import annotations

from siconvnet.errors import SiconvnetError


class NotMeasurable(SiconvnetError):
    """The model has no such thing to measure; the message says what it lacks."""
