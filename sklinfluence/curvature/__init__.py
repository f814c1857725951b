"""Curvature of a linear head: losses, the Hessian as an operator, its solvers."""

from sklinfluence.curvature._solvers import (
    Cholesky,
    ConjugateGradient,
    SingularHessianError,
)

__all__ = ["Cholesky", "ConjugateGradient", "SingularHessianError"]
