"""What a solver is, and what it may say of itself and of its state."""

import copy
from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklinfluence._in_memory import InMemoryMixin


class HoldsOperator(InMemoryMixin):
    """A part of a solver's state that refers to the operator it was made of."""

    operator = None

    def attached(self, operator: Any, made: dict | None = None) -> Any:
        """A copy, its parts too, with another operator in place of its own.

        Parameters
        ----------
        operator : Operator or None
            None to let go of the rows, before the copy is stored.
        made : dict, default=None
            Copies by the identity of what they are of, so that what was shared stays
            shared.

        Returns
        -------
        copied : same type
        """
        made = {} if made is None else made
        if id(self) in made:
            return made[id(self)]
        copied = made[id(self)] = copy.copy(self)
        for name, value in vars(self).items():
            if name == "operator":
                copied.operator = operator
            elif isinstance(value, list):
                parts = [_attached_part(part, operator, made) for part in value]
                setattr(copied, name, parts)
            else:
                setattr(copied, name, _attached_part(value, operator, made))
        return copied


def _attached_part(part, operator, made):
    if isinstance(part, HoldsOperator):
        return part.attached(operator, made)
    return part


class SolverState(HoldsOperator):
    """What `Solver.init` returns, and what may be asked of it beside a solution.

    A subclass writes the methods that it can offer over the ``None`` that says it
    cannot; nothing else is asked of it.

    Attributes
    ----------
    operator : Operator or None
        What the state was made of, if it keeps it.
    apply_inverse : method or None
        (p, m) array to (p, m) array: a fixed symmetric matrix, H^-1 or what stands
        for it. None: solutions come from ``solve`` alone, and the state preconditions
        nothing.
    row_blocks : method or None
        Rows (n_chosen, n_columns) to the blocks (I (x) x_i)^T H^-1 (I (x) x_i) of
        each: an array (n_chosen, K, K), (n_chosen, K) if outputs do not interact. None:
        as many solves as there are rows times outputs.
    eigenvalue_range : method or None
        Without arguments: estimates of the smallest and the largest eigenvalue of H
        on its range. None: not known.
    values_per_row : int or None
        Numbers that a row takes while `row_blocks` works on it. None: what blocks of
        (p + K^2) numbers take.
    rows_from : str
        What the rows' blocks come from, as ``solver_info_`` names it.
    has_exact_rows : bool
        Whether these blocks are as close to those of H^-1 as the solutions are.
    serves_threads : bool
        Whether `row_blocks` and `apply_inverse` are numpy's products, for several
        threads at once. False: they are asked on as many as ``n_jobs`` says, one by
        default.
    exact : bool or None
        Whether solutions are H^-1 b itself. None: what the solver says of itself.

    Examples
    --------
    >>> import numpy as np
    >>> from sklinfluence.curvature import Solver, SolverState
    >>> class Inverse(SolverState):
    ...     def __init__(self, operator):
    ...         self.operator = operator
    ...         self.inverse = np.linalg.inv(operator.matvec(np.eye(operator.shape[0])))
    ...     def apply_inverse(self, B):
    ...         return self.inverse @ B
    >>> class DenseInverse(Solver):
    ...     exact = True
    ...     def init(self, operator):
    ...         return Inverse(operator)
    ...     def solve(self, state, B):
    ...         return state.apply_inverse(B), {"residual": np.zeros(B.shape[1])}
    >>> DenseInverse().exact
    True
    """

    apply_inverse = None
    row_blocks = None
    eigenvalue_range = None
    values_per_row = None
    rows_from = "solver"
    has_exact_rows = True
    serves_threads = False
    exact = None

    def prepare(self) -> None:
        """Compute what `row_blocks` and `apply_inverse` would at their first call.

        What has threads of its own has them here; passes over rows have theirs.
        """


class Solver(InMemoryMixin, BaseEstimator):
    """Base of the solvers of H X = B; what they declare beside their two methods.

    A solver has ``init(operator)``, which returns a state, and ``solve(state, B)``,
    which returns solutions, of B's shape (p, m), and a dict, ``residual`` (m,) in it
    where it is known. An object with these two methods is a solver wherever one is
    taken, and need not inherit from this class; its state may be anything. It is
    taken for exact where its solutions leave relative residuals below 1e-6. One that
    inherits says so itself, and its ``init`` returns a
    :class:`~sklinfluence.curvature.SolverState`.

    Attributes
    ----------
    exact : bool, default=False
        Whether solutions are H^-1 b itself, to rounding or to a tolerance. What is not
        exact takes no head to its optimum (conjugate gradients do it) and is refused
        where a bound is asked for.
    tol : float or None, default=None
        Relative residual above which a solution earns a warning. None: the solver
        knows no tolerance.
    remedy : str
        What such a warning tells the user to do.
    preconditions : bool, default=False
        Whether conjugate gradients take a head to its optimum preconditioned with
        this solver rather than with their own choice.
    serves_newton : bool, default=True
        Whether ``init`` is cheap enough to be called for a Hessian at every few steps.
    keeps_outputs : bool, default=False
        Whether ``init`` takes the Hessian of all K outputs of a softmax. Otherwise,
        where the outputs share one l2 penalty, it is given that of K - 1 orthonormal
        contrasts between them, p = (K - 1) x n_columns, and solves there. For what
        approximates by the outputs as they are.

    See Also
    --------
    Cholesky : The exact one.
    SolverState : What a state declares.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklinfluence.curvature import Solver, SolverState
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> class InverseState(SolverState):
    ...     def __init__(self, H):
    ...         self.inverse = np.linalg.inv(H)
    ...
    ...     def apply_inverse(self, B):
    ...         return self.inverse @ B
    >>> class Inverse(Solver):
    ...     exact = True
    ...
    ...     def init(self, operator):
    ...         return InverseState(operator.dense())
    ...
    ...     def solve(self, state, B):
    ...         return state.apply_inverse(B), {}
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ranker = InfluenceRanker(Ridge(), solver=Inverse()).fit(X, y)
    >>> truth = InfluenceRanker(Ridge(), solver="cholesky").fit(X, y)
    >>> bool(np.allclose(ranker.self_influence_, truth.self_influence_))
    True
    """

    exact = False
    tol = None
    remedy = (
        "Raise max_iter, scale the columns of X, penalise the estimator more or set "
        "damping above 0."
    )
    preconditions = False
    serves_newton = True
    keeps_outputs = False

    def init(self, operator: Any) -> Any:
        """Prepare for any number of right-hand sides.

        Parameters
        ----------
        operator : Operator
            H: ``matvec(V)``, ``dense()``, ``shape``, ``null_space()``.

        Returns
        -------
        state : SolverState
        """
        raise NotImplementedError(f"{self.class_name} has no init(operator).")

    def solve(self, state: Any, B: NDArray) -> tuple[NDArray, dict]:
        """Solve H X = B on the range of H.

        Parameters
        ----------
        state : SolverState
            From `init`.
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            ``residual``: relative residual of every right-hand side, (m,), if known.
        """
        raise NotImplementedError(f"{self.class_name} has no solve(state, B).")

    @property
    def class_name(self):
        """The class that the user named."""
        return type(self).__name__
