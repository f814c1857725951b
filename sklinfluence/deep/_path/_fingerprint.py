"""What training data are known by again, without keeping them."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import torch
from scipy import sparse
from skorch.utils import data_from_dataset, is_dataset
from torch.utils.data import Subset

# Numbers that are hashed together.
_AT_ONCE = 2**20


def fingerprint(dataset):
    """Digests of the rows and of the targets of a net's dataset.

    Numbers are compared as float32, which most nets read, whatever type they came in.

    Parameters
    ----------
    dataset : Dataset
        As ``net.get_dataset`` makes it, or a split of that.

    Returns
    -------
    digests : dict
        "X" and "y"; None for what is not at hand as arrays (the rows of a Dataset of
        the user's own may differ at every reading).
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    try:
        X, y = data_from_dataset(dataset)
    except AttributeError:
        return {"X": None, "y": None}
    return {"X": _digest(X), "y": _digest(y)}


def differing(one, other):
    """Which of X and y are known, in both, to differ."""
    return [
        name
        for name in ("X", "y")
        if None not in (one[name], other[name]) and one[name] != other[name]
    ]


def _digest(data):
    digest = sha256()
    parts = list(_arrays(data))
    if not parts or any(part.dtype.kind not in "fiub" for part in parts):
        return None
    for part in parts:
        part = part.reshape(-1)
        for start in range(0, part.size, _AT_ONCE):
            # (Minus zero is zero.)
            some = part[start : start + _AT_ONCE].astype(np.float32) + np.float32(0)
            digest.update(some.tobytes())
    return digest.hexdigest()


def _arrays(data):
    """The arrays that rows are made of."""
    if data is None or is_dataset(data):
        return
    if sparse.issparse(data):
        data = data.tocsr()
        yield from (data.indptr, data.indices, data.data)
    elif isinstance(data, Mapping):
        for key in sorted(data):
            yield from _arrays(data[key])
    elif isinstance(data, list | tuple) and data and hasattr(data[0], "shape"):
        for part in data:
            yield from _arrays(part)
    elif isinstance(data, torch.Tensor):
        data = data.detach().cpu()
        yield (data.float() if data.dtype == torch.bfloat16 else data).numpy()
    else:
        yield np.asarray(data)
