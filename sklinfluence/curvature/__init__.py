"""Curvature of a linear head: losses, the Hessian as an operator, its solvers."""

from sklinfluence.curvature._active_set import ActiveSetObjective, WholeDesign
from sklinfluence.curvature._contrasts import (
    ContrastLoss,
    apart,
    contract,
    contract_blocks,
    contrasts_of,
    expand,
    have_contrasts,
)
from sklinfluence.curvature._design import Design, ReducedDesign
from sklinfluence.curvature._losses import (
    LogisticLoss,
    PredictionDrop,
    SoftmaxLoss,
    SquaredLoss,
)
from sklinfluence.curvature._newton import Stationary, minimize, read_as_is
from sklinfluence.curvature._objective import Objective
from sklinfluence.curvature._operator import Operator
from sklinfluence.curvature._preconditioners._block_preconditioners import (
    LiftedFactor,
    block_factors,
)
from sklinfluence.curvature._reduced import (
    Elsewhere,
    ObjectiveRows,
    RawAt,
    ReducedObjective,
)
from sklinfluence.curvature._row_blocks import (
    KroneckerBlocks,
    RowCurvature,
    row_curvature,
    solve_added,
)
from sklinfluence.curvature._solver_report import warn_about_residual
from sklinfluence.curvature._solvers._arnoldi import Arnoldi
from sklinfluence.curvature._solvers._auto import (
    MEMORY,
    SOLVERS,
    choose_solver,
    explain_solver,
    newton_solver,
    resolve_solver,
    solver_name,
)
from sklinfluence.curvature._solvers._cholesky import Cholesky
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient
from sklinfluence.curvature._solvers._ekfac import EKFAC
from sklinfluence.curvature._solvers._in_contrasts import (
    ContrastState,
    init_state,
    solutions,
)
from sklinfluence.curvature._solvers._lissa import DivergenceError, LiSSA
from sklinfluence.curvature._solvers._nystrom import Nystrom
from sklinfluence.curvature._solvers._range import SingularHessianError
from sklinfluence.curvature._solvers._sketch import Sketch
from sklinfluence.curvature._solvers._solver import Solver, SolverState
from sklinfluence.curvature._solvers._spectral import Spectral

__all__ = [
    "EKFAC",
    "Arnoldi",
    "Cholesky",
    "ConjugateGradient",
    "DivergenceError",
    "LiSSA",
    "Nystrom",
    "SingularHessianError",
    "Sketch",
    "Solver",
    "SolverState",
    "choose_solver",
]
