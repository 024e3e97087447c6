"""Dataset builders, one a dataset."""
