"""Training: the loop, how a run is executed, and what it leaves on disk."""
