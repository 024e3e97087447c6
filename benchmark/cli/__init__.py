"""The commands of `benchmark`, one a file."""
