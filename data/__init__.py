"""Dataset builders, one a dataset, and the check of a file against the known checksums.

`prepare` is what a program calls before it reads a dataset; `build` and `verify` stand behind
``benchmark data build`` and ``benchmark data verify``. Importing this package imports no builder.
"""

from __future__ import annotations

from .building import BUILDERS, build, build_custom, prepare
from .custom import Built, Options
from .verification import Report, verify

__all__ = ["BUILDERS", "Built", "Options", "Report", "build", "build_custom", "prepare", "verify"]
