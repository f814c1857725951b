"""AMERanker: average marginal effects, by a sparse regression on random sets."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LassoCV, LinearRegression

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState
from sklinfluence.retraining._retraining_valuer import PARAMETERS, RetrainingValuer
from sklinfluence.retraining._units import SetUnit, generator


class AMERanker(RetrainingValuer):
    r"""Average marginal effect of each training row, by LASSO on random sets.

    For each set a probability p is drawn from a grid, and each row joins it with that
    probability. The score is regressed on the rows' presence, coded so that the
    coefficients, times a constant, are what a row adds to such sets in the mean. A
    LASSO finds the few rows that matter among many from few sets.

    Parameters
    ----------
    estimator : estimator, default=None
        Any classifier or regressor. It is cloned, never changed. None:
        ``LogisticRegression()`` for class targets, ``Ridge()`` for real ones.
    probabilities : array-like of floats, default=(0.2, 0.4, 0.6, 0.8)
        The grid. (0.5,): the Banzhaf value.
    penalize : bool, default=True
        Whether the regression is a LASSO, its penalty chosen by cross-validation over
        the sets; otherwise it is least squares, and needs more sets than rows.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers; None: the estimator's own ``score``.
    max_evaluations : int, default=1000
        Sets, for each split of the rows.
    cv : int, cross-validation generator or iterable, default=None
        Folds where ``fit`` is given no validation set. None: 5 folds, stratified for
        classes, in order of the rows.
    journal : str, default=None
        Path of a file that keeps every score evaluated, so that a run that was broken
        off goes on where it was. None: none is kept.
    n_jobs : int, default=None
        Processes that share the fits. The result does not depend on it. None means 1
        unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the sets and the estimator's own ``random_state``, which is the same in
        every fit. None: drawn, and kept in the journal.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Average marginal effect of each row in the scorer's units, higher for a row
        that is better to have; shrunk towards 0 by the penalty. The rows of a group
        share its value.
    values_stderr_ : ndarray of shape (n_train,)
        Standard error of each value by least squares; NaN with a penalty, which has
        none.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the lowest value.
    group_values_ : ndarray of shape (n_groups,)
        Value of each group, in the order of ``groups_``; with ``groups`` only.
    groups_ : ndarray of shape (n_groups,)
        The groups, sorted; with ``groups`` only.
    n_evaluations_ : int
        Scores that were evaluated.
    n_failed_ : int
        Scores that could not be: they are left out.
    closed_form_ : {"ridge", "neighbors", "leaves"} or None
        What stood for the fits, to rounding: see `ShapleyRanker`. None: there were
        fits.
    estimator_ : estimator
        The model of all rows.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    n_train_ : int
        Number of training rows.
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    BanzhafRanker : The same without a model of the scores.

    References
    ----------
    .. [1] Lin, J., Zhang, A., Lécuyer, M., Li, J., Panda, A. and Sen, S. (2022).
       Measuring the effect of training data on deep learning predictions via
       randomized experiments.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import AMERanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = AMERanker(max_evaluations=200, random_state=0)
    >>> ranker.fit(X[::8], y[::8], X_val=X[1::2], y_val=y[1::2]).values_.shape
    (19,)
    """

    _parameter_constraints: dict = {
        **PARAMETERS,
        "probabilities": ["array-like"],
        "penalize": ["boolean"],
        "max_evaluations": [Interval(Integral, 10, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        probabilities: ArrayLike = (0.2, 0.4, 0.6, 0.8),
        penalize: bool = True,
        scoring: str | Callable | None = None,
        max_evaluations: int = 1000,
        cv: Any = None,
        journal: str | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.probabilities = probabilities
        self.penalize = penalize
        self.scoring = scoring
        self.max_evaluations = max_evaluations
        self.cv = cv
        self.journal = journal
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _value(self, run):
        grid = self._grid()
        n, seed = run.utility.n_players, run.journal.seed
        if not self.penalize and self.max_evaluations <= n + 1:
            raise ValueError(
                f"penalize=False needs more sets than players: max_evaluations="
                f"{self.max_evaluations}, and {n} players."
            )

        def drawn(k):
            rng = generator(seed, k)
            p = grid[rng.integers(len(grid))]
            return p, rng.random(n) < p

        outcomes = run.evaluate(lambda k: SetUnit(drawn(k)[1]), self.max_evaluations)
        utilities = np.array([steps[0] for steps in outcomes])
        design = np.array([presence(*drawn(k)) for k in range(len(outcomes))])
        known = ~np.isnan(utilities)
        coefficients, stderr = self._regress(design[known], utilities[known], seed)
        variance = np.mean(1.0 / (grid * (1.0 - grid)))
        return run.values(variance * coefficients, variance * stderr)

    def _grid(self):
        grid = np.asarray(self.probabilities, dtype=float)
        if grid.ndim != 1 or not grid.size or np.any((grid <= 0) | (grid >= 1)):
            raise ValueError(
                f"probabilities={self.probabilities!r} must be numbers between 0 and "
                "1, both excluded."
            )
        return grid

    def _regress(self, design, utilities, seed):
        if self.penalize:
            lasso = LassoCV(random_state=seed, n_jobs=self.n_jobs)
            coefficients = lasso.fit(design, utilities).coef_
            return coefficients, np.full(len(coefficients), np.nan)
        model = LinearRegression().fit(design, utilities)
        error = utilities - model.predict(design)
        centred = design - design.mean(axis=0)
        inverse = np.linalg.pinv(centred.T @ centred)
        left = len(utilities) - design.shape[1] - 1
        return model.coef_, np.sqrt(error @ error / left * np.diag(inverse))


def presence(p, chosen):
    """A set as a row of the design: 1 / p where a player is in, -1 / (1 - p) if not.

    Of mean 0 and, over the grid, of variance mean 1 / (p (1 - p)), by which a
    coefficient is multiplied to be the average marginal effect (Lin et al. 2022).
    """
    return np.where(chosen, 1.0 / p, -1.0 / (1.0 - p))
