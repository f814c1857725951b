"""The inverse Hessian of a head on randomly projected columns: influence sketching."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._low_rank import LowRankInverse

# Directions that are less curved than this share of the most curved are the kernel's.
_KERNEL = 1e-13


class Sketch(ApproximateSolver):
    r"""Inverse Hessian on randomly projected columns: leverages and Cook in a sketch.

    The rows' columns are projected into a few random directions :math:`\Omega`, the
    same for all outputs (the intercept stays as it is), and H is inverted there:
    :math:`\Omega (\Omega^\top H \Omega)^{-1} \Omega^\top`. Leverages, Cook's distances
    and influence are those of the head on the projected columns. They are never
    larger, per row, than the exact leverages, and need :math:`n_components` products
    with H for each output, where a factor needs as many as there are columns.

    Parameters
    ----------
    n_components : int, default=200
        Random directions. As many as there are columns: exact.
    random_state : int, RandomState instance or None, default=0
        Draws the directions.

    See Also
    --------
    Nystrom : Approximates H instead, and keeps what lies beside the directions.

    Notes
    -----
    What lies beside the directions counts nothing: of a penalised head the identity
    that the penalty is there is left out. Random projections keep distances between n
    rows to some tens of per cent from a few times log n directions on, self-influence
    in its order sooner than in its size (user guide, "solvers").

    References
    ----------
    .. [1] Wojnowicz, M. et al. (2016). "Influence sketching": finding influential
       samples in large-scale regressions.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 4.1.3.

    Examples
    --------
    >>> from scipy.stats import spearmanr
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.curvature import Sketch
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> exact = InfluenceRanker(damping=0.01).fit(X / 16, y)
    >>> ranker = InfluenceRanker(solver=Sketch(n_components=40), damping=0.01)
    >>> own = ranker.fit(X / 16, y).self_influence_
    >>> bool(spearmanr(own, exact.self_influence_).statistic > 0.9)
    True
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    remedy = "Raise its n_components or use solver='cg'."

    def __init__(
        self, *, n_components: int = 200, random_state: RandomState = 0
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def init(self, operator: Any) -> Any:
        """Project the columns and factor H on what they span.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        rng = check_random_state(self.random_state)
        columns = _projection(operator, self.n_components, rng)
        directions = _of_all_outputs(operator, columns)
        image = operator.matvec(directions)
        core = directions.T @ image
        values, vectors = np.linalg.eigh(0.5 * (core + core.T))
        seen = values > len(values) * _KERNEL * values.max(initial=0.0)
        state = LowRankInverse(
            operator,
            np.zeros(operator.shape[0]),
            directions @ vectors[:, seen],
            1.0 / values[seen],
        )
        state.has_exact_rows = columns.shape[1] == operator.n_columns
        return state


def _projection(operator, n_components, rng):
    """The directions of the columns, (n_columns, n_directions): the intercept's own."""
    q, design = operator.n_columns, operator.design
    has_intercept = design is not None and design.fit_intercept
    n_features = q - has_intercept
    if n_components >= n_features:
        return np.eye(q)
    drawn = np.zeros((q, n_components + has_intercept))
    drawn[:n_features, :n_components] = rng.standard_normal((n_features, n_components))
    drawn[n_features:, n_components:] = 1.0
    return drawn


def _of_all_outputs(operator, columns):
    """Orthonormal directions of all parameters, (p, n_outputs n_directions).

    A column that an l1 penalty leaves out for one output is no direction of it.
    """
    K, q = operator.n_outputs, operator.n_columns
    active = operator.active
    parts = []
    for output in range(K):
        own = columns if active is None else columns * active[output][:, None]
        basis, sizes, _ = np.linalg.svd(own, full_matrices=False)
        basis = basis[:, sizes > q * np.finfo(float).eps * sizes.max(initial=0.0)]
        part = np.zeros((K, q, basis.shape[1]))
        part[output] = basis
        parts.append(part.reshape(K * q, -1))
    return np.hstack(parts)
