"""The STIR datasets: objects at every scale from 17 to 64 pixels, anywhere on a 64 x 64 canvas.

Source: "Just a Matter of Scale? Reevaluating Scale Equivariance in CNNs", arXiv 2211.10288, section 4. The file
format is described in the README beside this module. Importing this package imports NumPy and nothing heavier.
"""

from __future__ import annotations

from siconvnet.datasets.catalog import DatasetInfo, data_dir, dataset_info, dataset_path, list_datasets, own_dir
from siconvnet.datasets.schema import SCALES, SPLITS
from siconvnet.datasets.stir import StirDataset, StirSubset, load_dataset

__all__ = [
    "SCALES",
    "SPLITS",
    "DatasetInfo",
    "StirDataset",
    "StirSubset",
    "data_dir",
    "dataset_info",
    "dataset_path",
    "list_datasets",
    "load_dataset",
    "own_dir",
]
