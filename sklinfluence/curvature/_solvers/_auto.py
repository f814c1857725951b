"""From the ``solver`` parameter to a solver object."""

from dataclasses import dataclass
from numbers import Integral, Real

from sklearn.utils import check_scalar

from sklinfluence._in_memory import in_memory
from sklinfluence.curvature._solvers._arnoldi import Arnoldi
from sklinfluence.curvature._solvers._cholesky import Cholesky
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient
from sklinfluence.curvature._solvers._ekfac import EKFAC
from sklinfluence.curvature._solvers._given import as_solver
from sklinfluence.curvature._solvers._lissa import LiSSA
from sklinfluence.curvature._solvers._nystrom import Nystrom
from sklinfluence.curvature._solvers._row_space import FEW_ROWS
from sklinfluence.curvature._solvers._sketch import Sketch

SOLVERS = {
    "cholesky": Cholesky,
    "cg": ConjugateGradient,
    "lissa": LiSSA,
    "arnoldi": Arnoldi,
    "ekfac": EKFAC,
    "nystrom": Nystrom,
    "sketch": Sketch,
}

# What an ordinary laptop has free beside the rows.
MEMORY = 3 * 2**30
# Iterations of conjugate gradients that an estimate of their cost reckons with: what
# moderately penalised heads took.
_ITERATIONS = 40


@dataclass(frozen=True)
class SolverChoice:
    """What `choose_solver` recommends.

    Attributes
    ----------
    name : str
        As the parameter ``solver`` takes it.
    reason : str
        A sentence.
    solver : Solver
    """

    name: str
    reason: str
    solver: object


@in_memory
def choose_solver(
    n_rows: int,
    n_outputs: int,
    n_columns: int,
    *,
    n_rhs: int | None = None,
    is_block_diagonal: bool = False,
    has_equal_blocks: bool = False,
    is_penalized: bool = False,
    shares_penalty: bool = True,
    memory: int = MEMORY,
) -> "SolverChoice":
    """What ``solver="auto"`` means for a head of this size.

    Parameters
    ----------
    n_rows : int
        Training rows.
    n_outputs : int
        Raw predictions a row: classes, or 1 for a binary problem.
    n_columns : int
        Columns of the embedding, the intercept counted.
    n_rhs : int, default=None
        Right-hand sides that there will be: queries. None: as many as there are rows
        times outputs, for self-influence and leave-one-out predictions of all rows.
    is_block_diagonal : bool, default=False
        Whether outputs do not interact (least squares, one-vs-rest, binary), so that
        they are factored one by one.
    has_equal_blocks : bool, default=False
        Whether one factor serves all outputs (least squares with one penalty).
    is_penalized : bool, default=False
        Whether every column but the intercept's has a penalty. Outputs that do not
        interact are then factored over the rows where these are fewer.
    shares_penalty : bool, default=True
        Whether outputs that interact, those of a softmax, share one l2 penalty. They
        are then factored in contrasts, of which there is one less.
    memory : int, default=3 * 2**30
        Bytes that factors may take.

    Returns
    -------
    choice : SolverChoice
        With ``name``, ``reason`` and ``solver``.

    See Also
    --------
    Cholesky : What it recommends while H can be factored.
    ConjugateGradient : What it recommends beyond.

    Examples
    --------
    >>> from sklinfluence.curvature import choose_solver
    >>> choose_solver(n_rows=20_000, n_outputs=10, n_columns=257).name
    'cholesky'
    >>> choice = choose_solver(n_rows=10_000, n_outputs=77, n_columns=385)
    >>> choice.name
    'cg'
    >>> print(choice.reason)
    29260 parameters in one block: a factor and its inverse would take 19.1 GiB, ...
    """
    sizes = {"n_rows": n_rows, "n_outputs": n_outputs, "n_columns": n_columns}
    for name, value in sizes.items():
        check_scalar(value, name, Integral, min_val=1)
    check_scalar(memory, "memory", Real, min_val=0)
    if n_rhs is not None:
        check_scalar(n_rhs, "n_rhs", Integral, min_val=0)
    size = n_columns
    if not is_block_diagonal:
        size *= max(n_outputs - shares_penalty, 1)
    over_rows = is_block_diagonal and is_penalized and n_rows <= FEW_ROWS * n_columns
    if over_rows:
        size = n_rows
    n_blocks = n_outputs if is_block_diagonal and not has_equal_blocks else 1
    # Each block with its inverse, and one temporary.
    n_bytes = 8 * size * size * (2 * n_blocks + 1)
    what = f"{size} {'rows' if over_rows else 'parameters'} in "
    what += "one block" if n_blocks == 1 else f"each of {n_blocks} blocks"
    if n_bytes > memory:
        reason = (
            f"{what}: a factor and its inverse would take {n_bytes / 2**30:.1f} GiB, "
            f"more than {memory / 2**30:.1f}. Self-influence and leave-one-out "
            "predictions come from the blocks of single outputs, influence on queries "
            "from conjugate gradients."
        )
        return SolverChoice("cg", reason, ConjugateGradient(rows="preconditioner"))
    if n_rhs is not None:
        exact = n_rows * size**2 * n_blocks + size**3 * n_blocks
        by_product = 4 * n_rows * n_outputs * n_columns * n_rhs * _ITERATIONS
        if by_product < exact:
            reason = (
                f"{what}: factoring takes {exact:.1e} operations, {n_rhs} right-hand "
                f"sides by conjugate gradients about {by_product:.1e}."
            )
            return SolverChoice("cg", reason, ConjugateGradient())
    reason = f"{what}: a factor takes {n_bytes / 2**30:.2f} GiB and serves all rows."
    return SolverChoice("cholesky", reason, Cholesky())


def resolve_solver(solver, shape, **what):
    """The solver object that the parameter ``solver`` stands for.

    Parameters
    ----------
    solver : str or object with ``init`` and ``solve``
        A key of `SOLVERS` or "auto", which is what `choose_solver` says.
    shape : tuple of (n_outputs, n_columns)
        Shape of the parameters.
    **what
        As `choose_solver` takes it.

    Returns
    -------
    solver : Solver
    """
    # Without a number of right-hand sides, the number of rows changes nothing.
    return explain_solver(solver, 1, shape, **what)[0]


def explain_solver(solver, n_rows, shape, **what):
    """As `resolve_solver`, and why: (solver, reason)."""
    if isinstance(solver, type):
        raise TypeError(
            f"solver={solver.__name__} is a class: pass an object, "
            f"{solver.__name__}(...)."
        )
    if not isinstance(solver, str):
        return as_solver(solver), "given"
    if solver != "auto":
        return SOLVERS[solver](), "given"
    choice = choose_solver(n_rows, *shape, **what)
    return choice.solver, choice.reason


def solver_name(solver):
    """The name a solver goes by in ``solver_info_``."""
    for name, kind in SOLVERS.items():
        if type(solver) is kind:
            return name
    return solver.class_name


def newton_solver(solver):
    """What takes a head to its optimum: Newton's steps need H^-1 itself."""
    if solver.exact:
        return solver
    return ConjugateGradient(preconditioner=solver if solver.preconditions else "auto")
