"""What a ranker settles about its inputs before any mathematics."""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from sklinfluence.heads._l1 import on_active_columns


def default_estimator(y):
    """LogisticRegression for class targets, Ridge for real ones."""
    y = np.asarray(y)
    if type_of_target(y, input_name="y").startswith("continuous"):
        return Ridge()
    if y.ndim == 1 and y.dtype.kind in "iu":
        n_values = len(np.unique(y))
        if n_values > max(20, len(y) / 10):
            warnings.warn(
                f"y holds {n_values} different integers in {len(y)} rows and is taken "
                "as class labels. If it is a real target, pass estimator=Ridge().",
                stacklevel=3,
            )
    return LogisticRegression()


def check_embedding(embedding):
    """The embedding as a finite, two-dimensional float array or CSR matrix."""
    return check_array(
        embedding,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        input_name="the embedding",
        ensure_min_samples=0,
    )


def polished(head, theta):
    """The head with its parameters at the optimum; of an l1 head, those in use."""
    if head.l1 is not None:
        head, _ = on_active_columns(head)
    if not head.fit_intercept:
        return replace(head, coef=theta)
    return replace(head, coef=theta[:, :-1], intercept=theta[:, -1])
