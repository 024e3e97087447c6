"""What every method must do to be trained and measured here, as small checks of a model; see `siconvnet.testing`."""
