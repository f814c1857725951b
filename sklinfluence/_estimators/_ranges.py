"""The range of numbers that heads compute with: products of four stay floats.

A Hessian is made of weights times squared columns, an influence of two gradients and
its inverse. Within these bounds none of them overflows, and none that matters vanishes;
beyond them the numbers would be inf or NaN, so what came is named instead.
"""

import numpy as np
from scipy import sparse

# Of columns, targets and raw predictions, which are squared.
LARGEST_VALUE = 1e50
# Of weights, penalties and what enters the Hessian.
LARGEST, SMALLEST = 1e100, 1e-100


def extreme(values):
    """Largest magnitude of an array or a sparse matrix, without a copy of it."""
    stored = values.data if sparse.issparse(values) else values
    # In double precision: the bounds below are beyond what float32 holds.
    return max(float(np.max(stored, initial=0.0)), -float(np.min(stored, initial=0.0)))


def check_values(values, name, remedy):
    """A ValueError that names values whose squares leave the range of floats.

    Parameters
    ----------
    values : {ndarray, sparse matrix}
        NaN is none of its business.
    name : str
        What they are called in the error.
    remedy : str
        What to do.
    """
    largest = extreme(values)
    if largest > LARGEST_VALUE:
        raise ValueError(
            f"{name} holds a value of magnitude {largest:.1e}, and what is computed "
            f"from squares of values beyond {LARGEST_VALUE:.0e} leaves the range of "
            f"floats. {remedy}"
        )


def check_numbers(values, name, remedy):
    """`check_values` of what is an array of finite floats; of anything else, nothing.

    Non-finite values, texts and the like have errors of their own.
    """
    if sparse.issparse(values):
        values = values.tocsr()  # LIL and DOK have no array of their values
    elif hasattr(values, "dtype"):
        values = np.asarray(values)
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind == "f" and np.isfinite(extreme(values)):
        check_values(values, name, remedy)


def in_type(values, dtype):
    """Values in a floating type; as they are where it cannot hold them.

    What single precision rows lead to may be beyond single precision.
    """
    if values.dtype == dtype:
        return values
    largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return values if largest > np.finfo(dtype).max else values.astype(dtype)


def check_weight_range(weights, name="sample_weight"):
    """A ValueError where no row has a weight, or the largest one is out of range."""
    largest = float(np.max(weights, initial=0.0))
    if largest == 0:
        raise ValueError(f"{name} is 0 for every row: there is nothing to fit.")
    if not SMALLEST <= largest <= LARGEST:
        raise ValueError(
            f"The largest of {name} is {largest:.1e}, outside of {SMALLEST:.0e} to "
            f"{LARGEST:.0e}: products with it leave the range of floats. Divide "
            f"{name} by its mean (and multiply the penalty likewise)."
        )
