"""The steps before a Pipeline's last estimator: were they made without the targets?

Leave-one-out and out-of-bag answers of the last step alone are honest only if the rows
that it sees would be the same without the label in question. On pure noise, the
leave-one-out answers of a head after SelectKBest are right .80 of the time.
"""

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from sklinfluence._sklearn_compat import _set_random_states
from sklinfluence._warn import warn_user
from sklinfluence.filtering._evidence._given_ranker import has_head


def split_steps(estimator):
    """The steps that transform rows, and the estimator that ends it all.

    Parameters
    ----------
    estimator : estimator
        A Pipeline, Pipelines in it, or any other estimator, which has no steps.

    Returns
    -------
    steps : list of transformers
    last : estimator
    """
    steps = []
    while isinstance(estimator, Pipeline):
        steps += [step for _, step in estimator.steps[:-1] if not _does_nothing(step)]
        estimator = estimator.steps[-1][1]
    return steps, estimator


def transformed(steps, X):
    """Rows after fitted steps."""
    for step in steps:
        X = step.transform(X)
    return X


def see_targets(steps, X, y):
    """Whether any of the steps is made with the targets; see `supervised_step`."""
    return supervised_step(steps, X, y) is not None


def supervised_step(steps, X, y):
    """The first step that makes something else of rows when it is told targets.

    One that says so by its tags does; any other is fitted with y and without, from the
    same seeds. (A signature cannot tell: scikit-learn's transformers all have a y.)

    Parameters
    ----------
    steps : list of transformers
    X : rows
    y : ndarray of shape (n_rows,)

    Returns
    -------
    step : transformer or None
    """
    for step in steps:
        # A sampler changes the rows themselves.
        if hasattr(step, "fit_resample") or get_tags(step).target_tags.required:
            return step
        told = _seeded(step).fit_transform(X, y)
        try:
            untold = _seeded(step).fit_transform(X)
        except (TypeError, ValueError, AttributeError):  # it cannot do without y
            return step
        if not _same(told, untold):
            return step
        X = told
    return None


def warn_about_steps(ranker, rows):
    """Say that leave-one-out answers of a head are none of the steps before it.

    Parameters
    ----------
    ranker : ranker
        Unfitted, as it was given.
    rows : TrainingRows
    """
    estimator = getattr(ranker, "estimator", None)
    if not has_head(ranker) or not isinstance(estimator, Pipeline):
        return
    step = supervised_step(split_steps(estimator)[0], rows.X, rows.y)
    if step is None:
        return
    name = type(ranker).__name__
    warn_user(
        f"{type(step).__name__}, a step before the linear head of ranker={name}(...), "
        "is made with the labels, and leave-one-out takes a row from the head alone: "
        "what is said of a row comes from a step that has seen its label, and wrong "
        "labels may hide. Set cv, such as cv=5, or pass the Pipeline itself, "
        "ranker=Pipeline(...): both fit all of it without the row.",
    )


def _does_nothing(step):
    return step is None or (isinstance(step, str) and step == "passthrough")


def _seeded(step):
    step = clone(step)
    _set_random_states(step, 0)
    return step


def _same(A, B):
    if A.shape != B.shape:
        return False
    if sparse.issparse(A):
        return (A != B).nnz == 0
    A, B = np.asarray(A), np.asarray(B)
    holes = (A != A) & (B != B)
    return bool(np.all((A == B) | holes))
