"""The store of results: the only package that imports MLflow.

A run is found again by the hash of its spec (tag `spec_hash`); finished means that MLflow says FINISHED.
Experiments are named `stir/emoji/Mid2Rest`, so that the compare view of one experiment sets the models of
one question side by side; runs that leave the paper's protocol go to `stir/emoji/Mid2Rest/custom`. Other studies name
theirs as `benchmark.studies` says (`mnist-scale/augmented`).
Parameters and metrics have the original's names. Importing this package does not import MLflow yet.
"""

from __future__ import annotations

from benchmark.store.addresses import resolve_uri, shown
from benchmark.store.entries import experiment_name
from benchmark.store.errors import TrackingError
from benchmark.store.live import LiveRun
from benchmark.store.server import serve
from benchmark.store.store import Store

__all__ = ["LiveRun", "Store", "TrackingError", "experiment_name", "resolve_uri", "serve", "shown"]
