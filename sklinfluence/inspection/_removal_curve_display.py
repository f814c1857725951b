"""What a model scores when more and more of its training rows are gone."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._estimators import sliceable, target_array
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import (
    _safe_indexing,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.inspection._display import Display, chance, labelled, line, styled

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(kw_only=True, eq=False, repr=False)
class RemovalCurveDisplay(Display):
    """Score on held-out rows against the share of training rows removed.

    Where the rows of least value go first a good valuation holds the score, or lifts
    it; where those of most value go first it falls soonest. Make one with
    :meth:`from_estimator` or :meth:`from_predictions`; all parameters are stored as
    attributes.

    Read more in the :ref:`User Guide <displays>`.

    Parameters
    ----------
    removed : ndarray of shape (n_points,)
        Share of the training rows removed, from 0 to 1.
    scores : ndarray of shape (n_points,)
        Score of the model refitted on the rest; NaN where nothing can be.
    chance_scores : ndarray of shape (n_points,), default=None
        The same where rows go in an order by chance.
    name : str, default=None
        Name for the legend.
    score_name : str, default=None
        What the score is called.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    chance_level_ : matplotlib Artist or None
        The curve of an order by chance.
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    DetectionCurveDisplay : Wrong labels found against rows inspected.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklinfluence.inspection import RemovalCurveDisplay
    >>> display = RemovalCurveDisplay.from_predictions([0.0, 0.1], [0.8, 0.9])
    >>> display.scores
    array([0.8, 0.9])
    >>> plt.show()
    """

    removed: NDArray
    scores: NDArray
    chance_scores: NDArray | None = None
    name: str | None = None
    score_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        ranker: Any,
        X: Rows,
        y: ArrayLike,
        X_test: Rows,
        y_test: ArrayLike,
        *,
        order: Literal["lowest", "highest"] = "lowest",
        removed: ArrayLike = _SHARES,
        scoring: Any = None,
        n_random: int = 5,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Refit a ranker's model without more and more rows, and plot its scores.

        Parameters
        ----------
        ranker : ranker or valuer
            Fitted on X and y, with its model in ``estimator_``. Rows are ordered by
            its ``values_``; without them, by minus its self-influence.
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            The rows that it was fitted on.
        y : array-like of shape (n_train,)
            Their labels or targets.
        X_test : {array-like, sparse matrix} of shape (n_test, n_features)
            Held-out rows.
        y_test : array-like of shape (n_test,)
            Their labels or targets.
        order : {"lowest", "highest"}, default="lowest"
            Which go first.
        removed : array-like of shape (n_points,), default=(0.0, 0.05, 0.1, 0.2, \
                0.3, 0.4, 0.5)
            Shares of the rows to remove: as many refits.
        scoring : str or callable, default=None
            As scikit-learn's; None is the model's own ``score``.
        n_random : int, default=5
            Orders by chance to average over, a curve of refits each. 0: none.
        random_state : int, RandomState instance or None, default=None
            Draws these orders.
        n_jobs : int, default=None
            Processes that share the refits.
        name : str, default=None
            Name for the legend. None takes the class of `ranker`.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : RemovalCurveDisplay
            The curve, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> from sklinfluence.inspection import RemovalCurveDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> ranker = InfluenceRanker().fit(X[::2], y[::2])
        >>> RemovalCurveDisplay.from_estimator(
        ...     ranker, X[::2], y[::2], X[1::2], y[1::2], n_random=0
        ... )
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        check_is_fitted(ranker, "estimator_")
        X, y, removed = sliceable(X), target_array(y), _shares(removed)
        if order not in ("lowest", "highest"):
            raise ValueError(f"order={order!r} is neither 'lowest' nor 'highest'.")
        values = _values(ranker)
        if _num_samples(X) != len(values):
            raise ValueError(
                f"X has {_num_samples(X)} rows, the ranker was fitted on "
                f"{len(values)}: pass the rows that it was fitted on."
            )
        first = np.argsort(values if order == "lowest" else -values, kind="stable")
        rng = check_random_state(random_state)
        orders = [first, *(rng.permutation(len(values)) for _ in range(n_random))]
        kept = [
            rows[round(share * len(rows)) :] for rows in orders for share in removed
        ]
        scorer = check_scoring(ranker.estimator_, scoring)
        score = partial(_refitted, ranker.estimator_, X, y, X_test, y_test, scorer)
        scores = np.reshape(map_fits(score, kept, n_jobs=n_jobs), (len(orders), -1))
        display = cls(
            removed=removed,
            scores=scores[0],
            chance_scores=scores[1:].mean(axis=0) if n_random else None,
            name=type(ranker).__name__ if name is None else name,
            score_name=scoring if isinstance(scoring, str) else None,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        removed: ArrayLike,
        scores: ArrayLike,
        *,
        chance_scores: ArrayLike | None = None,
        name: str | None = None,
        score_name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot given scores.

        Parameters
        ----------
        removed : array-like of shape (n_points,)
            Share of the training rows removed, from 0 to 1.
        scores : array-like of shape (n_points,)
            Score without them.
        chance_scores : array-like of shape (n_points,), default=None
            Score where rows go in an order by chance.
        name : str, default=None
            Name for the legend.
        score_name : str, default=None
            What the score is called.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : RemovalCurveDisplay
            The curve, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import RemovalCurveDisplay
        >>> RemovalCurveDisplay.from_predictions([0.0, 0.5], [0.8, 0.7], name="mine")
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        check_consistent_length(removed, scores, chance_scores)
        if chance_scores is not None:
            chance_scores = column_or_1d(chance_scores, dtype=float)
        display = cls(
            removed=_shares(removed),
            scores=column_or_1d(scores, dtype=float),
            chance_scores=chance_scores,
            name=name,
            score_name=score_name,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        curve_kwargs: dict | None = None,
        plot_chance_level: bool = True,
        chance_level_kw: dict | None = None,
    ) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Name for the legend. None takes `name` as it was stored.
        curve_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot` for the curve.
        plot_chance_level : bool, default=True
            Whether to draw what an order by chance gives, where that is known. Turn
            it off for the second and later curves on the same axes.
        chance_level_kw : dict, default=None
            Keyword arguments of matplotlib's `plot` for that curve.

        Returns
        -------
        display : RemovalCurveDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import RemovalCurveDisplay
        >>> display = RemovalCurveDisplay(removed=[0.0, 0.5], scores=[0.8, 0.7])
        >>> display.plot(name="mine", curve_kwargs={"marker": "s"})
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        label = labelled(self.name if name is None else name)
        style = styled({"marker": "o", **label}, curve_kwargs)
        self.line_ = line(ax, self.removed, self.scores, style)
        self.chance_level_ = None
        if plot_chance_level and self.chance_scores is not None:
            style = styled(chance("By chance"), chance_level_kw)
            self.chance_level_ = line(ax, self.removed, self.chance_scores, style)
        ax.set(
            xlabel="Share of training rows removed",
            ylabel=self.score_name or "Score on held-out rows",
        )
        return self._finish(ax, legend={})


def _values(ranker):
    if hasattr(ranker, "values_"):
        return np.asarray(ranker.values_)
    if hasattr(ranker, "self_influence_"):
        return -np.asarray(ranker.self_influence_)
    raise TypeError(
        f"{type(ranker).__name__} has neither values_ nor self_influence_ to order "
        "rows by. Pass a fitted ranker, or scores of your own to from_predictions."
    )


def _shares(removed):
    removed = column_or_1d(removed, dtype=float)
    if not np.all((removed >= 0) & (removed < 1)):
        raise ValueError(
            f"removed={removed.tolist()} must be shares from 0 to below 1."
        )
    return removed


def _refitted(estimator, X, y, X_test, y_test, scorer, rows):
    """Score of the model refitted on some rows; NaN where one class is left."""
    targets = _safe_indexing(y, rows)
    if is_classifier(estimator) and len(np.unique(targets)) < 2:
        return np.nan
    model = clone(estimator).fit(_safe_indexing(X, rows), targets)
    return scorer(model, X_test, y_test)
