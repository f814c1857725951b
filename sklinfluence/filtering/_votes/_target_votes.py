"""Votes on real targets by models that never saw the row, and their pool.

The votes have the names that those on classes have: ridge regression ("linear") and
Nystroem ridge regression ("kernel") by leave-one-out, and a forest by its out-of-bag
trees. They are pooled by non-negative least squares [1]_ of their predictions out of
sample.

References
----------
.. [1] Breiman, L. (1996). Stacked regressions. Machine Learning 24, 49-64.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from sklearn.tree import DecisionTreeRegressor

from sklinfluence.filtering._votes._forest_vote import ForestModel
from sklinfluence.filtering._votes._own_forest import MIN_SAMPLES_LEAF, Forest
from sklinfluence.filtering._votes._rbf_ridge import RBFRidge
from sklinfluence.filtering._votes._ridge_smoother import RidgeSmoother

# On standardised columns; the least is a fit all but free, the most a constant.
PENALTIES = np.geomspace(1e-2, 1e5, 15)


@dataclass(frozen=True)
class LinearTargets:
    """Coefficients (d, 1) on scaled columns, and the intercept (1,)."""

    coef: np.ndarray
    intercept: np.ndarray

    def predict(self, Z):
        return Z @ self.coef + self.intercept


@dataclass(frozen=True)
class TargetModel:
    """A fitted vote on real targets.

    Attributes
    ----------
    loo : ndarray of shape (n,)
        Prediction of every training row without it.
    predict : callable
        Rows, in the view of the vote, to predictions (n_new, 1).
    view : str
    """

    loo: np.ndarray
    predict: object
    view: str


@dataclass(frozen=True)
class TargetPool:
    """Votes and their weights.

    Attributes
    ----------
    votes : list of TargetModel
    weights : ndarray of shape (n_votes,)
    mean : float
        What the votes are weighed around.
    loo : ndarray of shape (n,)
    """

    votes: list
    weights: np.ndarray
    mean: float
    loo: np.ndarray

    def predict(self, views):
        """Predictions of rows that no vote saw, (n_new,)."""
        said = [vote.predict(getattr(views, vote.view)) for vote in self.votes]
        return self.mean + (np.hstack(said) - self.mean) @ self.weights


def fit_targets(pool, views, y, weight, random_state, n_jobs=None, groups=()):
    """Fit the votes to real targets, and pool them.

    Parameters
    ----------
    pool : sequence of {"linear", "kernel", "forest"}
    views : Views
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        Rows of weight zero are judged as new ones.
    random_state : RandomState
    n_jobs : int, default=None
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.

    Returns
    -------
    pooled : TargetPool
    """
    votes = []
    if "linear" in pool:
        votes.append(_linear(views.scaled, y[:, None], weight, groups))
    if "kernel" in pool:
        parts = views.scaled, y[:, None], weight, random_state
        votes.append(_kernel(*parts, groups))
    if "forest" in pool:
        votes.append(_forest(views.raw, y, weight, random_state, n_jobs, groups))
    mean = weight @ y / weight.sum()
    # Without the row, like all that is said of it.
    others = (weight @ y - weight * y) / np.maximum(weight.sum() - weight, 1e-300)
    others = np.where(weight < weight.sum(), others, mean)
    said = np.column_stack([vote.loo for vote in votes]) - others[:, None]
    root = np.sqrt(weight)
    weights, _ = nnls(said * root[:, None], (y - others) * root)
    return TargetPool(votes, weights, mean, others + said @ weights)


def _linear(Z, targets, weight, groups):
    smoother = RidgeSmoother(Z.copy(), weight, groups)
    errors = smoother.loo_errors(targets, PENALTIES)
    smoother.set_penalty(PENALTIES[errors.argmin()])
    model = LinearTargets(*smoother.coefficients(targets))
    loo = smoother.loo_predictions(targets)[:, 0]
    return TargetModel(loo, model.predict, "scaled")


def _kernel(Z, targets, weight, random_state, groups):
    ridge = RBFRidge(random_state=random_state).tune(Z, targets, weight, groups)
    loo, model = ridge.smooth(targets)
    return TargetModel(loo[:, 0], model.decision, "scaled")


def _forest(X, y, weight, random_state, n_jobs, groups):
    tree = DecisionTreeRegressor(
        min_samples_leaf=MIN_SAMPLES_LEAF, max_features=1.0 / 3.0
    )
    forest = Forest(tree, n_jobs).fit(X, y, weight, random_state)
    # Shrunken leaves would bend the fit towards the mean.
    leaf_means = forest.leaf_means(X, pseudo=0.0, groups=groups)
    model = ForestModel(forest.apply, leaf_means, y[:, None])
    return TargetModel(leaf_means.out_of_bag(y[:, None])[:, 0], model.predict, "raw")
