"""From raw predictions to predictions, and derivatives back.

``said`` are class probabilities, (n_queries, n_classes), or predicted values,
(n_queries, n_targets).
"""

import numpy as np
from scipy.special import expit, softmax


def _identity(raw):
    return raw


def _sigmoid(raw):
    return np.hstack([expit(-raw), expit(raw)])


def _softmax(raw):
    return softmax(raw, axis=1)


def _one_vs_rest(raw):
    return expit(raw) / expit(raw).sum(axis=1, keepdims=True)


def _identity_back(raw, said, of_said):
    return of_said


def _exp_back(raw, said, of_said):
    return said * of_said


def _sigmoid_back(raw, said, of_said):
    change = said[:, 0] * said[:, 1] * (of_said[:, 1] - of_said[:, 0])
    return change[:, None]


def _softmax_back(raw, said, of_said):
    return said * (of_said - np.sum(said * of_said, axis=1, keepdims=True))


def _one_vs_rest_back(raw, said, of_said):
    each = expit(raw)
    about = of_said - np.sum(said * of_said, axis=1, keepdims=True)
    return each * expit(-raw) / each.sum(axis=1, keepdims=True) * about


# Name: predictions of raw ones; derivatives by raw ones of those by predictions.
LINKS = {
    "identity": (_identity, _identity_back),
    "exp": (np.exp, _exp_back),
    "sigmoid": (_sigmoid, _sigmoid_back),
    "softmax": (_softmax, _softmax_back),
    "one_vs_rest": (_one_vs_rest, _one_vs_rest_back),
}
