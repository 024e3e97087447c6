"""What holds for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A shell starts background jobs with SIGINT ignored, and children inherit that; the tests of Ctrl-C need it back.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every continuous-integration run; at home new ones are tried each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
