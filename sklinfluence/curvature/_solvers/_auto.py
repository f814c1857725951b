"""From the ``solver`` parameter to a solver object."""

from sklinfluence.curvature._solvers._cholesky import Cholesky
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient

SOLVERS = {"cholesky": Cholesky, "cg": ConjugateGradient}

# A factor, its inverse and one temporary of this many parameters take 3 GiB: beyond,
# the matrix-free route needs less memory and, as a rule, less time.
_MAX_FACTORED = 11_500


def resolve_solver(solver, shape, *, is_block_diagonal):
    """The solver object that the parameter ``solver`` stands for.

    Parameters
    ----------
    solver : {"auto", "cholesky", "cg"} or object with ``init`` and ``solve``
        "auto" is Cholesky as long as one factored block has at most 11 500
        parameters, else conjugate gradients.
    shape : tuple of (n_outputs, n_columns)
        Shape of the parameters.
    is_block_diagonal : bool
        Whether outputs do not interact, so that blocks are factored one by one.

    Returns
    -------
    solver : object
    """
    if not isinstance(solver, str):
        return solver
    if solver == "auto":
        n_outputs, n_columns = shape
        size = n_columns if is_block_diagonal else n_outputs * n_columns
        solver = "cholesky" if size <= _MAX_FACTORED else "cg"
    return SOLVERS[solver]()


def solver_name(solver):
    """The name a solver goes by in ``solver_info_``."""
    for name, kind in SOLVERS.items():
        if type(solver) is kind:
            return name
    return type(solver).__name__
