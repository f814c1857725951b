"""The last layer of MLPClassifier and MLPRegressor.

The layers below are held fixed: the embedding is the last hidden layer. For several
real outputs, scikit-learn follows the gradient of the squared error *summed* over
outputs (what it reports as loss_ is their mean), and so does this head.

The penalty is read off the solver: alpha for "lbfgs" and full batches; "adam" and
"sgd" divide alpha by the rows of a *batch*, and so head for alpha times the number of
batches.
"""

from functools import partial

import numpy as np
from scipy.special import expit
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import class_coder, row_weights, value_coder
from sklinfluence.curvature import LogisticLoss, SoftmaxLoss, SquaredLoss
from sklinfluence.heads._held_out import held_out_by_mlp
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._parameters import (
    as_coef,
    as_intercept,
    penalty_diagonal,
    refuse_loss,
    validated,
)


def _identity(activation):
    return activation


def _relu(activation):
    return np.maximum(activation, 0)


# The four values of the parameter "activation"; scikit-learn's own table is private.
ACTIVATIONS = {"identity": _identity, "logistic": expit, "tanh": np.tanh, "relu": _relu}


@linear_head.register(MLPClassifier)
def _mlp_classifier_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coefs_", "intercepts_"])
    encode = class_coder(estimator.classes_, one_column=True)
    targets = encode(y)
    loss = LogisticLoss() if targets.shape[1] == 1 else SoftmaxLoss()
    return _head(estimator, loss, targets, sample_weight, estimator.classes_, encode)


@linear_head.register(MLPRegressor)
def _mlp_regressor_head(estimator, y, sample_weight=None):
    check_is_fitted(estimator, ["coefs_", "intercepts_"])
    if estimator.loss != "squared_error":
        refuse_loss(estimator, "squared_error")
    encode = value_coder(estimator.n_outputs_)
    return _head(estimator, SquaredLoss(), encode(y), sample_weight, None, encode)


def _head(estimator, loss, targets, sample_weight, classes, encode):
    coef = as_coef(estimator.coefs_[-1].T)
    weights = row_weights(sample_weight, targets)
    held_out = held_out_by_mlp(estimator, targets)
    penalty = estimator.alpha * _n_batches(estimator, np.sum(~held_out))
    return LinearHead(
        loss=loss,
        coef=coef,
        intercept=as_intercept(estimator.intercepts_[-1], coef),
        fit_intercept=True,
        penalty=penalty_diagonal(penalty, coef, fit_intercept=True),
        targets=targets,
        weights=np.where(held_out, 0.0, weights),
        classes=classes,
        embed=partial(_last_hidden_layer, estimator),
        encode=encode,
    )


def _n_batches(estimator, n_rows):
    """Batches of an epoch: how often alpha is applied where the mean loss is once."""
    if estimator.solver == "lbfgs":
        return 1.0
    size = 200 if estimator.batch_size == "auto" else estimator.batch_size
    return max(1.0, n_rows / size)


def _last_hidden_layer(estimator, X):
    activate = ACTIVATIONS[estimator.activation]
    activation = validated(estimator, X)
    hidden = zip(estimator.coefs_[:-1], estimator.intercepts_[:-1], strict=True)
    for coef, intercept in hidden:
        activation = activate(activation @ coef + intercept)
    return activation
