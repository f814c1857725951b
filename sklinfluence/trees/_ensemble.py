"""A fitted boosted ensemble as arrays, and the proof that the arrays are the model.

Of T stages with K trees each, F_t = F_{t-1} + theta of the row's leaf, and each leaf is
one Newton step of the loss at F_{t-1} over its rows,
theta = -e sum w g / (sum w h + l2). Whoever changes the weights of rows may replay the
recursion; a model whose leaves it does not give back is refused.
"""

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sklinfluence.trees._leaves import after, last_input, reader_of, values_at


@dataclass(frozen=True)
class BoostedTrees:
    """A fitted boosted ensemble with the rows that it was trained on.

    Parameters
    ----------
    reader : object
        ``leaf_values`` and ``leaf_indices(X)`` of the library's model.
    step : float
        e, by which a Newton step is shrunk: the learning rate, times (K - 1) / K for
        GradientBoostingClassifier with more than two classes.
    loss : {"squared", "binary", "softmax", "poisson", "gamma"}
        Its name in ``LOSSES``.
    baseline : ndarray of shape (n_outputs,)
        Raw prediction before the first tree.
    targets : ndarray of shape (n_train,)
        Places of labels among the classes, or real targets.
    weights : ndarray of shape (n_train,)
        Sample weights times class weights; 0 for rows that trained no tree.
    in_fit : ndarray of shape (n_train,)
        False for rows that early stopping held out.
    hessian_scale : float, default=1.0
        What the second derivative is multiplied by: 2 in XGBoost's softmax, K / (K - 1)
        in LightGBM's.
    l2 : float, default=0.0
        Penalty on leaves.
    floor : float, default=0.0
        What is added to the sum of second derivatives beside ``l2``.
    further_l2 : list over stages of lists over outputs of ndarray, default=None
        What single leaves are penalised beside ``l2``, arrays of shape (n_leaves,).
        None: nothing.
    splits_only : bool, default=False
        Whether a tree without a split adds nothing, whatever its rows' derivatives.
    leaves : list over stages of ndarray of shape (n_train, n_outputs), default=None
        The training rows' leaves, each stage's in the smallest type that holds them.
    """

    reader: Any
    step: float
    loss: Any
    baseline: Any
    targets: Any
    weights: Any
    in_fit: Any
    hessian_scale: float = 1.0
    l2: float = 0.0
    floor: float = 0.0
    further_l2: Any = None
    splits_only: bool = False
    leaves: Any = None

    @property
    def leaf_values(self):
        """What each leaf adds: stages of outputs of arrays of shape (n_leaves,)."""
        return self.reader.leaf_values

    @property
    def n_outputs(self):
        return len(self.baseline)

    def starting_at(self, baseline):
        """The same trees from another raw prediction on."""
        return replace(self, baseline=np.asarray(baseline, dtype=float))

    def leaf_indices(self, X):
        """Each row's leaf, a stage at a time: int32 of shape (n_rows, n_outputs)."""
        return self.reader.leaf_indices(X)

    def adds_nothing(self, n_leaves):
        """Whether a tree of so many leaves says nothing of its rows."""
        return self.splits_only and n_leaves == 1

    @property
    def penalties(self):
        """``further_l2``, or zeros, for every leaf."""
        if self.further_l2 is not None:
            return self.further_l2
        return [[np.zeros(len(v)) for v in stage] for stage in self.leaf_values]

    def curvature(self, hessian, further_l2):
        """What leaves with these sums of second derivatives divide gradients by."""
        return self.hessian_scale * hessian + self.l2 + further_l2 + self.floor

    def newton(self, gradient, hessian, further_l2):
        """Values of leaves with these sums of weighted derivatives; 0 if empty."""
        curvature = self.curvature(hessian, further_l2)
        step = np.zeros_like(gradient)
        return np.divide(
            -self.step * gradient, curvature, out=step, where=curvature > 0
        )

    def raw_predict(self, X):
        """Raw predictions, (n_rows, n_outputs)."""
        raw = self.baseline
        for values, leaves in zip(self.leaf_values, self.leaf_indices(X), strict=True):
            raw = raw + values_at(values, leaves)
        return raw


@singledispatch
def read_ensemble(model, X, y, sample_weight=None):
    """A fitted ensemble as arrays, proved on its training rows.

    Parameters
    ----------
    model : estimator
        Fitted; HistGradientBoosting*, GradientBoosting*, LGBM* or XGB*.
    X : array-like of shape (n_train, n_features)
        The rows that it was trained on.
    y : array-like of shape (n_train,)
    sample_weight : array-like of shape (n_train,), default=None
        The weights that it was trained with.

    Returns
    -------
    trees : BoostedTrees

    Raises
    ------
    TypeError
        If models of this class are not known.
    ValueError
        If the arrays do not give the model's predictions, or its leaves.
    """
    return reader_of(read_ensemble, model)(model, X, y, sample_weight)


@read_ensemble.register(FrozenEstimator)
def _read_frozen(model, X, y, sample_weight=None):
    return read_ensemble(model.estimator, X, y, sample_weight)


@read_ensemble.register(Pipeline)
def _read_last(model, X, y, sample_weight=None):
    trees = read_ensemble(model.steps[-1][1], last_input(model, X), y, sample_weight)
    return replace(trees, reader=after(model, trees.reader))
