"""What the adapters share: embedding by validation alone, parameters, refusals."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data


def validated(estimator, X):
    """Rows as ``estimator`` itself validates them: the embedding of linear models.

    Complaints about columns, their names or missing values are thus scikit-learn's
    own and name the estimator.
    """
    return validate_data(
        estimator,
        X,
        reset=False,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
    )


def as_coef(coef):
    """A float64 copy of shape (n_outputs, n_embedding); ``sparsify`` is undone."""
    if sparse.issparse(coef):
        coef = coef.toarray()
    return np.array(coef, dtype=np.float64, ndmin=2)


def as_intercept(intercept, coef):
    """A float64 copy of shape (n_outputs,), from a scalar or an array."""
    return np.zeros(len(coef)) + np.ravel(intercept)


def penalty_diagonal(strength, coef, fit_intercept, intercept_strength=0.0):
    """The diagonal of the penalty's matrix, shaped as the parameters are.

    ``strength`` is a scalar or one value an output.
    """
    n_outputs, n_embedding = coef.shape
    penalty = np.empty((n_outputs, n_embedding + bool(fit_intercept)))
    penalty[:, :n_embedding] = np.reshape(strength, (-1, 1))
    if fit_intercept:
        penalty[:, n_embedding] = intercept_strength
    return penalty


def refuse_l1(estimator, got, remedy):
    raise ValueError(
        f"{type(estimator).__name__} with {got} has an l1 term in its penalty. "
        "linear_head does not support it for this estimator; an l2 penalty it does: "
        f"use {remedy}."
    )


def refuse_loss(estimator, supported):
    raise ValueError(
        f"The 'loss' parameter of {type(estimator).__name__} must be {supported!r} "
        f"for linear_head. Got {estimator.loss!r} instead; fit the estimator with "
        f"loss={supported!r}."
    )


def refuse_positive(estimator):
    # RidgeCV has no such parameter.
    if getattr(estimator, "positive", False):
        raise ValueError(
            f"{type(estimator).__name__} with positive=True is not supported by "
            "linear_head: coefficients held at zero have no influence function. Fit "
            "the estimator with positive=False."
        )
