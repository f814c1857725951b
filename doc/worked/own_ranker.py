"""A ranker: a kernel smoother, whose leave-one-out has a closed form.

The prediction is a weighted mean of targets, N / D. Without row i both sums lose one
term. ``fit`` calls ``_begin``, ``_influence_block`` answers for a block of queries;
everything else of the contract, from proponents to sparse transforms, is derived.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.validation import validate_data

from sklinfluence.base import BaseRanker


class SmootherRanker(BaseRanker):
    def __init__(self, gamma=None):
        self.gamma = gamma

    def fit(self, X, y):
        self.X_, self.y_ = validate_data(self, X, y, dtype=float, y_numeric=True)
        self._begin(len(self.y_))
        return self

    def _influence_block(self, X, y):
        X = validate_data(self, X, dtype=float, reset=False)
        kernel = rbf_kernel(X, self.X_, gamma=self.gamma)
        raw = (kernel @ self.y_ / kernel.sum(axis=1))[:, None]
        less = kernel * self.y_, kernel
        N, D = (part.sum(axis=1, keepdims=True) - part for part in less)
        without = N / D
        # Without targets: f(x) - f(x) without the row.
        if y is None:
            return raw - without
        y = np.asarray(y, dtype=float)[:, None]
        return 0.5 * (without - y) ** 2 - 0.5 * (raw - y) ** 2

    def _self_influence(self):
        return np.diag(self._influence_block(self.X_, self.y_))

    def predict(self, X):
        X = validate_data(self, X, dtype=float, reset=False)
        kernel = rbf_kernel(X, self.X_, gamma=self.gamma)
        return kernel @ self.y_ / kernel.sum(axis=1)


X, y = load_diabetes(return_X_y=True)
ranker = SmootherRanker(gamma=100.0).fit(X[:300], y[:300])
influence, rows = ranker.proponents(X[300:305], y[300:305], n=3)

# The truth: the smoother of all rows but the strongest proponent of the first query.
kept = np.arange(300) != rows[0, 0]
without = SmootherRanker(gamma=100.0).fit(X[:300][kept], y[:300][kept])
losses = [0.5 * (m.predict(X[300:301]) - y[300]) ** 2 for m in (without, ranker)]
np.testing.assert_allclose(influence[0, 0], (losses[0] - losses[1])[0], rtol=1e-9)
