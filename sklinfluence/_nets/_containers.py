"""Containers of rows that nets take, as ones whose rows can be taken."""

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset
from skorch.helper import SliceDataset, SliceDict
from skorch.utils import data_from_dataset, to_numpy

from sklinfluence._estimators import target_array


def sliceable(X):
    """A dict or a Dataset in skorch's own containers, whose rows can be taken."""
    if isinstance(X, SliceDict | SliceDataset):
        return X
    # (scipy's dictionary of keys is a dict too.)
    if isinstance(X, dict) and not sparse.issparse(X):
        values = {
            key: value if hasattr(value, "shape") else np.asarray(value)
            for key, value in X.items()
        }
        return SliceDict(**values)
    if isinstance(X, torch.utils.data.Dataset):
        return SliceDataset(X)
    return X


def rows_and_targets(X, y):
    """Rows and targets as arrays, or dicts of them: a Dataset brings both.

    Parameters
    ----------
    X, y : rows and targets, in any form that skorch takes
        y None: what a Dataset has, or none.

    Returns
    -------
    X : rows that can be taken
    y : ndarray, SliceDict of ndarray or None
    """
    if isinstance(X, torch.utils.data.Dataset) and not isinstance(X, SliceDataset):
        X, targets = _parts(X)
        # (Several targets are for a loss of the user's own, which skorch hands them
        # whatever y is given beside the Dataset.)
        if targets is not None and (y is None or isinstance(targets, dict)):
            y = targets
    X, y = _as_arrays(sliceable(X)), _as_arrays(y)
    return X, y if y is None or isinstance(y, dict) else target_array(y)


def _as_arrays(data):
    """Tensors, in a dict or not, as arrays."""
    if isinstance(data, dict) and not sparse.issparse(data):
        return SliceDict(**{key: _as_arrays(value) for key, value in data.items()})
    return to_numpy(data) if torch.is_tensor(data) else data


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
