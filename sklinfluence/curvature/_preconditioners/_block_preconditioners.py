"""Inverses of the Hessian's diagonal blocks, one an output, whole or of low rank."""

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from sklinfluence.curvature._row_blocks import ContrastBlocks
from sklinfluence.curvature._solvers._row_space import is_wide, output_factors
from sklinfluence.curvature._solvers._solver import SolverState


class _Blocks(SolverState):
    """What both have in common: how blocks stand for a softmax, which couples them.

    A softmax does not see a shift common to all outputs, so there H is its diagonal
    terms alone while its blocks are far from them: that part is inverted exactly and
    the blocks serve the contrasts between outputs. (Left to the blocks, the common
    part cost more iterations than no preconditioner.) In a contrast the other outputs
    move against output k and add to its curvature: `_stretch` says by how much.
    """

    def __init__(self, operator):
        self.n_outputs, self.n_columns = operator.n_outputs, operator.n_columns
        self.is_block_diagonal = operator.is_block_diagonal
        # What a row takes while its block is worked on.
        self.values_per_row = 3 * self.n_columns + 16 * self.n_outputs
        self.stretch = _stretch(operator)
        self.common_inverse = None
        terms = operator.diagonal_terms
        if not operator.is_block_diagonal and np.all(terms == terms[0]):
            # Where nothing penalises the common part it is kernel, projected anyway.
            inverse = np.zeros(self.n_columns)
            np.divide(1.0, terms[0], out=inverse, where=terms[0] > 0)
            self.common_inverse = inverse[:, None]

    def apply_inverse(self, B):
        """The preconditioner applied to B, (p, m)."""
        by_output = B.reshape(self.n_outputs, self.n_columns, B.shape[1])
        if self.common_inverse is None:
            return self._solve_blocks(by_output).reshape(B.shape)
        common = by_output.mean(axis=0)
        solved = self._solve_blocks(by_output - common)
        solved += self.common_inverse * common - solved.mean(axis=0)
        return solved.reshape(B.shape)

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^-1 (I (x) x_i) of each row, as far as the blocks know.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : ContrastBlocks, or ndarray of shape (n_chosen, K) if outputs do not \
                interact: then they are exact for whole blocks
        """
        values = self._row_values(rows)
        if self.is_block_diagonal:
            return values
        return ContrastBlocks(None, values, self.holds_row)


def _stretch(operator):
    """One and the sum of squared shares that others have in each output's curvature.

    2 where one other output shares all of it, K / (K - 1) where all K are alike: in
    both cases the stretched blocks are H itself on the contrasts.
    """
    if operator.is_block_diagonal:
        return np.ones(operator.n_outputs)
    total = operator.output_curvature()
    own = np.diag(total)[:, None]
    shares = np.divide(total, own, out=np.eye(len(total)), where=own > 0)
    return np.sum(shares**2, axis=1)


class BlockCholesky(_Blocks):
    """Cholesky factors of the diagonal blocks of H.

    Parameters
    ----------
    operator : Hessian
        Memory is n_outputs x n_columns^2 values, or n_outputs x n_rows^2 where there
        are fewer rows.
    """

    rows_from = "block"
    holds_row = True

    def __init__(self, operator):
        super().__init__(operator)
        self.has_exact_rows = operator.is_block_diagonal
        self.active = operator.active
        self.factors = block_factors(operator, self.stretch)

    def _solve_blocks(self, B):
        pairs = zip(self.factors, B, strict=True)
        return np.stack([factor.solve(block) for factor, block in pairs])

    def _row_values(self, rows):
        values = {}
        for k, factor in enumerate(self.factors):
            if factor not in values:
                # An l1 head's columns that an output does not use are no parameters.
                own = rows if self.active is None else rows * self.active[k]
                values[factor] = factor.leverage(own)
        return np.column_stack([values[factor] for factor in self.factors])


def block_factors(operator, stretch=None):
    """Factors of the diagonal blocks, over the rows where these are fewer.

    Parameters
    ----------
    operator : Hessian
    stretch : ndarray of shape (n_outputs,), default=None
        What the rows' part of each block is multiplied with.

    Returns
    -------
    factors : list of n_outputs objects with ``solve`` and ``leverage``
        The same one for all where blocks are equal.
    """
    if is_wide(operator):
        return output_factors(operator, stretch)
    blocks = operator.diagonal_blocks()
    inner, terms = np.arange(operator.n_columns), operator.diagonal_terms[: len(blocks)]
    if stretch is not None:
        blocks[:, inner, inner] -= terms
        blocks *= stretch[: len(blocks), None, None]
        blocks[:, inner, inner] += terms
    factors = [LiftedFactor(block) for block in blocks]
    return factors * (operator.n_outputs // len(factors))


class LiftedFactor:
    """Cholesky factor of a block, its diagonal raised by rounding's worth.

    Each entry by its own: columns may be in any unit, an intercept in another.
    """

    def __init__(self, block):
        inner = np.arange(len(block))
        own = block[inner, inner]
        block[inner, inner] += np.where(own > 0, 1e-10 * own, 1.0)
        self.factor = cholesky(block, lower=True, check_finite=False)

    def solve(self, B):
        """The block's inverse times B."""
        return cho_solve((self.factor, True), B)

    def leverage(self, rows):
        """x^T block^-1 x of each row, (n_chosen,)."""
        half = solve_triangular(self.factor, rows.T, lower=True)
        return np.einsum("ij,ij->j", half, half)


class BlockNystrom(_Blocks):
    """Nyström approximations of the diagonal blocks of H, all of one rank.

    The last column, an intercept as a rule, is eliminated exactly: it has no penalty
    to lend it a scale. What is left of each output is its penalty and the leading
    directions that one product with random vectors finds. All other directions get one
    eigenvalue: the smallest found when the blocks precondition, so that none is
    overrated, and the mean of what the trace says is left when they stand for H.

    Parameters
    ----------
    operator : Hessian
        Needs ``block_products``; memory is n_outputs x n_columns x rank values.
    rank : int
    random_state : int, default=0

    References
    ----------
    .. [1] Frangella, Z., Tropp, J. A. and Udell, M. (2023). Randomized Nyström
       preconditioning.
    """

    rows_from = "block_nystrom"
    serves_threads = True
    has_exact_rows = False
    holds_row = False

    def __init__(self, operator, rank, random_state=0):
        super().__init__(operator)
        d = self.n_columns - 1
        rank = min(rank, d)
        rng = np.random.default_rng(random_state)
        probes = np.zeros((d + 1, rank + 1))
        probes[:d, :rank] = np.linalg.qr(rng.standard_normal((d, rank)))[0]
        probes[d, rank] = 1.0
        terms = operator.diagonal_terms
        seen = self.stretch[:, None, None] * operator.block_products(probes)
        corner = seen[:, d, rank] + terms[:, d]
        corner[corner <= 0] = 1.0
        self.corner, self.border = corner[:, None], seen[:, :d, rank]
        # The Schur complement of the last column, times the probes.
        slope = seen[:, None, d, :rank] / corner[:, None, None]
        image = seen[:, :d, :rank] - self.border[:, :, None] * slope
        self.vectors, values = _leading_directions(probes[:d, :rank], image)

        penalty = terms[:, :d].mean(axis=1) if d else np.ones(len(terms))
        is_tail = np.all(values > 0, axis=1) & (rank < d)
        smallest = np.where(is_tail, values.min(axis=1, initial=np.inf), 0.0)
        trace = self.stretch * operator.block_traces() - seen[:, d, rank]
        trace -= np.sum(self.border**2, axis=1) / corner
        left = np.maximum(trace - values.sum(axis=1), 0.0) / max(d - rank, 1)
        self.solving = _levelled(values, penalty, smallest)
        self.standing = _levelled(values, penalty, np.where(is_tail, left, 0.0))

    def _solve_blocks(self, B):
        level, coefficients = self.solving
        last = B[:, -1] / self.corner
        right = B[:, :-1] - self.border[:, :, None] * last[:, None, :]
        inside = self.vectors.transpose(0, 2, 1) @ right
        inside *= coefficients[:, :, None]
        solved = np.empty_like(B)
        solved[:, :-1] = right / level[:, None, None] + self.vectors @ inside
        along = (self.border[:, None, :] @ solved[:, :-1])[:, 0]
        solved[:, -1] = last - along / self.corner
        return solved

    def _row_values(self, rows):
        level, coefficients = self.standing
        values = np.empty((len(rows), self.n_outputs))
        for k in range(self.n_outputs):
            last = rows[:, -1] / self.corner[k]
            right = rows[:, :-1] - last[:, None] * self.border[k]
            own = np.einsum("ij,ij->i", right, right) / level[k]
            own += (right @ self.vectors[k]) ** 2 @ coefficients[k]
            values[:, k] = own + rows[:, -1] * last
        return values


def _leading_directions(probes, image):
    """Eigenpairs of the Nyström approximations of A_k, from A_k times the probes.

    Returns
    -------
    vectors : ndarray of shape (n_outputs, n_columns, rank)
    values : ndarray of shape (n_outputs, rank)
        Zero, vectors too, where A_k has a lower rank.
    """
    vectors, values = np.zeros_like(image), np.zeros((len(image), image.shape[2]))
    for k, Y in enumerate(image):
        core = probes.T @ Y
        scale, inner = np.linalg.eigh(0.5 * (core + core.T))
        kept = scale > len(scale) * 1e-13 * scale.max(initial=0.0)
        root = Y @ (inner[:, kept] / np.sqrt(scale[kept]))
        found, turn = np.linalg.eigh(root.T @ root)
        sound = found > 1e-14 * found.max(initial=0.0)
        found, turn = found[sound], turn[:, sound]
        vectors[k, :, : len(found)] = root @ (turn / np.sqrt(found))
        values[k, : len(found)] = found
    return vectors, values


def _levelled(values, penalty, tail):
    """(V diag(values) V^T + penalty I)^-1 with ``tail`` in all other directions.

    Returns
    -------
    level : ndarray of shape (n_outputs,)
    coefficients : ndarray of shape (n_outputs, rank)
        I / level + V diag(coefficients) V^T is the inverse.
    """
    level = penalty + tail
    floor = 1e-10 * values.max(axis=1, initial=0.0)
    level = np.maximum(level, np.where(floor > 0, floor, 1.0 * (level == 0)))
    coefficients = 1.0 / (values + np.maximum(penalty, floor)[:, None] + (values == 0))
    return level, np.where(values > 0, coefficients - 1.0 / level[:, None], 0.0)
