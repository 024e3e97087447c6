"""Files, signals and the software environment."""
