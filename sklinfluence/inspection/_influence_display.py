"""Training rows in the plane, by their influence."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import sliceable
from sklinfluence._sklearn_compat import (
    _safe_indexing,
)
from sklinfluence._typing import Rows
from sklinfluence.inspection._display import Display, styled

# Of the row with most influence, in square points.
_LARGEST, _LEAST = 220.0, 6.0


@dataclass(kw_only=True, eq=False, repr=False)
class InfluenceDisplay(Display):
    """Training rows in two columns, the area of each by its influence.

    Proponents are filled circles, opponents open squares, queries crosses: the signs
    are told apart without colour. Make one with :meth:`from_estimator` or
    :meth:`from_predictions`; all parameters are stored as attributes.

    Read more in the :ref:`User Guide <displays>`.

    Parameters
    ----------
    points : ndarray of shape (n_train, 2)
        Where each training row is drawn.
    influence : ndarray of shape (n_train,)
        Its influence; positive for a proponent.
    queries : ndarray of shape (n_queries, 2), default=None
        Where queries are drawn.
    feature_names : sequence of two str, default=None
        What the axes are called.

    Attributes
    ----------
    proponents_ : matplotlib Artist
        Rows of positive influence.
    opponents_ : matplotlib Artist
        Rows of negative influence.
    queries_ : matplotlib Artist or None
        The queries, None where there are none.
    ax_ : matplotlib Axes
        Axes with the rows.
    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    ProponentsDisplay : The strongest rows themselves.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklinfluence.inspection import InfluenceDisplay
    >>> display = InfluenceDisplay.from_predictions(
    ...     [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.2, -0.1, 0.0]
    ... )
    >>> display.proponents_.get_offsets().tolist()
    [[0.0, 0.0]]
    >>> plt.show()
    """

    points: NDArray
    influence: NDArray
    queries: NDArray | None = None
    feature_names: Any = None

    @classmethod
    def from_estimator(
        cls,
        ranker: Any,
        X: Rows,
        X_query: Rows | None = None,
        y_query: ArrayLike | None = None,
        *,
        columns: tuple = (0, 1),
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the influence that a fitted ranker gives its training rows.

        Parameters
        ----------
        ranker : ranker
            Fitted on X.
        X : array-like of shape (n_train, n_features)
            The training rows.
        X_query : array-like of shape (n_queries, n_features), default=None
            Queries: the mean influence on them is shown. None: self-influence.
        y_query : array-like of shape (n_queries,), default=None
            Their targets, as in the ranker's ``mean_influence``.
        columns : tuple of two int or str, default=(0, 1)
            The columns to draw; names where X is a frame.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : InfluenceDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> from sklinfluence.inspection import InfluenceDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> ranker = InfluenceRanker().fit(X[::2], y[::2])
        >>> InfluenceDisplay.from_estimator(ranker, X[::2], X[1:2], y[1:2])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        check_is_fitted(ranker)
        if X_query is None:
            influence = ranker.self_influence_
        else:
            influence = ranker.mean_influence(X_query, y_query)
        queries = None if X_query is None else _taken(X_query, columns, "X_query")
        names = None if _are_numbers(columns) else list(columns)
        if names is None and hasattr(X, "columns"):
            names = [str(X.columns[column]) for column in columns]
        return cls.from_predictions(
            _taken(X, columns, "X"),
            influence,
            queries=queries,
            feature_names=names,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        points: ArrayLike,
        influence: ArrayLike,
        *,
        queries: ArrayLike | None = None,
        feature_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot influences at given points.

        Parameters
        ----------
        points : array-like of shape (n_train, 2)
            Where each training row is drawn.
        influence : array-like of shape (n_train,)
            Its influence; positive for a proponent.
        queries : array-like of shape (n_queries, 2), default=None
            Where queries are drawn.
        feature_names : sequence of two str, default=None
            What the axes are called.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : InfluenceDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import InfluenceDisplay
        >>> InfluenceDisplay.from_predictions([[0, 1], [1, 0]], [0.5, -0.5])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        points = _in_the_plane(points, "points")
        influence = column_or_1d(influence, dtype=float)
        check_consistent_length(points, influence)
        if queries is not None:
            queries = _in_the_plane(queries, "queries")
        display = cls(
            points=points,
            influence=influence,
            queries=queries,
            feature_names=feature_names,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        proponent_kw: dict | None = None,
        opponent_kw: dict | None = None,
        query_kw: dict | None = None,
    ) -> Self:
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        proponent_kw : dict, default=None
            Keyword arguments of matplotlib's `scatter` for rows of positive influence.
        opponent_kw : dict, default=None
            The same for rows of negative influence.
        query_kw : dict, default=None
            The same for queries.

        Returns
        -------
        display : InfluenceDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklinfluence.inspection import InfluenceDisplay
        >>> display = InfluenceDisplay(
        ...     points=np.eye(2), influence=np.array([1.0, -1.0])
        ... )
        >>> display.plot(opponent_kw={"edgecolor": "k"})
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        filled = {"marker": "o", "facecolor": "C0", "edgecolor": "white"}
        open_ = {"marker": "s", "facecolor": "none", "edgecolor": "C3"}
        cross = {"marker": "X", "s": 110, "facecolor": "k", "edgecolor": "white"}
        self.proponents_ = self._scatter(
            ax, 1, {**filled, "alpha": 0.75, "label": "proponents"}, proponent_kw
        )
        self.opponents_ = self._scatter(
            ax, -1, {**open_, "linewidth": 1.3, "label": "opponents"}, opponent_kw
        )
        self.queries_ = None
        if self.queries is not None:
            style = {**cross, "zorder": 4, "label": "asked about"}
            style = styled(style, query_kw)
            self.queries_ = ax.scatter(*np.asarray(self.queries).T, **style)
        if self.feature_names is not None:
            ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        return self._finish(ax, legend={"markerscale": 0.8})

    def _scatter(self, ax, sign, style, given):
        influence = np.nan_to_num(np.asarray(self.influence, dtype=float))
        chosen = sign * influence > 0
        largest = np.abs(influence).max(initial=0.0)
        share = np.abs(influence[chosen]) / largest if largest else np.zeros(0)
        sizes = {"s": _LEAST + (_LARGEST - _LEAST) * share}
        style = styled(sizes | style, given)
        return ax.scatter(*np.asarray(self.points)[chosen].T, **style)


def _taken(X, columns, name):
    """Two columns of rows, (n_rows, 2)."""
    columns = list(columns)
    if len(columns) != 2:
        raise ValueError(f"columns={columns!r} must name two columns of X.")
    if not _are_numbers(columns):
        if not hasattr(X, "columns"):
            raise ValueError(f"columns={columns!r} are names, and {name} is no frame.")
        return _in_the_plane(X[columns], name)
    X = sliceable(X)
    X = X.toarray() if sparse.issparse(X) else X
    X = X if hasattr(X, "iloc") else np.asarray(X)
    n_columns = X.shape[1] if X.ndim == 2 else 0
    if not all(-n_columns <= column < n_columns for column in columns):
        raise ValueError(
            f"columns={columns!r} are to be drawn, and {name} has {n_columns} columns."
        )
    return _in_the_plane(_safe_indexing(X, columns, axis=1), name)


def _are_numbers(columns):
    return all(isinstance(column, Integral) for column in columns)


def _in_the_plane(points, name):
    points = check_array(points, dtype=float, input_name=name)
    if points.shape[1] != 2:
        raise ValueError(f"{name} has {points.shape[1]} columns; two are drawn.")
    return points
