"""Heads with an l1 part: Lasso, ElasticNet and what they share with logistic ones.

scikit-learn's coordinate descent minimises, over rows of weight s_i and total W,
1 / (2 W) sum_i s_i r_i^2 + alpha l1_ratio |w|_1 + alpha (1 - l1_ratio) / 2 |w|^2; the
sum form's penalties are therefore W times alpha's parts.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.linear_model import ElasticNet, ElasticNetCV, Lasso, LassoCV
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import row_weights, value_coder
from sklinfluence.curvature import SquaredLoss
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._parameters import (
    as_coef,
    as_intercept,
    penalty_diagonal,
    refuse_positive,
    validated,
)


def with_l1(head, strength, intercept_strength=0.0):
    """A head with an l1 part added to its penalty.

    Parameters
    ----------
    head : LinearHead
        With the l2 part of the penalty only.

    strength, intercept_strength : float
        Of the l1 part, in the sum form.

    Returns
    -------
    head : LinearHead
        The head itself when there is no l1 part.
    """
    if strength == 0:
        return head
    l1 = penalty_diagonal(strength, head.coef, head.fit_intercept, intercept_strength)
    return replace(head, l1=l1)


def on_active_columns(head):
    """The head on an embedding of the columns that some output uses.

    No other column has a part in any prediction. One is kept where none is in use:
    an embedding has at least one column.

    Parameters
    ----------
    head : LinearHead
        With an l1 part.

    Returns
    -------
    head : LinearHead
    columns : ndarray of shape (n_kept,)
        Which columns of the embedding are left.
    """
    columns = np.flatnonzero(np.any(head.coef != 0, axis=0))
    if columns.size == 0:
        columns = np.zeros(1, dtype=int)
    kept = columns
    if head.fit_intercept:
        kept = np.append(columns, head.coef.shape[1])
    head = replace(
        head,
        coef=head.coef[:, columns],
        penalty=head.penalty[:, kept],
        l1=head.l1[:, kept],
        embed=partial(_chosen_columns, columns, head.embed),
    )
    return head, columns


def _chosen_columns(columns, embed, X):
    return embed(X)[:, columns]


@linear_head.register(ElasticNet)
def _elastic_net_head(estimator, y, sample_weight=None):
    # A Lasso is an ElasticNet whose l1_ratio is 1.
    ratio = 1.0 if isinstance(estimator, Lasso) else estimator.l1_ratio
    return _head(estimator, y, sample_weight, lambda fitted: (fitted.alpha, ratio))


@linear_head.register(ElasticNetCV)
def _elastic_net_cv_head(estimator, y, sample_weight=None):
    def chosen(fitted):
        return fitted.alpha_, fitted.l1_ratio_

    return _head(estimator, y, sample_weight, chosen)


@linear_head.register(LassoCV)
def _lasso_cv_head(estimator, y, sample_weight=None):
    return _head(estimator, y, sample_weight, lambda fitted: (fitted.alpha_, 1.0))


def _head(estimator, y, sample_weight, penalty):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    refuse_positive(estimator)
    coef = as_coef(estimator.coef_)
    encode = value_coder(len(coef))
    targets = encode(y)
    weights = row_weights(sample_weight, targets)
    alpha, ratio = penalty(estimator)
    head = LinearHead(
        loss=SquaredLoss(),
        coef=coef,
        intercept=as_intercept(estimator.intercept_, coef),
        fit_intercept=estimator.fit_intercept,
        penalty=penalty_diagonal(
            alpha * (1.0 - ratio) * weights.sum(), coef, estimator.fit_intercept
        ),
        targets=targets,
        weights=weights,
        classes=None,
        embed=partial(validated, estimator),
        encode=encode,
    )
    return with_l1(head, alpha * ratio * weights.sum())
