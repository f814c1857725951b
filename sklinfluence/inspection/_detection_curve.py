"""How many of the mislabelled rows are found for how many inspected."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklinfluence.inspection._display import Display, chance, labelled, line, styled
from sklinfluence.metrics import check_truth, detection_curve, layers


@dataclass(kw_only=True, eq=False, repr=False)
class DetectionCurveDisplay(Display):
    """Share of mislabelled rows found against share of rows inspected.

    Rows are inspected from the highest score down; rows with the same score are
    inspected together, so their order in the data does not matter. Make one with
    :meth:`from_estimator` or :meth:`from_predictions`; all parameters are stored as
    attributes.

    Read more in the :ref:`User Guide <detection_curve>`.

    Parameters
    ----------
    inspected : ndarray of shape (n_points,)
        Share of all rows inspected, from 0 to 1.

    found : ndarray of shape (n_points,)
        Share of the mislabelled rows found among them, from 0 to 1.

    prevalence : float
        Share of all rows that are mislabelled: where the ideal curve reaches 1.

    average_precision : float, default=None
        Average precision of the scores, shown in the legend. None shows nothing.

    roc_auc : float, default=None
        Area under the ROC curve of the scores.

    name : str, default=None
        Name for the legend.

    Attributes
    ----------
    line_ : matplotlib Artist
        The detection curve.

    chance_level_ : matplotlib Artist or None
        The line of an order by chance, None when it was not drawn.

    ideal_ : matplotlib Artist or None
        The line of a perfect order, None when it was not drawn.

    ax_ : matplotlib Axes
        Axes with the curve.

    figure_ : matplotlib Figure
        Figure that holds the axes.

    See Also
    --------
    sklinfluence.datasets.flip_labels : Plant wrong labels whose places are known.
    sklearn.metrics.PrecisionRecallDisplay : Precision against recall.

    Notes
    -----
    The plain area under this curve depends on the prevalence p: it runs from p / 2
    (every mislabelled row last) to 1 - p / 2 (every one first), never to 1. What
    `roc_auc` holds is that area on a scale from 0 to 1,
    ``(area - p / 2) / (1 - p)``, which is the area under the ROC curve; chance is 0.5
    whatever the prevalence. `average_precision` weighs the top of the list more, as
    someone who reads it from the top does; chance is p.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklinfluence.inspection import DetectionCurveDisplay
    >>> display = DetectionCurveDisplay.from_predictions(
    ...     [True, False, True, False], [0.9, 0.1, 0.4, 0.5]
    ... )
    >>> display.inspected
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> display.found
    array([0. , 0.5, 0.5, 1. , 1. ])
    >>> plt.show()
    """

    inspected: NDArray
    found: NDArray
    prevalence: float
    average_precision: float | None = None
    roc_auc: float | None = None
    name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        is_mislabelled: ArrayLike,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the curve of a fitted filter over the rows it was fitted on.

        For rows it has not seen, give ``estimator.score_samples(X, y)`` to
        :meth:`from_predictions`.

        Parameters
        ----------
        estimator : estimator instance
            A fitted filter (anything with `scores_`), or what holds one: a
            FilteredClassifier, a search over either, a Pipeline that ends in any.

        is_mislabelled : array-like of shape (n_samples,), dtype=bool
            Which of the rows it was fitted on are mislabelled in truth.

        name : str, default=None
            Name for the legend. None takes the class of `estimator`.

        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.

        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : DetectionCurveDisplay
            The curve, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklinfluence.datasets import flip_labels
        >>> from sklinfluence.filtering import MislabelFilter
        >>> from sklinfluence.inspection import DetectionCurveDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> y_noisy, is_flipped = flip_labels(y, 0.1, random_state=0)
        >>> mislabel_filter = MislabelFilter().fit(X, y_noisy)
        >>> DetectionCurveDisplay.from_estimator(mislabel_filter, is_flipped)
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_estimator")
        return cls.from_predictions(
            is_mislabelled,
            _training_scores(estimator),
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        is_mislabelled: ArrayLike,
        scores: ArrayLike,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the curve of scores against the truth.

        Parameters
        ----------
        is_mislabelled : array-like of shape (n_samples,), dtype=bool
            Which rows are mislabelled in truth.

        scores : array-like of shape (n_samples,)
            Higher = likelier mislabelled.

        name : str, default=None
            Name for the legend.

        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.

        **kwargs : dict
            Further keyword arguments of :meth:`plot`.

        Returns
        -------
        display : DetectionCurveDisplay
            The curve, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import DetectionCurveDisplay
        >>> DetectionCurveDisplay.from_predictions([1, 0, 0, 1], [3.0, 1.0, 2.0, 2.5])
        <...>
        >>> plt.show()
        """
        cls._needs_matplotlib("from_predictions")
        is_mislabelled = check_truth(is_mislabelled)
        check_consistent_length(is_mislabelled, scores)
        inspected, found = detection_curve(is_mislabelled, scores)
        display = cls(
            inspected=inspected,
            found=found,
            prevalence=float(np.mean(is_mislabelled)),
            average_precision=float(average_precision_score(is_mislabelled, scores)),
            roc_auc=float(roc_auc_score(is_mislabelled, scores)),
            name=name,
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
        plot_ideal: bool = True,
        ideal_kw: dict | None = None,
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
            Whether to draw what an order by chance finds. Turn it off for the second
            and later curves on the same axes.

        chance_level_kw : dict, default=None
            Keyword arguments of matplotlib's `plot` for that line.

        plot_ideal : bool, default=True
            Whether to draw what a perfect order finds.

        ideal_kw : dict, default=None
            Keyword arguments of matplotlib's `plot` for that line.

        Returns
        -------
        display : DetectionCurveDisplay
            This object, with the artists as attributes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklinfluence.inspection import DetectionCurveDisplay
        >>> display = DetectionCurveDisplay(
        ...     inspected=[0.0, 0.2, 1.0], found=[0.0, 0.7, 1.0], prevalence=0.2
        ... )
        >>> display.plot(name="a detector", curve_kwargs={"linewidth": 3})
        <...>
        >>> plt.show()
        """
        ax = self._start(ax)
        label = self._label(self.name if name is None else name)
        curve_style = styled(labelled(label), curve_kwargs)
        chance_style = styled(chance("Chance (AUROC = 0.5)"), chance_level_kw)
        ideal_style = {"color": "k", "linestyle": "--", "label": "Ideal"}
        ideal_style = styled(ideal_style, ideal_kw)
        self.line_ = line(ax, self.inspected, self.found, curve_style)
        self.chance_level_ = self.ideal_ = None
        if plot_chance_level:
            self.chance_level_ = line(ax, [0, 1], [0, 1], chance_style)
        if plot_ideal:
            self.ideal_ = line(ax, [0, self.prevalence, 1], [0, 1, 1], ideal_style)
        ax.set(
            xlabel="Share of rows inspected",
            ylabel="Share of mislabelled rows found",
            # A margin, so that a line along the border is seen.
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
        )
        return self._finish(ax, legend={"loc": "lower right"})

    def _new_axes(self, plt):
        return plt.subplots()[1]

    def _label(self, name):
        """Return the legend entry of the curve, None when there is nothing to say."""
        if self.average_precision is None:
            return name
        figure = f"AP = {self.average_precision:.2f}"
        return figure if name is None else f"{name} ({figure})"


def _training_scores(estimator):
    """Return `scores_` of a fitted filter, or of the filter a meta-estimator holds."""
    check_is_fitted(estimator)
    scored = layers(estimator)[-1]
    if not hasattr(scored, "scores_"):
        raise TypeError(
            f"{type(scored).__name__} has no scores_ of its training rows. Pass a "
            "fitted filter, what holds one (FilteredClassifier, a search, a Pipeline "
            "that ends in one), or the scores themselves to from_predictions."
        )
    return scored.scores_
