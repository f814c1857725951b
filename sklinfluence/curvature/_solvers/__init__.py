from sklinfluence.curvature._solvers._auto import resolve_solver
from sklinfluence.curvature._solvers._base import SingularHessianError
from sklinfluence.curvature._solvers._cholesky import Cholesky
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient

__all__ = ["Cholesky", "ConjugateGradient", "SingularHessianError", "resolve_solver"]
