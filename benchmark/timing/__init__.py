"""Timing: training steps and epochs, plain and fast, in turns."""
