"""What the solvers share that approximate H^-1 once and for all."""

import numpy as np
from sklearn.base import BaseEstimator

from sklinfluence.curvature._solvers._base import project, relative_residuals
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient


class ApproximateSolver(BaseEstimator):
    """Base of solvers whose state has ``apply_inverse``.

    Their solutions do not come closer with time: the residual says how far off they
    are, and no tolerance is asked for.
    """

    @property
    def polisher(self):
        """The solver that takes a head to its optimum: Newton's steps need H itself."""
        return ConjugateGradient()

    def solve(self, state, B):
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
        product = project(state.basis, state.operator.matvec(X))
        return X, {"residual": relative_residuals(product, project(state.basis, B))}
