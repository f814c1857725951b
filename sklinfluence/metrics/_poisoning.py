"""Whether poisoned rows stand out by their influence on triggered queries."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklinfluence._sklearn_compat import validate_params


@validate_params(
    {"influence": ["array-like"], "is_poisoned": ["array-like"], "y": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def poisoning_ratio(influence: ArrayLike, is_poisoned: ArrayLike, y: ArrayLike) -> dict:
    """Mean influence of poisoned rows beside that of the clean rows of each class.

    Queries carry the trigger and the attacker's label. Where influence is meaningful,
    the poisoned training rows are what made the model answer so. For each query the
    mean influence of the poisoned rows and of each class's clean rows is taken; the
    means over all queries are divided by the sum of their absolute values, so that
    methods of any scale can be compared.

    Parameters
    ----------
    influence : array-like of shape (n_queries, n_train)
        Influence on triggered queries, with the attacker's label.
    is_poisoned : array-like of shape (n_train,)
        Which training rows are poisoned.
    y : array-like of shape (n_train,)
        Training labels.

    Returns
    -------
    share : dict
        "poisoned", and "clean" of each class: a dict from labels to shares. The
        absolute values of all sum to 1; all are 0 where every mean is.

    See Also
    --------
    sklinfluence.datasets.add_backdoor : Poison rows with a trigger.

    References
    ----------
    .. [1] K, K. and Søgaard, A. (2022). Revisiting methods for finding influential
       examples; figure 3.

    Examples
    --------
    >>> from sklinfluence.metrics import poisoning_ratio
    >>> share = poisoning_ratio(
    ...     [[6.0, 1.0, 1.0, -1.0, -3.0]], [True, False, False, False, False],
    ...     [1, 1, 1, 0, 0],
    ... )
    >>> round(share["poisoned"], 3), {k: round(v, 3) for k, v in share["clean"].items()}
    (0.667, {0: -0.222, 1: 0.111})
    """
    influence = check_array(influence, dtype=np.float64, input_name="influence")
    is_poisoned = column_or_1d(is_poisoned).astype(bool)
    y = column_or_1d(y)
    check_consistent_length(influence.T, is_poisoned, y)
    if not is_poisoned.any():
        raise ValueError("is_poisoned marks no row: there is nothing to stand out.")
    labels = [label for label in np.unique(y) if np.any(~is_poisoned & (y == label))]
    groups = [is_poisoned] + [~is_poisoned & (y == label) for label in labels]
    means = np.array([influence[:, group].mean() for group in groups])
    total = np.abs(means).sum()
    shares = (means / total if total > 0 else np.zeros_like(means)).tolist()
    keys = [label.item() if hasattr(label, "item") else label for label in labels]
    return {"poisoned": shares[0], "clean": dict(zip(keys, shares[1:], strict=True))}
