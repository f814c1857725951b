"""TODO merge with _containers"""

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset
from skorch.helper import SliceDataset, SliceDict
from skorch.utils import data_from_dataset, is_dataset, to_numpy


def rows_and_targets(X, y):
    """Inputs of any kind that skorch takes as something with numbered rows."""
    if is_dataset(X):
        data, targets = _parts(X)
        # (Several targets are for a loss of the user's own, which skorch hands them
        # whatever y is given beside the Dataset.)
        if targets is not None and (y is None or isinstance(targets, dict)):
            y = targets
        return rows_and_targets(data, y)
    # (scipy's dictionary of keys is a dict too.)
    if isinstance(X, dict) and not isinstance(X, SliceDict) and not sparse.issparse(X):
        return SliceDict(**{key: to_numpy(value) for key, value in X.items()}), y
    X = to_numpy(X) if torch.is_tensor(X) else X
    if isinstance(y, dict):
        return X, SliceDict(**{key: to_numpy(value) for key, value in y.items()})
    if torch.is_tensor(y):
        y = to_numpy(y)
    return X, None if y is None else np.asarray(y)


def _parts(dataset):
    """Rows and targets of a Dataset, whole where they are at hand."""
    if _is_plain(dataset):
        return data_from_dataset(dataset)
    # A Dataset of the user's own has rows, one by one.
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"X is a {type(dataset).__name__} whose rows are not numbered. Pass a "
            "Dataset with __len__ and __getitem__."
        )
    rows = [dataset[i] for i in range(len(dataset))]
    if not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        raise TypeError(
            f"The rows of {type(dataset).__name__} are not pairs (X, y), as skorch "
            "takes them from a Dataset."
        )
    targets = torch.utils.data.default_collate([y for _, y in rows])
    return SliceDataset(dataset), targets


def _is_plain(dataset):
    """Whether a Dataset hands out its X and y as they are: skorch's own does."""
    while isinstance(dataset, torch.utils.data.Subset):
        dataset = dataset.dataset
    return type(dataset) is Dataset
