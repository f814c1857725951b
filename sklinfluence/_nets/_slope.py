"""The derivative of a function that is written in torch."""

import numpy as np
import torch


def slope(function, array):
    """Derivative of a torch function of one tensor at an array, in double precision.

    Parameters
    ----------
    function : callable
        Takes a tensor; gives one of a single value.
    array : ndarray

    Returns
    -------
    slope : ndarray of the same shape

    Raises
    ------
    TypeError
        If what the function gives does not depend on the tensor by torch.
    """
    at = torch.tensor(np.asarray(array, dtype=float), requires_grad=True)
    value = function(at)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise TypeError(
            "derivative='torch' needs a metric of torch tensors that gives one; it "
            f"gave {type(value).__name__}. Use derivative='finite'."
        )
    (found,) = torch.autograd.grad(value.sum(), at, allow_unused=True)
    return np.zeros_like(array, dtype=float) if found is None else found.numpy()
