"""A head at its optimum on the training rows, its Hessian factored there."""

from dataclasses import dataclass, replace

import numpy as np

from sklinfluence._scheduling import map_blocks, map_rows
from sklinfluence.curvature import (
    ContrastState,
    Objective,
    Solver,
    SolverState,
    apart,
    contract,
    contrasts_of,
    have_contrasts,
    init_state,
    resolve_solver,
    solutions,
    warn_about_residual,
)


@dataclass
class FittedHead:
    """What every influence of a linear head is a function of.

    Attributes
    ----------
    objective : Objective
        With the damping asked for as its proximal term.
    theta : ndarray of shape (n_outputs, n_columns)
    raw : ndarray of shape (n_rows, n_outputs)
        Raw predictions of the training rows.
    residual : ndarray of shape (n_rows, n_outputs)
        Unweighted derivative of each row's loss.
    operator : Hessian
    solver : Solver
    state : SolverState
        The solver's, for ``operator``.
    gap : float
        Largest change of a training raw prediction that polishing made.
    reason : str
        Why this solver.
    """

    objective: Objective
    theta: np.ndarray
    raw: np.ndarray
    residual: np.ndarray
    operator: object
    solver: Solver
    state: SolverState
    gap: float
    reason: str = "given"

    @property
    def n_rows(self):
        return self.objective.design.n_rows

    def without_rows(self):
        """What is known of the head without a row, to be put on rows by `on`."""
        parts = dict.fromkeys(("raw", "residual", "operator"))
        objective = self.objective.without_rows()
        state = self.state.attached(objective.hessian())
        return replace(self, **parts, objective=objective, state=state)

    def on(self, objective):
        """The head on some of the training rows, factored on all of them.

        Parameters
        ----------
        objective : Objective
            Of these rows.
        """
        raw = objective.raw(self.theta)
        return replace(
            self,
            objective=objective,
            raw=raw,
            residual=objective.residual(raw),
            operator=objective.hessian(raw),
        )

    @property
    def query_residual(self):
        """Residuals of the training rows as queries: of the unweighted loss."""
        loss = self.objective.loss.unweighted()
        if loss is self.objective.loss:
            return self.residual
        return loss.gradient(self.objective.targets, self.raw)

    @property
    def coefficients(self):
        """Weighted residuals s_i r_i: row i's gradient is s_i r_i (x) x_i."""
        return self.objective.weights[:, None] * self.residual

    @property
    def is_exact(self):
        """Whether the solver gives H^-1 itself, to rounding or to a tolerance."""
        exact = self.state.exact
        return self.solver.exact if exact is None else exact

    @property
    def has_exact_rows(self):
        """Whether `row_blocks` are those of H^-1 itself."""
        return self.state.has_exact_rows

    @property
    def exact_solver(self):
        """The solver, or one that Newton's method ends with if it approximates."""
        if self.is_exact and self.solver.serves_newton:
            return self.solver
        return resolve_solver(
            "auto",
            self.theta.shape,
            is_block_diagonal=self.operator.is_block_diagonal,
            has_equal_blocks=self.operator.has_equal_blocks,
            shares_penalty=have_contrasts(self.objective),
        )

    def exactly(self):
        """This head; with `exact_solver` where its own solver approximates."""
        if self.is_exact:
            return self
        solver = self.exact_solver
        return replace(self, solver=solver, state=init_state(solver, self.operator))

    def refuse_approximate_rows(self, what, instead=""):
        """A ValueError that names the solver, unless `row_blocks` are those of H^-1."""
        if self.is_exact and self.has_exact_rows:
            return
        raise ValueError(
            f"{what} the inverse Hessian itself, and {self.solver!r} approximates it, "
            f"for rows at least: use solver='cholesky'{instead}."
        )

    def solve(self, B):
        """H^+ B, with a warning for a residual above the solver's tolerance."""
        return self._solve_in(self.state, B)

    def _solve_in(self, state, B):
        X, info = solutions(self.solver, state, B)
        warn_about_residual(self.solver, info)
        return X

    @property
    def contrasts(self):
        """The head in the contrasts that its state is of, or None: of all outputs."""
        if not isinstance(self.state, ContrastState):
            return None
        operator = contrasts_of(self.operator)
        return replace(
            self,
            objective=operator.objective,
            theta=contract(self.theta),
            raw=contract(self.raw.T).T,  # the factor may be of one a little older
            residual=contract(self.residual.T).T,
            operator=operator,
            state=self.state.inner,
        )

    @property
    def of_row_blocks(self):
        """`contrasts` where the blocks of rows are of these, else the head itself."""
        # Those of a preconditioner are of all outputs as they are.
        is_of_state = self.state.rows_from == "solver"
        return (self.contrasts if is_of_state else None) or self

    def solve_rows(self, coefficients, rows):
        """H^+ (c_i (x) x_i) of a block of rows, (p, n_chosen)."""
        return self._solve_rows_in(self.state, coefficients, rows)

    def _solve_rows_in(self, state, coefficients, rows):
        B = gradient_rows(coefficients, rows).T
        if state.apply_inverse is not None:
            return state.apply_inverse(B)
        return self._solve_in(state, B)

    def row_moves(self, coefficients, rows):
        """H^+ (c_i (x) x_i) of a softmax, less the last output: (K - 1, q, b)."""
        K, q = self.theta.shape
        if isinstance(self.state, ContrastState):
            coefficients = contract(coefficients.T).T
            moves = self._solve_rows_in(self.state.inner, coefficients, rows)
            return apart(moves.reshape(K - 1, q, len(rows)))
        moves = self.solve_rows(coefficients, rows).reshape(K, q, len(rows))
        return moves[:-1] - moves[-1]

    def solve_apart(self, rows):
        """What a softmax's outputs, less the last, move at rows as others leave.

        Returns
        -------
        solved : ndarray of shape (K - 1, n_chosen, size)
        right : callable
            From coefficients (b, K) and rows (b, q) of those that leave to (size, b):
            ``solved`` times it are the moves.
        """
        inside = self.contrasts
        at = self if inside is None else inside
        n_outputs = len(at.theta)
        solved = at.solve(outer_rows(rows, n_outputs))
        solved = solved.reshape(at.theta.size, len(rows), n_outputs)
        solved = solved.transpose(2, 1, 0)
        solved = solved[:-1] - solved[-1] if inside is None else apart(solved)

        def right(coefficients, rows):
            if inside is not None:
                coefficients = contract(coefficients.T).T
            return gradient_rows(coefficients, rows).T

        return np.ascontiguousarray(solved), right

    def row_blocks(self, rows):
        """(I (x) x)^T H^+ (I (x) x) of each row: (b, K), or (b, K, K) for a softmax.

        Of a softmax in contrasts, without the part common to all outputs.
        """
        if self.state.row_blocks is not None:
            return self.state.row_blocks(rows)
        if self.contrasts is not None:
            return self.state.spread(self.contrasts.row_blocks(rows))
        K, q = self.theta.shape
        if self.objective.loss.separable:
            solved = self.solve(np.tile(rows.T, (K, 1))).reshape(K, q, len(rows))
            return np.einsum("kqb,bq->bk", solved, rows)
        solved = self.solve(outer_rows(rows, K)).reshape(K, q, len(rows), K)
        return np.einsum("kqbm,bq->bkm", solved, rows)

    def over_rows(self, work, blocks, n_jobs=None):
        """``[work(block) for block in blocks]``, on threads that the state bears."""
        self.state.prepare()
        run = map_rows if self.state.serves_threads else map_blocks
        return run(work, blocks, n_jobs=n_jobs)

    def refuse_without_blocks(self, what):
        """A ValueError where rows have blocks by solves of their own alone."""
        if not self.has_factor:
            raise ValueError(
                f"{what} of rows on a cluster needs a solver that gives rows their "
                f"blocks of the inverse, and {self.solver!r} would take a solve over "
                "all rows for each: use solver='cholesky', solver='ekfac' or "
                "ConjugateGradient(rows='preconditioner')."
            )

    @property
    def has_factor(self):
        """Whether one factor serves all rows, so that whole-data passes are cheap."""
        return self.state.row_blocks is not None


def gradient_rows(coefficients, rows):
    """Gradients r (x) x of a block of rows, (n_chosen, p)."""
    if coefficients.shape[1] == 1:
        return coefficients * rows
    size = coefficients.shape[1] * rows.shape[1]
    return (coefficients[:, :, None] * rows[:, None, :]).reshape(len(rows), size)


def outer_rows(rows, n_outputs):
    """e_k (x) x_j for every row j and output k: (p, n_chosen * n_outputs)."""
    b, q = rows.shape
    B = np.zeros((n_outputs, q, b, n_outputs))
    for k in range(n_outputs):
        B[k, :, :, k] = rows.T
    return B.reshape(n_outputs * q, b * n_outputs)
