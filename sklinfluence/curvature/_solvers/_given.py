"""A solver of the user's own, of which nothing is known but its two methods."""

from functools import cached_property

import numpy as np

from sklinfluence.curvature._solvers._range import project, relative_residuals
from sklinfluence.curvature._solvers._solver import Solver, SolverState

# Where Cholesky's solutions earn a warning: what leaves less is as good as a factor.
_EXACT = 1e-6
# One random right-hand side may miss what a solver gets wrong; four hardly do.
_N_PROBES = 4


def as_solver(solver):
    """The solver itself if it declares what it can, else one that finds out."""
    return solver if isinstance(solver, Solver) else GivenSolver(solver)


class GivenSolver(Solver):
    """The two methods of a user's object, and what follows from them.

    Parameters
    ----------
    solver : object with ``init`` and ``solve``
    """

    remedy = "Penalise the estimator more, set damping above 0 or use solver='cg'."

    def __init__(self, solver):
        self.solver = solver

    def __repr__(self):
        return repr(self.solver)

    @property
    def class_name(self):
        return type(self.solver).__name__

    def init(self, operator):
        """A state that holds the user's."""
        return GivenState(self.solver, operator)

    def solve(self, state, B):
        """The user's solutions on the range of H, their residuals beside them.

        Raises
        ------
        TypeError, ValueError
            If the user's ``solve`` does not return solutions of B's shape and a dict.
        """
        right = project(state.basis, np.asarray(B, dtype=float))
        X, info = self.solutions(state, right)
        if "residual" not in info:
            product = project(state.basis, state.operator.matvec(X))
            info["residual"] = relative_residuals(product, right)
        return X, info

    def solutions(self, state, B):
        """What the user's ``solve`` says, held against what it has to say."""
        if B.shape[1] == 0:  # no row asks: nor is the user's code asked
            return B.copy(), {"residual": np.zeros(0)}
        answer = self.solver.solve(state.held, B)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise TypeError(
                f"{self.class_name}.solve returned {type(answer).__name__}: it must "
                "return (X, info), solutions of B's shape and a dict, empty or with "
                "their relative residuals under 'residual'."
            )
        X, info = answer
        if np.shape(X) != B.shape:
            raise ValueError(
                f"{self.class_name}.solve returned solutions of shape {np.shape(X)} "
                f"for right-hand sides of shape {B.shape}: one column for each is "
                "needed."
            )
        return project(state.basis, np.asarray(X, dtype=float)), dict(info)


class GivenState(SolverState):
    """The user's state, made when it is first needed.

    A cache keeps none of it: it may refer to the rows in any way, and rows are not
    stored.
    """

    def __init__(self, solver, operator):
        self.solver = solver
        self.operator = operator

    @cached_property
    def held(self):
        """What the user's ``init`` returned."""
        return self.solver.init(self.operator)

    @cached_property
    def basis(self):
        return self.operator.null_space()

    @cached_property
    def exact(self):
        """Whether residuals, measured and not reported, are those of an inverse."""
        B = np.random.default_rng(0).standard_normal(
            (self.operator.shape[0], _N_PROBES)
        )
        right = project(self.basis, B)
        X, _ = GivenSolver(self.solver).solutions(self, right)
        product = project(self.basis, self.operator.matvec(X))
        return bool(np.all(relative_residuals(product, right) <= _EXACT))

    def apply_inverse(self, B):
        """The user's solutions of H X = B, (p, m)."""
        right = project(self.basis, np.asarray(B, dtype=float))
        return GivenSolver(self.solver).solutions(self, right)[0]

    def attached(self, operator, made=None):
        """The same solver on another operator; of the user's state nothing."""
        made = {} if made is None else made
        return made.setdefault(id(self), GivenState(self.solver, operator))
