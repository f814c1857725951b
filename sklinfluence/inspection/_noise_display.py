"""Which class's labels are given for which."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import are_classes, target_array
from sklinfluence.inspection._display import Display
from sklinfluence.metrics import layers


@dataclass(kw_only=True, eq=False, repr=False)
class NoiseDisplay(Display):
    """The transition matrix of labels: how often each class is given for each.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`; all parameters
    are stored as attributes.

    Read more in the :ref:`User Guide <displays>`.

    Parameters
    ----------
    transition : ndarray of shape (n_classes, n_classes)
        ``transition[i, j]`` is the share of the rows of class i whose label says j;
        each row sums to 1, or holds NaN where the class has no rows.
    display_labels : ndarray of shape (n_classes,), default=None
        What the classes are called. None: their numbers.

    Attributes
    ----------
    im_ : matplotlib AxesImage
        The matrix.
    text_ : ndarray of shape (n_classes, n_classes)
        The shares, as matplotlib Text; None where they are not written.
    ax_ : matplotlib Axes
        Axes with the matrix.
    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : Predictions against labels.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklinfluence.inspection import NoiseDisplay
    >>> display = NoiseDisplay.from_predictions([0, 0, 0, 1], [0, 0, 1, 1])
    >>> display.transition.round(2)
    array([[0.67, 0.33],
           [0.  , 1.  ]])
    >>> plt.show()
    """

    transition: NDArray
    display_labels: NDArray | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, y: ArrayLike, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Plot what a fitted filter makes of the labels that it was fitted on.

        Its suggested labels stand for the true ones.

        Parameters
        ----------
        estimator : estimator instance
            A fitted filter (anything with `suggested_labels_`), or what holds one.
        y : array-like of shape (n_samples,)
            The labels that it was fitted on.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : NoiseDisplay
            The matrix, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklinfluence.datasets import flip_labels
        >>> from sklinfluence.filtering import MislabelFilter
        >>> from sklinfluence.inspection import NoiseDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> y_noisy, _ = flip_labels(y, 0.2, random_state=0)
        >>> mislabel_filter = MislabelFilter().fit(X, y_noisy)
        >>> NoiseDisplay.from_estimator(mislabel_filter, y_noisy)
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        check_is_fitted(estimator)
        found = layers(estimator)[-1]
        if not hasattr(found, "suggested_labels_"):
            raise TypeError(
                f"{type(found).__name__} suggests no labels. Pass a fitted filter of "
                "class labels, what holds one, or true and given labels to "
                "from_predictions."
            )
        return cls.from_predictions(found.suggested_labels_, y, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_given: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot given labels against true ones.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels, or what stands for them.
        y_given : array-like of shape (n_samples,)
            Given labels.
        labels : array-like of shape (n_classes,), default=None
            The classes, in the order to draw them. None: all that occur, sorted.
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : NoiseDisplay
            The matrix, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import NoiseDisplay
        >>> NoiseDisplay.from_predictions(["a", "b", "b"], ["a", "a", "b"])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        y_true, y_given = target_array(y_true), target_array(y_given)
        for name, y in (("y_true", y_true), ("y_given", y_given)):
            if not are_classes(y):
                raise ValueError(
                    f"{name} holds real targets, and NoiseDisplay is of class labels."
                )
        counts = confusion_matrix(y_true, y_given, labels=labels).astype(float)
        if labels is None:
            labels = np.unique(np.concatenate([np.ravel(y_true), np.ravel(y_given)]))
        sizes = counts.sum(axis=1, keepdims=True)
        unknown = np.full_like(counts, np.nan)
        transition = np.divide(counts, sizes, out=unknown, where=sizes > 0)
        display = cls(transition=transition, display_labels=np.asarray(labels))
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        include_values: bool = True,
        values_format: str = ".2f",
        cmap: Any = "Greys",
        xticks_rotation: float | str = "horizontal",
        im_kw: dict | None = None,
        text_kw: dict | None = None,
    ) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.
        include_values : bool, default=True
            Whether the shares are written.
        values_format : str, default=".2f"
            How.
        cmap : str or matplotlib Colormap, default="Greys"
            What shares from 0 to 1 look like.
        xticks_rotation : float or {"vertical", "horizontal"}, default="horizontal"
            Of the names of classes below.
        im_kw : dict, default=None
            Keyword arguments of matplotlib's `imshow`.
        text_kw : dict, default=None
            Keyword arguments of matplotlib's `text`.

        Returns
        -------
        display : NoiseDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklinfluence.inspection import NoiseDisplay
        >>> NoiseDisplay(transition=np.eye(2)).plot(values_format=".0%")
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        style = {"cmap": cmap, "vmin": 0.0, "vmax": 1.0} | (im_kw or {})
        self.im_ = ax.imshow(self.transition, **style)
        self.text_ = None
        if include_values:
            self.text_ = self._write(ax, values_format, text_kw or {})
        places = np.arange(len(self.transition))
        names = places if self.display_labels is None else self.display_labels
        ax.set(
            xticks=places,
            yticks=places,
            xticklabels=names,
            yticklabels=names,
            xlabel="Given label",
            ylabel="True label",
        )
        ax.tick_params("x", labelrotation=_degrees(xticks_rotation))
        return self._finish(ax)

    def _write(self, ax, values_format, text_kw):
        written = np.empty_like(self.transition, dtype=object)
        for (row, column), share in np.ndenumerate(self.transition):
            # Written in the ink that is far from the ground.
            red, green, blue, _ = self.im_.cmap(self.im_.norm(share))
            is_dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            style = {"ha": "center", "va": "center", "color": "w" if is_dark else "k"}
            text = "" if np.isnan(share) else format(share, values_format)
            written[row, column] = ax.text(column, row, text, **style | text_kw)
        return written


def _degrees(rotation):
    return {"vertical": 90, "horizontal": 0}.get(rotation, rotation)
