"""What the solvers share that approximate H^-1 once and for all."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklinfluence.curvature._solvers._range import project, relative_residuals
from sklinfluence.curvature._solvers._solver import Solver


class ApproximateSolver(Solver):
    """Base of solvers whose state is an inverse, near that of H or not.

    Their solutions do not come closer with time: the residual says how far off they
    are, and no tolerance is asked for.
    """

    keeps_outputs = True
    remedy = "Penalise the estimator more, set damping above 0 or use solver='cg'."

    def solve(self, state: Any, B: NDArray) -> tuple[NDArray, dict]:
        """Solve H X = B approximately on the range of H.

        Parameters
        ----------
        state : object
            From `init`.
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            ``residual``: relative residual of every right-hand side, (m,), taken
            with the Hessian itself.
        """
        B = np.asarray(B, dtype=float)
        X = state.apply_inverse(B)
        if state.operator.is_rowless:
            return X, {}
        product = project(state.basis, state.operator.matvec(X))
        return X, {"residual": relative_residuals(product, project(state.basis, B))}
