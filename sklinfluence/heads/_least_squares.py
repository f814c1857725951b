"""Ridge, RidgeCV, RidgeClassifier, RidgeClassifierCV and LinearRegression."""

from functools import partial

from sklearn.linear_model import (
    LinearRegression,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import class_coder, label_index, row_weights, value_coder
from sklinfluence.curvature import SquaredLoss
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._parameters import (
    as_coef,
    as_intercept,
    penalty_diagonal,
    refuse_positive,
    validated,
)


@linear_head.register(LinearRegression)
def _linear_regression_head(estimator, y, sample_weight=None):
    return _regression_head(estimator, y, sample_weight, strength=lambda fitted: 0.0)


@linear_head.register(Ridge)
def _ridge_head(estimator, y, sample_weight=None):
    return _regression_head(estimator, y, sample_weight, strength=_given_alpha)


@linear_head.register(RidgeCV)
def _ridge_cv_head(estimator, y, sample_weight=None):
    return _regression_head(estimator, y, sample_weight, strength=_chosen_alpha)


@linear_head.register(RidgeClassifier)
def _ridge_classifier_head(estimator, y, sample_weight=None):
    return _classifier_head(estimator, y, sample_weight, strength=_given_alpha)


@linear_head.register(RidgeClassifierCV)
def _ridge_classifier_cv_head(estimator, y, sample_weight=None):
    return _classifier_head(estimator, y, sample_weight, strength=_chosen_alpha)


def _given_alpha(estimator):
    return estimator.alpha


def _chosen_alpha(estimator):
    return estimator.alpha_


def _regression_head(estimator, y, sample_weight, strength):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    refuse_positive(estimator)
    encode = value_coder(len(as_coef(estimator.coef_)))
    targets = encode(y)
    return _head(
        estimator,
        strength=strength(estimator),
        targets=targets,
        weights=row_weights(sample_weight, targets),
        classes=None,
        encode=encode,
    )


def _classifier_head(estimator, y, sample_weight, strength):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    refuse_positive(estimator)
    encode = class_coder(estimator.classes_, one_column=True, negative=-1.0)
    targets = encode(y)
    return _head(
        estimator,
        strength=strength(estimator),
        targets=targets,
        weights=_class_weighted(estimator, y, row_weights(sample_weight, targets)),
        classes=estimator.classes_,
        encode=encode,
    )


def _class_weighted(estimator, y, weights):
    if not estimator.class_weight:  # None or an empty dict, as in scikit-learn
        return weights
    # "balanced" counts rows here, whatever their sample weights.
    labels = estimator.classes_[label_index(y, estimator.classes_)]
    return weights * compute_sample_weight(estimator.class_weight, labels)


def _head(estimator, *, strength, targets, weights, classes, encode):
    coef = as_coef(estimator.coef_)
    return LinearHead(
        loss=SquaredLoss(),
        coef=coef,
        intercept=as_intercept(estimator.intercept_, coef),
        fit_intercept=estimator.fit_intercept,
        penalty=penalty_diagonal(strength, coef, estimator.fit_intercept),
        targets=targets,
        weights=weights,
        classes=classes,
        embed=partial(validated, estimator),
        encode=encode,
    )
