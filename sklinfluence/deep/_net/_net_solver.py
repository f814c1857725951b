"""Solvers of the core on a network's curvature: which one, and what is known of it."""

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from sklinfluence.curvature import (
    EKFAC,
    ConjugateGradient,
    SingularHessianError,
    init_state,
    resolve_solver,
    solver_name,
    warn_about_residual,
)
from sklinfluence.deep._net._candidates import fastif_solver

# The dense matrix costs K backward passes a row and p^2 numbers: worth it up to here.
_MAX_DENSE = 2000
# Products in float32 leave residuals of about this size, whatever the iterations.
_TOL = {"torch.float32": 1e-4, "torch.float64": 1e-8}
# The smallest eigenvalue is looked at for its sign and its size: two digits serve.
_LANCZOS_TOL = 1e-2
# By how much of an eigenvalue's usual size all are moved while they are looked for.
_SHIFT = 1e-3
# A solve each; a few training rows tell how good the solver is.
_N_PROBES = 8
# What EK-FAC leaves out of a network, layers' interactions, these put right: without
# them influences had a third less of the exact ones' order (user guide, "deep").
_N_DIRECTIONS = 200


def resolve_net_solver(solver, operator):
    """The solver object that the parameter ``solver`` stands for, for a network."""
    if solver == "auto":
        solver = "cholesky" if operator.shape[0] <= _MAX_DENSE else "cg"
    if isinstance(solver, str) and solver == "fastif":
        return fastif_solver(operator)
    if isinstance(solver, str) and solver == "ekfac":
        return EKFAC(n_directions=_N_DIRECTIONS)
    if isinstance(solver, str) and solver == "cg":
        tol = _TOL.get(str(operator.objective.dtype), 1e-4)
        return ConjugateGradient(tol=tol, preconditioner="ekfac")
    shape = (operator.n_outputs, operator.n_columns)
    return resolve_solver(solver, shape, is_block_diagonal=True)


def init_solver(solver, operator):
    """The solver's state; an indefinite or singular curvature is named."""
    if operator.curvature == "hessian":
        _refuse_indefinite(operator)
    try:
        return init_state(solver, operator)
    except SingularHessianError as error:
        raise SingularHessianError(_MESSAGE.format(detail="")) from error


def extreme(operator, which):
    """Smallest ("SA") or largest ("LA") eigenvalue, by Lanczos, to one per cent."""
    size = operator.shape[0]
    if size <= 2:
        values = np.linalg.eigvalsh(operator.dense())
        return float(values[0] if which == "SA" else values[-1])
    start = np.random.default_rng(0).standard_normal(size)
    moved = operator.matvec(start[:, None])
    # Its tolerance is relative to what it looks for: of 0 nothing would be near enough.
    shift = _SHIFT * np.linalg.norm(moved) / np.linalg.norm(start)

    def shifted(v):
        v = v.reshape(-1, 1)
        return (operator.matvec(v) + shift * v)[:, 0]

    linear = LinearOperator(operator.shape, matvec=shifted)
    try:
        values = eigsh(
            linear,
            k=1,
            which=which,
            tol=_LANCZOS_TOL,
            v0=start,
            maxiter=30,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence:
        return np.nan
    return float(values[0] - shift)


_MESSAGE = (
    "The curvature of the network's objective is not positive definite{detail}. A "
    "network has directions that no row sees, so damping=0 needs a weight decay on "
    "every parameter; its Hessian has negative eigenvalues wherever it is not at a "
    "strict minimum. Set damping above 0 (for a Hessian, above the size of its most "
    "negative eigenvalue divided by the number of rows), or use "
    "curvature='gauss_newton', which is never indefinite."
)


def _refuse_indefinite(operator):
    low = extreme(operator, "SA")
    operator.smallest_eigenvalue = low
    if low > 0 or np.isnan(low):
        return
    total = float(operator.objective.weights.sum())
    wanted = operator.objective.proximal / total - low / total
    raise SingularHessianError(
        _MESSAGE.format(
            detail=f": its smallest eigenvalue is {low:.2g}, damping included; "
            f"damping={1.1 * wanted:.1g} would make it definite"
        )
    )


def _probes(objective, residual):
    """A few training gradients, on which the solver's residual is reported."""
    weighted = np.flatnonzero(objective.weights.cpu().numpy())
    n_probes = min(_N_PROBES, len(weighted))
    chosen = weighted[np.linspace(0, len(weighted) - 1, n_probes).astype(int)]
    at = torch.as_tensor(chosen, device=residual.device)
    gradients = objective.row_gradients(objective.rows.take(chosen), residual[at])
    return gradients.cpu().double().numpy().T


def describe(solver, state, operator, damping, residual):
    """The dict that the ranker publishes as ``solver_info_``."""
    _, info = solver.solve(state, _probes(operator.objective, residual))
    warn_about_residual(solver, info)
    low = operator.smallest_eigenvalue
    if low is None:
        low = float(operator.diagonal_terms.min())
    high = extreme(operator, "LA")
    return {
        "solver": solver_name(solver),
        "n_parameters": operator.shape[0],
        "damping": damping,
        "damping_in_force": operator.objective.proximal,
        **info,
        "smallest_eigenvalue": low,
        "largest_eigenvalue": high,
        "condition_number": high / low if low > 0 else np.inf,
    }
