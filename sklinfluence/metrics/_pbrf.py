"""The proximal Bregman response: the retraining that influence functions stand for."""

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import sliceable
from sklinfluence._scheduling import map_blocks
from sklinfluence._sklearn_compat import HasMethods, Interval, validate_params
from sklinfluence._typing import RandomState, Rows
from sklinfluence._warn import warn_user
from sklinfluence.metrics._stability import correlation

_MAX_ITER = 2000
# Of the gradient, relative to that of the row that leaves; float32 nets reach less.
_TOL = 1e-9
_SMALL_ENOUGH = 1e-3


@validate_params(
    {
        "ranker": [HasMethods("influence")],
        "X_test": ["array-like", "sparse matrix", list, dict],
        "y_test": ["array-like"],
        "n_rows": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def pbrf(
    ranker: Any,
    X_test: Rows,
    y_test: ArrayLike,
    *,
    n_rows: int | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Any:
    r"""Compare influences with the proximal Bregman response to a row's removal.

    A network that is trained anew without a row ends elsewhere for many reasons.
    Influence functions answer another question: where does it move from *here* when
    the row's loss is taken off while it is held to what it predicts, and to its
    parameters? That is the minimum of

    .. math:: \sum_j s_j D_j(f_j, f_j^*) - s_i \ell(y_i, f_i)
              + \tfrac12 (\theta - \theta^*)^\top (\Lambda + \lambda I)
              (\theta - \theta^*)

    in which :math:`f_j^*` are the raw predictions and :math:`\theta^*` the parameters
    of the fitted model, :math:`D_j(f, f^*) = \ell(y_j, f) - \ell(y_j, f^*) - (f -
    f^*)^\top \nabla \ell(y_j, f^*)` is the loss's Bregman divergence, s are weights,
    :math:`\Lambda` is the penalty and :math:`\lambda` the ranker's damping times the
    sum of the weights. It is found from :math:`\theta^*` by L-BFGS. Of a head at its
    optimum without damping it is leave-one-out retraining.

    Parameters
    ----------
    ranker : InfluenceRanker or DeepInfluenceRanker
        Fitted. Of a net those layers move that the ranker counts; with
        ``dtype="float64"`` differences of losses have more digits.
    X_test : array-like of shape (n_queries, n_features)
        Queries.
    y_test : array-like of shape (n_queries,)
        Their labels or targets.
    n_rows : int, default=None
        Training rows to take off, drawn at random: as many minimisations. None: every
        row.
    random_state : int, RandomState instance or None, default=None
        Draws the rows.
    n_jobs : int, default=None
        Threads that share the rows of a linear head. Those of a net come one by one.

    Returns
    -------
    result : Bunch
        ``response`` of shape (n_queries, n_rows): the rise in each query's loss, in
        nats or half squared target units, positive for a proponent. ``influence`` of
        the same rows by the ranker. ``correlation`` of shape (n_queries,), Pearson's
        between both (NaN where one is constant). ``index`` of shape (n_rows,), the
        rows.

    Raises
    ------
    TypeError
        If the ranker knows no objective of parameters.

    See Also
    --------
    loo_correlation : The same with models that are trained anew.

    References
    ----------
    .. [1] Bae, J., Ng, N., Lo, A., Ghassemi, M. and Grosse, R. (2022). If influence
       functions are the answer, then what is the question? Equation 6.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 5.1.1.2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.metrics import pbrf
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = InfluenceRanker().fit(X[::2], y[::2])
    >>> result = pbrf(ranker, X[1:4], y[1:4], n_rows=20, random_state=0)
    >>> bool(result.correlation.min() > 0.99)
    True
    """
    check_is_fitted(ranker)
    problem = _problem(ranker)
    X_test = sliceable(X_test)
    rows = np.arange(ranker.n_train_)
    if n_rows is not None and n_rows < len(rows):
        rows = check_random_state(random_state).choice(rows, n_rows, replace=False)
    before = problem.losses(problem.start, X_test, y_test)
    # torch swaps a net's parameters for a while: one thread at a time.
    n_jobs = n_jobs if isinstance(problem, HeadBregman) else None
    ends = map_blocks(partial(_minimum, problem), rows, n_jobs=n_jobs)
    after = [problem.losses(theta, X_test, y_test) for theta, _ in ends]
    _warn(rows, [is_near for _, is_near in ends])
    response = np.array(after).T - before[:, None]
    influence = np.asarray(ranker.influence(X_test, y_test))[:, rows]
    return Bunch(
        response=response,
        influence=influence,
        correlation=correlation(influence, response),
        index=rows,
    )


def _problem(ranker):
    if hasattr(ranker, "_bregman_objective"):
        return ranker._bregman_objective()
    if hasattr(ranker, "reading_"):
        return HeadBregman(ranker.reading_)
    raise TypeError(
        f"{type(ranker).__name__} moves no parameters of one objective. pbrf takes "
        "InfluenceRanker, or DeepInfluenceRanker for all layers of a net."
    )


class HeadBregman:
    """What is minimised, of a linear head, as a function of a vector of parameters.

    Parameters
    ----------
    reading : HeadReading
    """

    def __init__(self, reading):
        self.reading, self.objective = reading, reading.fitted.objective
        theta, raw = reading.fitted.theta, reading.fitted.raw
        self.start = theta.ravel()
        # What an optimum has of no slope, and a head that was read as it is has.
        self.slope = self.objective.gradient(theta, raw).ravel()

    def without(self, theta, row):
        """Value and gradient without one row's loss, (float, (p,))."""
        weights = self.objective.weights.copy()
        weights[row] = 0.0
        objective = self.objective.reweighted(weights)
        shaped = theta.reshape(self.objective.shape)
        raw = objective.raw(shaped)
        value = objective.value(shaped, raw) - self.slope @ (theta - self.start)
        return value, objective.gradient(shaped, raw).ravel() - self.slope

    def losses(self, theta, X, y):
        """Losses of queries where the parameters are ``theta``, (n_queries,)."""
        asked = self.reading.queries(X, y)
        asked = asked.at_theta(theta.reshape(self.objective.shape))
        return asked.loss.loss(asked.targets, asked.raw)


def _minimum(problem, row):
    """(parameters, whether their gradient is small) where the row is taken off."""
    _, slope = problem.without(problem.start, row)
    size = np.abs(slope).max()
    if size == 0:
        return problem.start, True
    # In units of the row's own gradient, lest a small row is where it starts.
    found = minimize(
        lambda theta: _in_unit(problem.without(theta, row), size),
        problem.start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITER, "gtol": _TOL, "ftol": 0.0, "maxcor": 30},
    )
    return found.x, np.abs(found.jac).max() <= _SMALL_ENOUGH


def _in_unit(pair, size):
    value, gradient = pair
    return value / size, gradient / size


def _warn(rows, are_near):
    far = rows[~np.array(are_near)]
    if far.size:
        named = ", ".join(map(str, far[:5]))
        warn_user(
            f"The response to {far.size} row(s), among them {named}, did not settle in "
            f"{_MAX_ITER} steps: give the ranker more damping.",
            ConvergenceWarning,
        )
