"""What utilities in closed form share."""

from abc import abstractmethod
from numbers import Real

import numpy as np
from sklearn.metrics import r2_score

from sklinfluence._sklearn_compat import _PassthroughScorer
from sklinfluence.retraining._utility import Utility, is_own_scorer, one_thread

TOO_FEW_NUMBERS = (np.float16, np.float32)


class ClosedUtility(Utility):
    """A `Utility` whose scores follow from the rows without a fit.

    A subclass names itself in ``closed_form`` and gives `of_rows` and `_walk`. Each
    number that they return is computed from its own set of rows alone, bit for bit,
    whatever other sets are computed beside it.
    """

    @abstractmethod
    def of_rows(self, rows):
        """The score of some rows, one at least, sorted: (value, error)."""

    @abstractmethod
    def _walk(self, rows):
        """Scores of the first 1, 2, ... rows of each order, (n_orders, n_rows).

        Returns
        -------
        values : ndarray of shape (n_orders, n_rows)
        error : str or None
            What those that are NaN failed with.
        """

    def __call__(self, chosen):
        rows = self.rows(chosen)
        if not rows.size:
            return super().__call__(chosen)
        with one_thread():
            value, error = self.of_rows(rows)
        return float(value), error

    def along_orders(self, orders):
        """Scores of the first 1, 2, ... players of each order.

        Parameters
        ----------
        orders : ndarray of int of shape (n_orders, n_players)

        Returns
        -------
        values : ndarray of shape (n_orders, n_players)
        error : str or None
        """
        rows = [
            np.concatenate([self.players[player] for player in order])
            for order in orders
        ]
        last = [
            np.cumsum([len(self.players[player]) for player in order]) - 1
            for order in orders
        ]
        with one_thread():
            values, error = self._walk(np.array(rows))
        return np.take_along_axis(values, np.array(last), axis=1), error


def as_floats(X):
    """X as an array of float64; None where a model would not compute in that."""
    if not hasattr(X, "__array__") or np.ndim(X) != 2:
        return None
    X = np.asarray(X)
    if X.dtype.kind not in "fiub" or X.dtype in TOO_FEW_NUMBERS:
        return None
    return np.ascontiguousarray(X, dtype=np.float64)


def as_targets(y):
    """Real targets as float64, or None."""
    y = np.asarray(y)
    return y.astype(np.float64) if y.ndim == 1 and y.dtype.kind in "fiub" else None


def row_weights(utility):
    """Weights of the training rows: ones where none were given."""
    if utility.sample_weight is None:
        return np.ones(len(utility.y))
    return np.asarray(utility.sample_weight, dtype=np.float64)


def reads_predictions_only(scorer):
    """Whether a scorer asks nothing of scikit-learn's model but what it predicts."""
    return isinstance(scorer, _PassthroughScorer) or hasattr(scorer, "_score_func")


def by_outputs(utility):
    """The fields of a utility that scores what a model says, not the model.

    Accuracy and R2 are by arithmetic: the first score is compared with a fit's.
    """
    return {**utility.own_fields(), "is_checked": True}


def is_r2(scorer, model):
    """Whether a scorer is scikit-learn's R2, plainly."""
    if isinstance(scorer, _PassthroughScorer):
        return is_own_scorer(model)
    return getattr(scorer, "_score_func", None) is r2_score and not scorer._kwargs


def is_positive(number):
    return isinstance(number, Real) and not isinstance(number, bool) and number > 0
