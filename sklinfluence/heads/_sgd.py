"""SGDClassifier with the log loss and SGDRegressor with the squared error.

Stochastic gradient descent minimises the *mean* over rows of s_i l_i, plus
alpha / 2 times the squared norm of the weights. The sum form's penalty is therefore
alpha times the number of rows, rows of weight 0 included (each takes its step).
"""

from functools import partial

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import class_coder, label_index, row_weights, value_coder
from sklinfluence.curvature import LogisticLoss, SquaredLoss
from sklinfluence.heads._held_out import held_out_by_sgd
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._parameters import (
    as_coef,
    as_intercept,
    penalty_diagonal,
    refuse_l1,
    refuse_loss,
    validated,
)


@linear_head.register(SGDClassifier)
def _sgd_classifier_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    if estimator.loss != "log_loss":
        refuse_loss(estimator, "log_loss")
    classes = estimator.classes_
    encode = class_coder(classes, one_column=True)
    targets = encode(y)
    labels = label_index(y, classes)
    weights = row_weights(sample_weight, targets)
    # "balanced" counts rows here, whatever their sample weights.
    class_weights = compute_class_weight(
        estimator.class_weight, classes=classes, y=classes[labels]
    )
    loss = LogisticLoss()
    if len(classes) == 2:
        weights = weights * class_weights[labels]
    elif estimator.class_weight is not None:
        # One against the rest weighs the rows of the one class alone.
        loss = LogisticLoss(positive_weight=np.asarray(class_weights, dtype=float))
    return _head(
        estimator,
        loss=loss,
        targets=targets,
        weights=weights,
        classes=classes,
        encode=encode,
        held_out=held_out_by_sgd(estimator, labels, len(labels)),
    )


@linear_head.register(SGDRegressor)
def _sgd_regressor_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coef_", "intercept_"])
    if estimator.loss != "squared_error":
        refuse_loss(estimator, "squared_error")
    encode = value_coder(1)
    targets = encode(y)
    return _head(
        estimator,
        loss=SquaredLoss(),
        targets=targets,
        weights=row_weights(sample_weight, targets),
        classes=None,
        encode=encode,
        held_out=held_out_by_sgd(estimator, None, len(targets)),
    )


def _head(estimator, *, loss, targets, weights, classes, encode, held_out):
    coef = as_coef(estimator.coef_)
    n_steps_an_epoch = len(held_out) - np.count_nonzero(held_out)
    return LinearHead(
        loss=loss,
        coef=coef,
        intercept=as_intercept(estimator.intercept_, coef),
        fit_intercept=estimator.fit_intercept,
        penalty=penalty_diagonal(
            _l2_alpha(estimator) * n_steps_an_epoch, coef, estimator.fit_intercept
        ),
        targets=targets,
        weights=np.where(held_out, 0.0, weights),
        classes=classes,
        embed=partial(validated, estimator),
        encode=encode,
    )


def _l2_alpha(estimator):
    penalty = estimator.penalty
    if penalty is None or estimator.alpha == 0:
        return 0.0
    if penalty == "l1":
        refuse_l1(estimator, "penalty='l1'", "penalty='l2'")
    if penalty == "elasticnet" and estimator.l1_ratio > 0:
        got = f"penalty='elasticnet' and l1_ratio={estimator.l1_ratio:g}"
        refuse_l1(estimator, got, "penalty='l2'")
    return estimator.alpha
