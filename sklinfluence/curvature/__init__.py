"""Curvature of a linear head: losses, the Hessian as an operator, its solvers."""

from sklinfluence.curvature._solvers import (
    EKFAC,
    Arnoldi,
    Cholesky,
    ConjugateGradient,
    DivergenceError,
    LiSSA,
    Nystrom,
    SingularHessianError,
    choose_solver,
)

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
]
