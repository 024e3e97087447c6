"""The harness: trains, measures and compares the models of `siconvnet` under the published protocols."""
