"""TracInAnomalyDetector: rows on which the training rows' influence is unusual."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._nets import rows_and_targets
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
)
from sklinfluence._typing import RandomState, Rows


class TracInAnomalyDetector(InMemoryMixin, OutlierMixin, BaseEstimator):
    """Outliers as rows in the tail of the distribution of influence (TracInAD).

    A row's statistic is the mean influence that training rows have on its loss, by
    TracInCP: how much of the row's loss the training run, so far as those rows drove
    it, took off or put on. Rows like the many get about the same; rows in the tail
    are called outliers. No labels are needed where the net needs none, such as a
    variational autoencoder whose loss is its ELBO.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    ranker : TracInRanker
        Its net says what is learnt; any of its settings may be used.
    contamination : "auto" or float in (0, 0.5], default="auto"
        Share of the training rows that `predict` calls outliers. "auto": those more
        than three (normal-consistent) median absolute deviations into the tail.
    tail : {"both", "high", "low"}, default="both"
        Which tail is unusual: rows on whose loss training had a much larger effect, a
        much smaller (or opposite) one, or either.
    max_rows : int, default=None
        Mean over so many training rows, drawn at random. None: all.
    random_state : int, RandomState instance or None, default=None
        Seeds the draw.

    Attributes
    ----------
    ranker_ : TracInRanker
        The fitted ranker.
    rows_ : ndarray of int
        Training rows that the mean is over.
    center_ : float
        Median of the training rows' statistic.
    offset_ : float
        ``decision_function = score_samples - offset_``.

    See Also
    --------
    TracInRanker : The influences themselves.

    References
    ----------
    .. [1] Thimonier, H., Popineau, F., Rimmel, A., Doan, B.-L. and Daniel, F. (2022).
       TracInAD: measuring influence for anomaly detection.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 5.2.1.3.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNet
    >>> from sklinfluence.deep import TracInAnomalyDetector, TracInRanker
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 4)).astype(np.float32)
    >>> X[:, 2:] = X[:, :2]
    >>> X[0] = [3, 3, -3, -3]  # does not repeat itself
    >>> class Reconstruction(NeuralNet):
    ...     def get_loss(self, y_pred, y_true, X=None, training=False):
    ...         return ((y_pred - X) ** 2).mean()
    >>> class Autoencoder(torch.nn.Sequential):
    ...     def __init__(self):
    ...         super().__init__(torch.nn.Linear(4, 2), torch.nn.Linear(2, 4))
    >>> net = Reconstruction(
    ...     Autoencoder, criterion=torch.nn.MSELoss, lr=0.1, max_epochs=20,
    ...     batch_size=20, train_split=None, verbose=0,
    ... )
    >>> ranker = TracInRanker(net, normalize="cosine", random_state=0)
    >>> detector = TracInAnomalyDetector(ranker)
    >>> int(np.argmin(detector.fit(X).score_samples(X)))
    0
    """

    _parameter_constraints: dict = {
        "ranker": [HasMethods(["fit", "influence"])],
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
        ],
        "tail": [StrOptions({"both", "high", "low"})],
        "max_rows": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        ranker: Any,
        *,
        contamination: Literal["auto"] | float = "auto",
        tail: Literal["both", "high", "low"] = "both",
        max_rows: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.ranker = ranker
        self.contamination = contamination
        self.tail = tail
        self.max_rows = max_rows
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the net and see how influence on the training rows is distributed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or what else the net takes
        y : array-like of shape (n_samples,), default=None
            What the net is trained on, if it takes targets. Influence is on the loss
            at the labels that a classifier predicts, as they are not known of new
            rows; a net that was trained without targets has its own loss.
        sample_weight : array-like of shape (n_samples,), default=None
            What the ranker makes of it: `TracInRanker` takes None.

        Returns
        -------
        self : TracInAnomalyDetector
        """
        self.ranker_ = clone(self.ranker).fit(X, y, sample_weight)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.ranker_, name):
                setattr(self, name, getattr(self.ranker_, name))
        n_rows = self.ranker_.n_train_
        rows = np.arange(n_rows)
        if self.max_rows is not None and self.max_rows < n_rows:
            rng = check_random_state(self.random_state)
            rows = np.sort(rng.choice(rows, self.max_rows, replace=False))
        self.rows_ = rows
        statistic = self._statistic(X)
        self.center_ = float(np.median(statistic))
        scores = self._scores(statistic)
        if self.contamination == "auto":
            # 1.4826 times the median absolute deviation is a normal's deviation.
            spread = 1.4826 * np.median(np.abs(statistic - self.center_))
            self.offset_ = -3.0 * spread
        else:
            self.offset_ = float(np.percentile(scores, 100.0 * self.contamination))
        return self

    def _statistic(self, X):
        X, _ = rows_and_targets(X, None)
        if len(self.rows_) == self.ranker_.n_train_:
            total = np.zeros(_num_samples(X))
            for block, influence in self.ranker_._blocks(X, None):
                total[block] = influence.mean(axis=1)
            return total
        return self.ranker_.influence(X)[:, self.rows_].mean(axis=1)

    def _scores(self, statistic):
        away = statistic - self.center_
        return {"both": -np.abs(away), "high": -away, "low": away}[self.tail]

    def score_samples(self, X: Rows) -> NDArray:
        """How usual the influence on each row is; lower is more anomalous.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or what else the net takes

        Returns
        -------
        scores : ndarray of shape (n_queries,)
        """
        check_is_fitted(self)
        return self._scores(self._statistic(X))

    def decision_function(self, X: Rows) -> NDArray:
        """`score_samples` less ``offset_``: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or what else the net takes

        Returns
        -------
        decision : ndarray of shape (n_queries,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Rows) -> NDArray:
        """1 for rows like the others, -1 for outliers.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or what else the net takes

        Returns
        -------
        is_inlier : ndarray of shape (n_queries,)
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        wrapped = get_tags(self.ranker)
        tags.input_tags = wrapped.input_tags
        tags.target_tags.required = wrapped.target_tags.required
        tags.non_deterministic = wrapped.non_deterministic
        return tags
