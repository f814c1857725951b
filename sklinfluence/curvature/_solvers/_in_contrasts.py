"""Solvers on a softmax's contrasts, and what they solve there as seen from outside."""

from copy import copy
from functools import cached_property

import numpy as np

from sklinfluence.curvature._contrasts import (
    contract,
    contrasts_of,
    expand,
    expand_blocks,
    whole_of,
)
from sklinfluence.curvature._row_blocks import KroneckerBlocks
from sklinfluence.curvature._solvers._solver import SolverState

# A mean over the outputs of no more than their rounding errors is zero.
_ROUNDING = 8 * np.finfo(float).eps


def init_state(solver, operator):
    """``solver.init``, of the contrasts where they apply and the solver takes them.

    Raises
    ------
    TypeError
        Unless what it returns declares what it offers.
    """
    contrasts = None if solver.keeps_outputs else contrasts_of(operator)
    state = solver.init(operator if contrasts is None else contrasts)
    if not isinstance(state, SolverState):
        raise TypeError(
            f"{solver.class_name}.init returned {type(state).__name__}: a class that "
            "inherits from Solver returns a SolverState. Inherit from SolverState, or "
            "leave Solver out of the bases: then any state will do."
        )
    return state if contrasts is None else ContrastState(operator, state)


def solutions(solver, state, B):
    """``solver.solve(state, B)``, the state being one of `init_state`."""
    if not isinstance(state, ContrastState):
        return solver.solve(state, B)
    B = np.asarray(B, dtype=float)
    X, info = solver.solve(state.inner, state.contracted(B))
    return state.expanded(X, B), info


class _Seen(SolverState):
    """A state that is another one, seen through C."""

    def __init__(self, inner):
        self.inner = inner
        self.rows_from, self.has_exact_rows = inner.rows_from, inner.has_exact_rows
        self.values_per_row = inner.values_per_row
        self.serves_threads = inner.serves_threads

    @property
    def exact(self):
        return self.inner.exact

    @property
    def eigenvalue_range(self):
        return self.inner.eigenvalue_range

    def prepare(self):
        self.inner.prepare()

    @property
    def row_blocks(self):
        return None if self.inner.row_blocks is None else self._row_blocks

    @property
    def apply_inverse(self):
        return None if self.inner.apply_inverse is None else self._apply_inverse

    def attached(self, operator, made=None):
        made = {} if made is None else made
        if id(self) not in made:
            copied = made[id(self)] = copy(self)
            copied.operator = operator
            inner = None if operator is None else self._inner_operator(operator)
            copied.inner = self.inner.attached(inner, made)
        return made[id(self)]


class ContrastState(_Seen):
    """H^+ of K outputs, from a solver's state for their contrasts.

    H is C (C^T H C) C^T, and its diagonal terms alone on what all outputs share: that
    is inverted exactly, and is kernel where nothing penalises it. Row blocks leave it
    out, as all that meets them sums to zero.

    Parameters
    ----------
    operator : Hessian
        H.
    inner : SolverState
        Of C^T H C.
    """

    def __init__(self, operator, inner):
        super().__init__(inner)
        self.operator = operator
        self.n_outputs, self.n_columns = operator.n_outputs, operator.n_columns
        if self.values_per_row is not None:
            self.values_per_row += 3 * self.n_outputs**2

    _inner_operator = staticmethod(contrasts_of)

    @cached_property
    def common_inverse(self):
        """What the diagonal terms are inverted to: 0 where nothing penalises."""
        terms = self.operator.diagonal_terms[0]
        # A term that H's own rounding exceeds penalises nothing.
        floor = np.finfo(float).eps * self.operator.trace()
        return np.divide(1.0, terms, out=np.zeros(len(terms)), where=terms > floor)

    def _apply_inverse(self, B):
        return self.expanded(self.inner.apply_inverse(self.contracted(B)), B)

    def contracted(self, B):
        """Right-hand sides for the contrasts, from those for H."""
        size = (self.n_outputs - 1) * self.n_columns
        return contract(B.reshape(self.n_outputs, -1)).reshape(size, B.shape[1])

    def expanded(self, X, B):
        """Solutions of H, from those for the contrasts and the right-hand sides."""
        by_output = expand(X.reshape(self.n_outputs - 1, -1))
        asked = B.reshape(self.n_outputs, -1)
        common = np.add.reduce(asked) / self.n_outputs
        # What rounding leaves of gradients that sum to zero has no part in them.
        rounding = _ROUNDING * np.abs(asked).max(initial=0.0)
        if np.abs(common).max(initial=0.0) > rounding:
            common = common.reshape(self.n_columns, B.shape[1])
            common = self.common_inverse[:, None] * common
            by_output += common.ravel()
        return by_output.reshape(B.shape)

    def _row_blocks(self, rows):
        blocks = self.inner.row_blocks(rows)
        # Those of a preconditioner are of all outputs as they are.
        is_whole = isinstance(blocks, KroneckerBlocks)
        if is_whole or blocks.shape[-1] == self.n_outputs:
            return blocks
        return self.spread(blocks)

    def spread(self, blocks):
        """(..., K, K) blocks of outputs from contrasts', of one as (..., 1)."""
        return expand_blocks(blocks[..., None] if self.n_outputs == 2 else blocks)

    @property
    def shift(self):
        return self.inner.shift

    def at(self, operator, shift):
        """As `SpectralState.at`."""
        return ContrastState(operator, self.inner.at(contrasts_of(operator), shift))

    def apply_many(self, B, shifts):
        """As `SpectralState.apply_many`, for right-hand sides that sum to zero."""
        solved = self.inner.apply_many(self.contracted(B), shifts)
        by_output = expand(solved.reshape(self.n_outputs - 1, -1))
        return by_output.reshape(len(B), *solved.shape[1:])


class OfContrasts(_Seen):
    """A preconditioner of all outputs, for their contrasts.

    Its rows' blocks are those of outputs: what they approximate by depends on these.
    """

    _inner_operator = staticmethod(whole_of)

    def __init__(self, inner, n_contrasts):
        super().__init__(inner)
        self.n_contrasts = n_contrasts

    def _apply_inverse(self, R):
        right = expand(R.reshape(self.n_contrasts, -1))
        right = right.reshape(right.size // max(R.shape[1], 1), R.shape[1])
        solved = self.inner.apply_inverse(right).reshape(self.n_contrasts + 1, -1)
        return contract(solved).reshape(R.shape)

    def _row_blocks(self, rows):
        return self.inner.row_blocks(rows)
