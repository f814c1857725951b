"""EK-FAC of a network, and the directions in which it is most wrong."""

from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval
from sklinfluence.curvature import ApproximateSolver, lanczos


class NetworkEKFAC(ApproximateSolver):
    r"""Approximate inverse curvature of a network: EK-FAC, corrected by Lanczos.

    EK-FAC takes the curvature layer by layer, in a Kronecker product's eigenbasis.
    With E its approximation of H, the eigenvalues of
    :math:`E^{-1/2} H E^{-1/2}` would all be 1 if it were exact; Lanczos' iteration
    finds those that are furthest from it, where the layers interact and units are
    switched on together, and puts them right. The rest share the trace that is left.

    Read more in the :ref:`User Guide <deep>`.

    Parameters
    ----------
    n_directions : int, default=200
        Lanczos' steps: as many products with H, one after the other, and as many
        vectors of all parameters in memory, no more of them than fit scikit-learn's
        ``working_memory``. 0: EK-FAC as published.
    random_state : int, RandomState instance or None, default=0
        Seeds the direction that the iteration starts from.

    See Also
    --------
    sklinfluence.curvature.EKFAC : Without the correction, for a linear last layer too.
    DeepInfluenceRanker : Takes it as ``solver="ekfac"``.

    References
    ----------
    .. [1] George, T., Laurent, C., Bouthillier, X., Ballas, N. and Vincent, P.
       (2018). Fast approximate natural gradient descent in a Kronecker-factored
       eigenbasis.
    .. [2] Grosse, R. et al. (2023). Studying large language model generalization with
       influence functions.

    Examples
    --------
    >>> from sklinfluence.deep import NetworkEKFAC
    >>> NetworkEKFAC(n_directions=50)
    NetworkEKFAC(n_directions=50)
    """

    _parameter_constraints: dict = {
        "n_directions": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, *, n_directions=200, random_state=0):
        self.n_directions = n_directions
        self.random_state = random_state

    def init(self, operator):
        """Factor the layers and find the directions.

        Parameters
        ----------
        operator : curvature of a network

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        size = operator.shape[0]
        fitting = int(get_config()["working_memory"] * 2**20 // (8 * size))
        n_steps = min(self.n_directions, max(fitting, 1), size)
        state = NetworkEKFACState(operator)
        if n_steps:
            state.correct(n_steps, check_random_state(self.random_state))
        return state


class NetworkEKFACState:
    """E^-1/2 (Q values^-1 Q^T + (I - Q Q^T) / tail) E^-1/2.

    Attributes
    ----------
    operator : NetCurvature
    factors : NetKroneckerFactors
        E.
    """

    def __init__(self, operator):
        self.operator = operator
        self.factors = operator.kronecker_factors()
        self.basis = operator.null_space()
        size = operator.shape[0]
        self.directions, self.values, self.tail = np.zeros((size, 0)), np.zeros(0), 1.0

    def correct(self, n_steps, rng):
        """Find the eigenvalues of E^-1/2 H E^-1/2 that stand out."""
        half, size = self.factors.half_solve, self.operator.shape[0]
        values, vectors = lanczos(
            lambda v: half(self.operator.matvec(half(v))),
            size,
            n_steps,
            self.basis,
            rng,
        )
        # What Lanczos has not resolved at the low end it may put at, or below, zero.
        sound = values > 1e-6 * values[-1]
        self.values, self.directions = values[sound], vectors[:, sound]
        n_left = size - len(self.values)
        # E has H's diagonal in its own basis: all eigenvalues sum to their number.
        left = size - self.values.sum()
        self.tail = left / n_left if n_left and left > 0 else 1.0

    def apply_inverse(self, B):
        """The approximate inverse applied to B, (p, m)."""
        half = self.factors.half_solve
        right = half(B)
        inside = self.directions.T @ right
        scale = (1.0 / self.values - 1.0 / self.tail)[:, None]
        return half(right / self.tail + self.directions @ (scale * inside))
