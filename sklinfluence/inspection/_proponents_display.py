"""A query beside the training rows that speak for it and against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._estimators import sliceable, takeable
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence._typing import Rows
from sklinfluence.inspection._display import Display

# Characters of a line, and lines, of a text; inches of a cell.
_LINE, _LINES = 26, 9
_WIDTH = {"image": 1.9, "text": 2.5}
KINDS = ("image", "text", "table")


@dataclass(kw_only=True, eq=False, repr=False)
class ProponentsDisplay(Display):
    """A query with its proponents and opponents, as images, texts or table rows.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`; all parameters
    are stored as attributes.

    Read more in the :ref:`User Guide <displays>`.

    Parameters
    ----------
    query : object
        What was asked about: an image of shape (height, width) or (height, width,
        3), a text, or a sequence of cells.
    proponents : sequence
        The rows that speak for it, of the same kind, strongest first.
    opponents : sequence
        Those that speak against it.
    titles : tuple of (str, sequence of str, sequence of str)
        What is written above the query, each proponent and each opponent.
    kind : {"image", "text", "table"}
        How they are drawn.
    feature_names : sequence of str, default=None
        Names of the columns of a table.

    Attributes
    ----------
    cells_ : ndarray of matplotlib Axes, or matplotlib Table
        The axes of the query (first), the proponents and the opponents; the table.
    ax_ : matplotlib Axes
        The axes that holds them.
    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    InfluenceDisplay : All training rows in the plane.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.inspection import ProponentsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker().fit(X[:300] / 16, y[:300])
    >>> display = ProponentsDisplay.from_estimator(
    ...     ranker, X[:300] / 16, y[:300], X[300:301] / 16, y[300:301],
    ...     kind="image", image_shape=(8, 8),
    ... )
    >>> len(display.proponents)
    3
    >>> plt.show()
    """

    query: Any
    proponents: Sequence
    opponents: Sequence
    titles: tuple
    kind: str
    feature_names: Sequence[str] | None = None

    @classmethod
    def from_estimator(
        cls,
        ranker: Any,
        X: Rows,
        y: ArrayLike,
        X_query: Rows,
        y_query: ArrayLike | None = None,
        *,
        n: int = 3,
        kind: Literal["image", "text", "table"] = "table",
        image_shape: tuple | None = None,
        shown: Any = None,
        shown_query: Any = None,
        ax: Any = None,
    ) -> Self:
        """Plot the strongest rows that a fitted ranker finds for one query.

        Parameters
        ----------
        ranker : ranker
            Fitted on X and y.
        X : array-like of shape (n_train, n_features)
            The training rows.
        y : array-like of shape (n_train,)
            Their labels or targets.
        X_query : array-like of shape (1, n_features)
            The query.
        y_query : array-like of shape (1,), default=None
            Its target, as in the ranker's ``influence``.
        n : int, default=3
            How many of each.
        kind : {"image", "text", "table"}, default="table"
            How rows are drawn.
        image_shape : tuple, default=None
            What a row of numbers becomes as an image.
        shown : sequence of length n_train, default=None
            What to draw for each training row, where that is not X: texts, or images,
            or a frame.
        shown_query : sequence of length 1, default=None
            The same for the query.
        ax : matplotlib axes, default=None
            Axes to draw in. None makes a new figure.

        Returns
        -------
        display : ProponentsDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> from sklinfluence.inspection import ProponentsDisplay
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> ranker = InfluenceRanker().fit(X, y)
        >>> ProponentsDisplay.from_estimator(ranker, X, y, X[70:71], [1])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        check_is_fitted(ranker)
        X_query = sliceable(X_query)
        if _num_samples(X_query) != 1:
            raise ValueError(
                f"X_query has {_num_samples(X_query)} rows: one query is drawn at a "
                "time."
            )
        found = (
            ranker.proponents(X_query, y_query, n=n),
            ranker.opponents(X_query, y_query, n=n),
        )
        shown = X if shown is None else shown
        shown_query = X_query if shown_query is None else shown_query
        parts = [_items(shown, index[0], kind, image_shape) for _, index in found]
        above = [_above(y, index[0], value[0]) for value, index in found]
        asked = "asked about" if y_query is None else f"asked about: {_first(y_query)}"
        return cls.from_predictions(
            _items(shown_query, np.array([0]), kind, image_shape)[0],
            *parts,
            titles=(asked, *above),
            kind=kind,
            feature_names=[str(c) for c in getattr(shown, "columns", [])] or None,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        query: Any,
        proponents: Sequence,
        opponents: Sequence,
        *,
        titles: tuple | None = None,
        kind: Literal["image", "text", "table"] = "table",
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot a given query and given rows.

        Parameters
        ----------
        query : object
            An image, a text, or a sequence of cells.
        proponents : sequence
            The rows that speak for it, of the same kind, strongest first.
        opponents : sequence
            Those that speak against it.
        titles : tuple of (str, sequence of str, sequence of str), default=None
            What is written above each. None: their part.
        kind : {"image", "text", "table"}, default="table"
            How they are drawn.
        feature_names : sequence of str, default=None
            Names of the columns of a table.
        ax : matplotlib axes, default=None
            Axes to draw in. None makes a new figure.

        Returns
        -------
        display : ProponentsDisplay
            The rows, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import ProponentsDisplay
        >>> ProponentsDisplay.from_predictions(
        ...     "buy now", ["buy it", "now or never"], ["see you"], kind="text"
        ... )
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is none of {', '.join(map(repr, KINDS))}.")
        if titles is None:
            titles = (
                "asked about",
                ["proponent"] * len(proponents),
                ["opponent"] * len(opponents),
            )
        display = cls(
            query=query,
            proponents=proponents,
            opponents=opponents,
            titles=titles,
            kind=kind,
            feature_names=feature_names,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: Any = "gray_r") -> Self:
        """Draw the query and the rows.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw in. None makes a new figure.
        cmap : str or matplotlib Colormap, default="gray_r"
            For images of one channel.

        Returns
        -------
        display : ProponentsDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import ProponentsDisplay
        >>> display = ProponentsDisplay(
        ...     query="a", proponents=["b"], opponents=[], kind="text",
        ...     titles=("asked", ["for"], []),
        ... )
        >>> display.plot()
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        ax.set_axis_off()
        if self.kind == "table":
            self.cells_ = self._table(ax)
        else:
            self.cells_ = self._grid(ax, cmap)
        return self._finish(ax)

    def _new_axes(self, plt):
        n_columns = 1 + max(len(self.proponents), len(self.opponents))
        if self.kind == "table":
            n_rows = 2 + len(self.proponents) + len(self.opponents)
            size = (1.9 + 1.1 * len(self.query), 0.26 * (n_rows + 1))
        else:
            size = (_WIDTH[self.kind] * n_columns, 4.6)
        # The axes fill the figure: what is drawn has margins of its own.
        return plt.figure(figsize=size).add_axes((0.01, 0.01, 0.98, 0.98))

    def _grid(self, ax, cmap):
        """Proponents above, opponents below, the query left of both."""
        n = 1 + max(len(self.proponents), len(self.opponents))
        places = [(0, 0.25)]
        for rows, bottom in ((self.proponents, 0.5), (self.opponents, 0.0)):
            places += [(1 + at, bottom) for at in range(len(rows))]
        asked, above, below = self.titles
        titles = [asked, *above, *below]
        items = [self.query, *self.proponents, *self.opponents]
        cells = []
        for (column, bottom), item, title in zip(places, items, titles, strict=True):
            cell = ax.inset_axes([column / n, bottom, 0.94 / n, 0.38])
            cell.set(xticks=[], yticks=[])
            cell.set_title(title, fontsize="small")
            if self.kind == "image":
                cell.imshow(item, cmap=cmap)
            else:
                cell.text(0.04, 0.95, _wrapped(item), va="top", fontsize="small")
            cells.append(cell)
        for spine in cells[0].spines.values():
            spine.set_linewidth(2.0)
        return np.array(cells)

    def _table(self, ax):
        asked, above, below = self.titles
        rows = [self.query, *self.proponents, *self.opponents]
        names = self.feature_names or [str(at) for at in range(len(self.query))]
        titles = [asked, *above, *below]
        table = ax.table(
            [
                [title, *map(_cell, row)]
                for title, row in zip(titles, rows, strict=True)
            ],
            colLabels=["", *(fill(name, 14) for name in names)],
            colWidths=[1.7, *[1.0] * len(names)],
            cellLoc="center",
            bbox=(0.0, 0.0, 1.0, 1.0),
        )
        table.auto_set_font_size(False)
        table.set_fontsize(9)
        for (row, _), cell in table.get_celld().items():
            cell.set_height((2.0 if row == 0 else 1.0) * cell.get_height())
            # The query stands out; opponents lie on grey.
            if row == 1:
                cell.set_text_props(weight="bold")
            if row > 1 + len(self.proponents):
                cell.set_facecolor("0.92")
        return table


def _items(shown, rows, kind, image_shape):
    """What is drawn of some rows."""
    shown = takeable(shown)
    if sparse.issparse(shown):
        shown, rows = shown[rows].toarray(), np.arange(len(rows))
    if kind == "table" and hasattr(shown, "iloc"):
        return shown.iloc[rows].to_numpy(dtype=object)
    if kind == "image":
        images = np.asarray(_safe_indexing(shown, rows))
        shape = images.shape[1:] if image_shape is None else image_shape
        if len(shape) not in (2, 3):
            raise ValueError(
                "kind='image' needs image_shape=, what a row of numbers becomes: "
                "(height, width) or (height, width, 3)."
            )
        return images.reshape(len(rows), *shape)
    return [_safe_indexing(shown, int(row)) for row in rows]


def _above(y, rows, influence):
    y = np.asarray(y)
    return [
        f"{_cell(y[row])} ({value:+.2g})"
        for row, value in zip(rows, influence, strict=True)
    ]


def _first(values):
    return _cell(np.asarray(values).ravel()[0])


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    return str(value)


def _wrapped(text: NDArray | str) -> str:
    lines = fill(str(text), _LINE).split("\n")
    return "\n".join([*lines[:_LINES], *(["…"] if len(lines) > _LINES else [])])
