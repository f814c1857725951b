"""Preconditioners of conjugate gradients, by name."""

from sklearn import get_config

from sklinfluence.curvature._contrasts import whole_of
from sklinfluence.curvature._preconditioners._block_preconditioners import (
    BlockCholesky,
    BlockNystrom,
)
from sklinfluence.curvature._solvers._ekfac import EKFAC
from sklinfluence.curvature._solvers._given import as_solver
from sklinfluence.curvature._solvers._in_contrasts import OfContrasts, init_state
from sklinfluence.curvature._solvers._nystrom import Nystrom
from sklinfluence.curvature._solvers._row_space import is_wide

# Of fewer directions Nyström blocks can be worse than none, many right-hand sides and
# a weak penalty given (usps, C=30: 50 iterations at rank 8, 37 at 32, 39 without).
_LEAST_RANK = 32
_MOST_RANK = 256


def make_preconditioner(preconditioner, operator):
    """From the parameter ``preconditioner`` to a state that has ``apply_inverse``.

    Parameters
    ----------
    preconditioner : str, solver object or None
    operator : Hessian

    Returns
    -------
    made : SolverState or None
    """
    whole = whole_of(operator)
    if whole is not None:
        # Blocks, and factors of outputs, are those of classes, not of contrasts.
        made = make_preconditioner(preconditioner, whole)
        return None if made is None else OfContrasts(made, operator.n_outputs)
    if preconditioner == "auto":
        preconditioner = _choose(operator)
    if preconditioner is None:
        return None
    if preconditioner == "block":
        return BlockCholesky(operator)
    if preconditioner == "block_nystrom":
        if operator.block_products is None or not operator.has_one_set:
            raise ValueError(
                "preconditioner='block_nystrom' needs a linear head with one set of "
                "columns for all outputs, which networks and l1 penalties have not. "
                "Use 'nystrom' here."
            )
        return BlockNystrom(operator, max(_rank_that_fits(operator), _LEAST_RANK))
    solver = {"ekfac": EKFAC, "nystrom": Nystrom}
    if isinstance(preconditioner, str):
        preconditioner = solver[preconditioner]()
    made = init_state(as_solver(preconditioner), operator)
    if made.apply_inverse is None:
        raise ValueError(
            f"preconditioner={preconditioner!r} cannot be one: what its init gives has "
            "no apply_inverse. Cholesky, EKFAC, Nystrom and Arnoldi have."
        )
    return made


def _choose(operator):
    """The blocks whole where they fit, else as much of each as fits, else EK-FAC."""
    n_blocks = 1 if operator.has_equal_blocks else operator.n_outputs
    side = operator.n_rows if is_wide(operator) else operator.n_columns
    whole = n_blocks * side**2 <= _values_that_fit()
    if whole or not operator.has_one_set:
        return "block"
    return "block_nystrom" if _rank_that_fits(operator) >= _LEAST_RANK else "ekfac"


def _rank_that_fits(operator):
    # One array of products beside the vectors kept.
    rank = _values_that_fit() // (2 * operator.n_outputs * operator.n_columns)
    return int(min(rank, _MOST_RANK))


def _values_that_fit():
    return get_config()["working_memory"] * 2**20 / 8
