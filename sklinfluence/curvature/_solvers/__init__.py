from sklinfluence.curvature._solvers._arnoldi import Arnoldi
from sklinfluence.curvature._solvers._auto import choose_solver, resolve_solver
from sklinfluence.curvature._solvers._base import SingularHessianError
from sklinfluence.curvature._solvers._cholesky import Cholesky
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient
from sklinfluence.curvature._solvers._ekfac import EKFAC
from sklinfluence.curvature._solvers._lissa import DivergenceError, LiSSA
from sklinfluence.curvature._solvers._nystrom import Nystrom

__all__ = [
    "EKFAC",
    "Arnoldi",
    "Cholesky",
    "ConjugateGradient",
    "DivergenceError",
    "LiSSA",
    "Nystrom",
    "SingularHessianError",
    "choose_solver",
    "resolve_solver",
]
