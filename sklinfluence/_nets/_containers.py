"""Containers of rows that nets take, as ones whose rows can be taken."""

import numpy as np
import torch
from skorch.helper import SliceDataset, SliceDict


def sliceable(X):
    """A dict or a Dataset in skorch's own containers, whose rows can be taken."""
    if isinstance(X, SliceDict | SliceDataset):
        return X
    if isinstance(X, dict):
        values = {
            key: value if hasattr(value, "shape") else np.asarray(value)
            for key, value in X.items()
        }
        return SliceDict(**values)
    if isinstance(X, torch.utils.data.Dataset):
        return SliceDataset(X)
    return X
