"""A scorer of rankers and filters that needs no ground truth."""

from collections.abc import Callable
from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import type_of_target

from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import (
    Interval,
    StrOptions,
    _safe_indexing,
    validate_params,
)
from sklinfluence._typing import RandomState
from sklinfluence._warn import warn_user
from sklinfluence.datasets import flip_labels
from sklinfluence.metrics._layers import layers


@validate_params(
    {
        "rate": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "kind": [StrOptions({"uniform", "class", "instance"})],
        "score": [str, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def flip_detection_scorer(
    rate: float = 0.1,
    random_state: RandomState = None,
    kind: Any = "uniform",
    *,
    score: str | None = None,
    n_repeats: int = 5,
) -> Callable:
    """Make a scorer of how well a ranker or filter finds wrong labels.

    The scorer flips some labels of the rows it is given, a validation fold it may be,
    asks the fitted ranker or filter to score those rows, and returns the average
    precision with which the scores find the flips. No ground truth is needed, so that
    damping, C or a filter's parameters can be tuned by ``GridSearchCV``. Labels that
    were wrong to begin with count as right; they lower all settings alike.

    Rows whose label the estimator never met cannot be scored: they are left out, with
    a warning. An integer ``cv`` stratifies for rankers of classes and for
    FilteredClassifier, whereas a filter is no classifier: pass ``StratifiedKFold``.

    Parameters
    ----------
    rate : float in (0, 1), default=0.1
        Share of the rows to flip.

    random_state : int, RandomState instance or None, default=None
        Seed of the flips. It is settled when the scorer is made, also when None, so
        that all candidates of a search meet the same flips.

    kind : {'uniform', 'class', 'instance'}, default='uniform'
        Which rows are flipped, and to what: as in
        :func:`sklinfluence.datasets.flip_labels`.

    score : str, default=None
        Score of ``label_scores`` to use, such as "loo_loss". None takes
        ``score_samples``: a filter's own score, a ranker's self-influence.

    n_repeats : int, default=5
        Draws of flips whose average precisions are averaged.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``, for ``scoring=`` of GridSearchCV,
        cross_validate and their like. The estimator is a fitted ranker or filter, a
        FilteredClassifier or a search that holds one, or a Pipeline that ends in any
        of these. Higher is better.

    See Also
    --------
    sklinfluence.datasets.flip_labels : Makes the flips.
    sklinfluence.model_selection.LeaveOneOutSearch : Tunes the model itself.

    Notes
    -----
    Rows of a validation fold were not trained on. The leave-one-out loss of training
    rows ("loo_loss", what a filter of one ranker goes by) is the same thing without
    folds, so that a setting that does well here does well there. The self-influence
    of training rows also holds their pull on the fit: where the penalty is weak, the
    setting that is best for new rows need not be best for them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV, StratifiedKFold
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.metrics import flip_detection_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     InfluenceRanker(LogisticRegression(max_iter=1000)),
    ...     {"estimator__C": [0.001, 1.0]},
    ...     scoring=flip_detection_scorer(rate=0.1, random_state=0),
    ...     cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ... )
    >>> search.fit(X, y).best_params_
    {'estimator__C': 1.0}
    """
    if not isinstance(random_state, Integral):
        random_state = int(check_random_state(random_state).randint(2**31 - 1))
    return _FlipDetectionScorer(rate, random_state, kind, score, n_repeats)


class _FlipDetectionScorer:
    """What `flip_detection_scorer` returns."""

    def __init__(self, rate, random_state, kind, score, n_repeats):
        self.rate = rate
        self.random_state = random_state
        self.kind = kind
        self.score = score
        self.n_repeats = n_repeats

    def __repr__(self):
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"flip_detection_scorer({given})"

    def __call__(self, estimator, X, y):
        detector, X = _detector_of(estimator, X)
        y = _check_labels(y)
        known = _known_rows(detector, y)
        if not known.all():
            _warn_about_rows_left_out(y, known)
            X, y = _safe_indexing(X, np.flatnonzero(known)), y[known]
        if round(self.rate * len(y)) == 0 or len(np.unique(y)) < 2:
            raise ValueError(
                f"Nothing to flip: rate={self.rate} of {len(y)} rows of the classes "
                f"{shown(np.unique(y))}. Raise the rate, or take larger folds that "
                "hold every class (StratifiedKFold)."
            )
        seeds = check_random_state(self.random_state).randint(
            2**31 - 1, size=self.n_repeats
        )
        return float(np.mean([self._found(detector, X, y, seed) for seed in seeds]))

    def _found(self, detector, X, y, seed):
        rows = X if self.kind == "instance" else None
        noisy, is_flipped = flip_labels(
            y, self.rate, kind=self.kind, X=rows, random_state=seed
        )
        if self.score is None:
            scores = detector.score_samples(X, noisy)
        elif not hasattr(detector, "label_scores"):
            raise ValueError(
                f"score={self.score!r} is for rankers, and {type(detector).__name__} "
                "is none. Set the score of a filter on the filter itself."
            )
        else:
            scores = detector.label_scores(self.score, X, noisy)
        # No finite score: the row determines the model, as the strangest rows do.
        return average_precision_score(is_flipped, _ranks(scores))


def _warn_about_rows_left_out(y, known):
    warn_user(
        f"{np.count_nonzero(~known)} of {len(y)} rows are left out of the score: the "
        f"estimator was never trained on their labels, {shown(np.unique(y[~known]))}. "
        "Folds that hold every class keep them: pass cv=StratifiedKFold(...).",
    )


def _ranks(scores):
    """Finite stand-ins for the scores, in the same order; NaN is highest."""
    scores = np.asarray(scores, dtype=float)
    _, places = np.unique(np.nan_to_num(scores, nan=np.inf), return_inverse=True)
    return places


def _detector_of(estimator, X):
    """The ranker or filter in an estimator, and the rows as it reads them."""
    *around, detector = layers(estimator)
    for pipeline in around:
        steps = pipeline.steps[:-1] if isinstance(pipeline, Pipeline) else []
        for _, step in steps:
            if step is not None and step != "passthrough":
                X = step.transform(X)
    takes_labels = hasattr(detector, "score_samples") and (
        "y" in signature(detector.score_samples).parameters
    )
    if not takes_labels:
        raise TypeError(
            f"{type(detector).__name__} has no score_samples(X, y): "
            "flip_detection_scorer scores fitted rankers (InfluenceRanker and its "
            "like), filters (MislabelFilter), a FilteredClassifier, and Pipelines that "
            "end in one."
        )
    return detector, X


def _check_labels(y):
    if type_of_target(y, input_name="y") not in ("binary", "multiclass"):
        raise ValueError(
            "flip_detection_scorer flips class labels, and y is "
            f"{type_of_target(y)}. Use it for classification."
        )
    return column_or_1d(y)


def _known_rows(detector, y):
    """Rows whose label the detector met in training; others it cannot score."""
    # A filter holds its ranker.
    for holder in (detector, getattr(detector, "ranker_", None)):
        classes = getattr(holder, "classes_", None)
        if classes is not None:
            return np.isin(y, classes)
    return np.ones(len(y), dtype=bool)
