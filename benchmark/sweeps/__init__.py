"""Sweeps: grids of runs, the driver that works through them, and the executors that run them."""
