"""Train one model: the original repository's entry point and flags. The same as `benchmark run`."""

from __future__ import annotations

import sys

from benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
