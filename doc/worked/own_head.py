"""A head: scikit-learn's BayesianRidge, read as a ridge regression.

Its coefficients minimise half the squared error plus half ``lambda_ / alpha_`` times
their squares; its intercept is free. Both precisions are held fixed: influence answers
what happens when a row's term leaves that sum.
"""

from functools import partial

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.utils.validation import validate_data

from sklinfluence.curvature import SquaredLoss
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads import LinearHead, linear_head


# Functions of a module, since fitted rankers pickle.
def embed(estimator, X):
    return validate_data(estimator, X, dtype=np.float64, reset=False)


def encode(y):
    return np.asarray(y, dtype=np.float64)[:, None]


@linear_head.register(BayesianRidge)
def bayesian_ridge_head(estimator, y, sample_weight=None):
    strength = np.full(len(estimator.coef_), estimator.lambda_ / estimator.alpha_)
    return LinearHead(
        loss=SquaredLoss(),
        # The head owns its arrays.
        coef=np.array(estimator.coef_[None, :], dtype=np.float64),
        intercept=np.atleast_1d(np.float64(estimator.intercept_)),
        fit_intercept=estimator.fit_intercept,
        penalty=np.r_[strength, [0.0] * estimator.fit_intercept][None, :],
        targets=encode(y),
        weights=np.ones(len(y)) if sample_weight is None else np.array(sample_weight),
        classes=None,
        embed=partial(embed, estimator),
        encode=encode,
    )


X, y = load_diabetes(return_X_y=True)
ranker = InfluenceRanker(BayesianRidge(), method="newton").fit(X[:100], y[:100])
influence = ranker.influence(X[100:110], y[100:110])

# The truth: the ridge regression that it is, fitted without row 7.
model = ranker.estimator_
kept = np.arange(100) != 7
without = Ridge(model.lambda_ / model.alpha_).fit(X[:100][kept], y[:100][kept])
losses = [0.5 * (m.predict(X[100:110]) - y[100:110]) ** 2 for m in (without, model)]
np.testing.assert_allclose(influence[:, 7], losses[0] - losses[1], rtol=1e-6, atol=1e-6)
