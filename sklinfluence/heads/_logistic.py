"""LogisticRegression and LogisticRegressionCV."""

from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import class_coder, label_index, row_weights
from sklinfluence.curvature import LogisticLoss, SoftmaxLoss
from sklinfluence.heads._l1 import with_l1
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._parameters import (
    as_coef,
    as_intercept,
    penalty_diagonal,
    validated,
)


@linear_head.register(LogisticRegression)
def _logistic_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    # C=inf and the deprecated penalty=None leave nothing to mix: no l1 either.
    if _penalty_name(estimator) is None or np.isinf(estimator.C):
        strength = 0.0
    else:
        strength = 1.0 / estimator.C
    ratio = _l1_share(estimator, estimator.l1_ratio)
    return _head(
        estimator, y, sample_weight, strength, ratio, estimator.intercept_scaling
    )


@linear_head.register(LogisticRegressionCV)
def _logistic_cv_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    # One value, or one a class that are all the same (the legacy attributes).
    ratio = _l1_share(estimator, np.ravel(estimator.l1_ratio_)[0])
    strength = 1.0 / np.ravel(estimator.C_)[0]
    # The final fit on all rows leaves intercept_scaling at its default; only the fits
    # on folds, whose mean refit=False takes, pass it on.
    scaling = 1.0 if estimator.refit else estimator.intercept_scaling
    return _head(estimator, y, sample_weight, strength, ratio, scaling)


def _penalty_name(estimator):
    # TODO(1.10): scikit-learn removes the parameter; l1_ratio and C say it all.
    return getattr(estimator, "penalty", "deprecated")


def _l1_share(estimator, l1_ratio):
    """The share of the penalty that is an l1 one."""
    # Of the deprecated values, "l2" and "l1" overrule l1_ratio.
    shares = {"l2": 0.0, "l1": 1.0}
    return shares.get(_penalty_name(estimator), l1_ratio or 0.0)


def _head(estimator, y, sample_weight, strength, ratio, scaling):
    classes = estimator.classes_
    coef = as_coef(estimator.coef_)
    # liblinear's intercept is the weight of one more feature, of constant value
    # "scaling", and that weight is penalised as all are.
    liblinear = estimator.solver == "liblinear"
    l1, l2 = ratio * strength, (1.0 - ratio) * strength
    intercept_l1 = l1 / scaling if liblinear else 0.0
    intercept_l2 = l2 / scaling**2 if liblinear else 0.0
    encode = class_coder(classes, one_column=True)
    targets = encode(y)
    head = LinearHead(
        loss=LogisticLoss() if len(coef) == 1 else SoftmaxLoss(),
        coef=coef,
        intercept=as_intercept(estimator.intercept_, coef),
        fit_intercept=estimator.fit_intercept,
        penalty=penalty_diagonal(l2, coef, estimator.fit_intercept, intercept_l2),
        targets=targets,
        weights=_weights(estimator, label_index(y, classes), sample_weight, targets),
        classes=classes,
        embed=partial(validated, estimator),
        encode=encode,
    )
    return with_l1(head, l1, intercept_l1)


def _weights(estimator, labels, sample_weight, targets):
    weights = row_weights(sample_weight, targets)
    # "balanced" balances sample weights here, unlike in RidgeClassifier and
    # SGDClassifier; LogisticRegressionCV does so once, on all rows.
    class_weights = compute_class_weight(
        estimator.class_weight,
        classes=estimator.classes_,
        y=estimator.classes_[labels],
        sample_weight=weights,
    )
    return weights * class_weights[labels]
