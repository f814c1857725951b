"""Leverage against studentised residuals, with Cook's distance."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils import check_consistent_length, column_or_1d

from sklinfluence._typing import Rows
from sklinfluence.inspection._diagnostics import diagnostics
from sklinfluence.inspection._display import Display, line, styled


@dataclass(kw_only=True, eq=False, repr=False)
class DiagnosticsDisplay(Display):
    """Leverage and studentised residual of every row, with contours of Cook's distance.

    A row is far out where its leverage is high, off the line where its residual is
    large, and moves the fit where both are: the area of its point, and the contours,
    are Cook's distance. Make one with :meth:`from_estimator` or
    :meth:`from_predictions`; all parameters are stored as attributes.

    Read more in the :ref:`User Guide <displays>`.

    Parameters
    ----------
    leverage : ndarray of shape (n_train,)
        From 0 to 1.
    residual : ndarray of shape (n_train,)
        Internally studentised.
    cooks_distance : ndarray of shape (n_train,)
        Cook's distance of each row.
    row_names : ndarray of shape (n_train,), default=None
        What rows are called. None: their numbers.

    Attributes
    ----------
    points_ : matplotlib Artist
        The rows.
    contours_ : list of matplotlib Artist
        Lines of equal Cook's distance.
    labels_ : list of matplotlib Text
        Names of the rows with the largest distances.
    ax_ : matplotlib Axes
        Axes with the rows.
    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    diagnostics : The table.

    Notes
    -----
    With p parameters Cook's distance is r^2 h / ((1 - h) p) of the internally
    studentised residual r and the leverage h, for penalised and logistic heads too;
    p is read off the points. Statsmodels' influence plot has the same axes.

    References
    ----------
    .. [1] Cook, R. D. (1977). Detection of influential observation in linear
       regression.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.inspection import DiagnosticsDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ranker = InfluenceRanker(Ridge(), method="newton").fit(X, y)
    >>> display = DiagnosticsDisplay.from_estimator(ranker)
    >>> len(display.leverage)
    442
    >>> plt.show()
    """

    leverage: NDArray
    residual: NDArray
    cooks_distance: NDArray
    row_names: NDArray | None = None

    @classmethod
    def from_estimator(
        cls,
        ranker: Any,
        X: Rows | None = None,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the diagnostics of a fitted ranker or linear model.

        Parameters
        ----------
        ranker : InfluenceRanker or estimator
            Fitted, as :func:`~sklinfluence.inspection.diagnostics` takes it; of one
            output.
        X : {array-like, sparse matrix} of shape (n_train, n_features), default=None
            The rows that an estimator was fitted on; a ranker has its own.
        y : array-like of shape (n_train,), default=None
            Their targets.
        sample_weight : array-like of shape (n_train,), default=None
            Their weights.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : DiagnosticsDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.linear_model import Ridge
        >>> from sklinfluence.inspection import DiagnosticsDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> DiagnosticsDisplay.from_estimator(Ridge().fit(X, y), X, y)
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        table = diagnostics(ranker, X, y, sample_weight=sample_weight, dfbetas=False)
        if "leverage" not in table:
            raise ValueError(
                "The head has several outputs, each with residuals of its own: draw "
                "one by from_predictions, with its columns of diagnostics(...)."
            )
        return cls.from_predictions(
            table["leverage"],
            table["internally_studentized"],
            table["cooks_distance"],
            row_names=table.index.to_numpy(),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        leverage: ArrayLike,
        residual: ArrayLike,
        cooks_distance: ArrayLike,
        *,
        row_names: ArrayLike | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot given diagnostics.

        Parameters
        ----------
        leverage : array-like of shape (n_train,)
            Leverage of each row, from 0 to 1.
        residual : array-like of shape (n_train,)
            Internally studentised.
        cooks_distance : array-like of shape (n_train,)
            Cook's distance of each row.
        row_names : array-like of shape (n_train,), default=None
            What rows are called. None: their numbers.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : DiagnosticsDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import DiagnosticsDisplay
        >>> DiagnosticsDisplay.from_predictions([0.5, 0.5], [1.0, -1.0], [0.5, 0.5])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        check_consistent_length(leverage, residual, cooks_distance, row_names)
        parts = (leverage, residual, cooks_distance)
        leverage, residual, distance = (column_or_1d(p, dtype=float) for p in parts)
        if row_names is not None:
            row_names = np.asarray(row_names)
        display = cls(
            leverage=leverage,
            residual=residual,
            cooks_distance=distance,
            row_names=row_names,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        levels: ArrayLike | None = None,
        n_labels: int = 3,
        point_kw: dict | None = None,
        contour_kw: dict | None = None,
    ) -> Self:
        """Draw the rows and the contours.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        levels : array-like, default=None
            Cook's distances to draw contours of. None: a half and all of the third
            largest.
        n_labels : int, default=3
            How many rows bear their names, those of the largest distances.
        point_kw : dict, default=None
            Keyword arguments of matplotlib's `scatter` for the rows.
        contour_kw : dict, default=None
            Keyword arguments of matplotlib's `plot` for the contours.

        Returns
        -------
        display : DiagnosticsDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklinfluence.inspection import DiagnosticsDisplay
        >>> half = np.array([0.5, 0.5])
        >>> display = DiagnosticsDisplay(
        ...     leverage=half, residual=2 * half, cooks_distance=half
        ... )
        >>> display.plot(levels=[0.5, 1.0], n_labels=0)
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        leverage, residual, distance = map(
            np.asarray, (self.leverage, self.residual, self.cooks_distance)
        )
        known = np.isfinite(leverage) & np.isfinite(residual) & np.isfinite(distance)
        most = np.max(distance[known], initial=0.0) or 1.0
        style = {"facecolor": "C0", "alpha": 0.5, "edgecolor": "k", "linewidth": 0.4}
        style = {"s": 8 + 500 * distance[known] / most, **style}
        style = styled(style, point_kw)
        self.points_ = ax.scatter(leverage[known], residual[known], **style)
        ax.axhline(0, color="0.6", linewidth=0.8)
        largest = np.argsort(-np.where(known, distance, -1.0))
        self.labels_ = self._label(
            ax, [row for row in largest if known[row]][:n_labels]
        )
        limits = ax.get_xlim(), ax.get_ylim()
        if levels is None:
            third = np.sort(distance[known])[-3:][:1]
            levels = [*(0.5 * third), *third]
        self.contours_ = self._contours(ax, known, levels, contour_kw)
        ax.set(
            xlim=(0.0, limits[0][1]),
            ylim=limits[1],
            xlabel="Leverage",
            ylabel="Studentised residual",
        )
        legend = {"loc": "lower right"} if self.contours_ else None
        return self._finish(ax, legend=legend)

    def _label(self, ax, rows):
        names = np.arange(len(self.leverage))
        names = names if self.row_names is None else self.row_names
        return [
            ax.annotate(
                str(names[row]),
                (self.leverage[row], self.residual[row]),
                xytext=(7, 5),
                textcoords="offset points",
            )
            for row in rows
        ]

    def _contours(self, ax, known, levels, given):
        at = expit(np.linspace(-9.0, 9.0, 400))
        parts = (self.leverage, self.residual, self.cooks_distance)
        h, r, distance = (np.asarray(part)[known] for part in parts)
        is_clear = (distance > 0) & (h > 0) & (h < 1)
        if not is_clear.any():
            return []
        h, r, distance = h[is_clear], r[is_clear], distance[is_clear]
        n_parameters = np.median(r**2 * h / ((1 - h) * distance))
        drawn = []
        for level, dashes in zip(levels, _dashes(len(levels)), strict=True):
            style = {"color": "0.25", "linestyle": dashes, "linewidth": 1.0}
            style = styled({**style, "label": f"Cook's distance {level:.2g}"}, given)
            bound = np.sqrt(level * n_parameters * (1 - at) / at)
            # One line with a gap: one entry in the legend.
            x, y = np.r_[at, np.nan, at], np.r_[bound, np.nan, -bound]
            drawn.append(line(ax, x, y, style))
        return drawn


def _dashes(n):
    return [("--", "-", ":", "-.")[at % 4] for at in range(n)]
