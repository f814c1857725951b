"""The Hessian of a head's objective, as a thing one multiplies by or makes dense.

For raw predictions f_i with curvature S_i, row weight s_i and row x_i,
H = sum_i s_i S_i (x) x_i x_i^T + diag(penalty) + proximal I. Parameters run over
outputs first, columns second. Neither form ever holds one gradient a row.

What the rows give is what a method ``_*_of_rows`` says of some of them; `summed` puts
together all, wherever they lie, and the penalty is added once.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._scheduling import map_rows, sum_rows, tree_sum
from sklinfluence.curvature import _folded
from sklinfluence.curvature._kronecker import KroneckerFactors
from sklinfluence.curvature._operator import Operator

# Symmetric updates are at their fastest with about this many rows at a time.
_UPDATE_ROWS = 1024
# Into how many sums the Hessian's passes are split at least, whatever the threads.
_N_SUMS = 16
# Of all pairs of many outputs together, since each is as large as they are.
_N_SUMS_OF_ALL = 4


class Hessian(Operator):
    """The curvature of a linear head's objective.

    Parameters
    ----------
    objective : Objective
    raw : ndarray of shape (n_rows, n_outputs)
        Raw predictions at which the curvature is taken.
    """

    def __init__(self, objective, raw):
        self.objective = objective
        self.raw = raw
        self.n_outputs, self.n_columns = objective.shape
        n_parameters = self.n_outputs * self.n_columns
        self.shape = (n_parameters, n_parameters)

    @property
    def design(self):
        return self.objective.design

    @property
    def active(self):
        return self.objective.active

    @property
    def rows_at_hand(self):
        return self.objective.rows_at_hand

    @property
    def is_rowless(self):
        return self.objective.is_rowless

    def summed(self, function, *args):
        """The sum over all rows of what a function says of the Hessian of some.

        Parameters
        ----------
        function : callable
            Of a `Hessian` and ``args`` to an array, or a tuple or dict of arrays.
        """
        return self.objective.summed(function, self, *args)

    @property
    def diagonal_terms(self):
        """Penalty and proximal term, (n_outputs, n_columns)."""
        return self.objective.penalty + self.objective.proximal

    @property
    def is_block_diagonal(self):
        """Whether outputs do not interact."""
        return self.objective.loss.separable

    @property
    def has_equal_blocks(self):
        """Whether every output has the same diagonal block (least squares)."""
        return self.objective.loss.is_quadratic and bool(
            np.all(self.diagonal_terms == self.diagonal_terms[0])
        )

    def null_space(self):
        """Orthonormal basis of the kernel, (p, n_directions)."""
        return self.objective.null_space()

    def _weighted_curvature(self, index, diagonal=False):
        """Curvature times row weight: (n_chosen, K) or (n_chosen, K, K)."""
        objective = self.objective
        loss = objective.loss
        form = loss.curvature_diagonal if diagonal else loss.curvature
        curvature = form(objective.targets[index], self.raw[index])
        weights = objective.weights[index]
        return curvature * weights.reshape(-1, *[1] * (curvature.ndim - 1))

    def matvec(self, V):
        """H V for V of shape (p, m)."""
        V = np.asarray(V)
        product = self.summed(Hessian._product_of_rows, V)
        return product + self.diagonal_terms.reshape(-1, 1) * V

    def _product_of_rows(self, V):
        K, q = self.n_outputs, self.n_columns
        m = V.shape[1]
        by_column = V.reshape(K, q, m).transpose(1, 0, 2).reshape(q, K * m)
        product = np.zeros((q, K * m))
        design = self.objective.design
        objective = self.objective
        for block in block_slices(design.n_rows, 3 * K * m):
            # Their number spelt out: where V has no columns, it cannot be inferred.
            rows = self.raw[block]
            bent = objective.loss.curvature_product(
                objective.targets[block],
                rows,
                design.dot(by_column, block).reshape(len(rows), K, m),
                objective.weights[block],
            )
            product += design.transpose_dot(bent.reshape(len(rows), K * m), block)
        return product.reshape(q, K, m).transpose(1, 0, 2).reshape(K * q, m)

    def _refuse_far_rows(self):
        if not self.rows_at_hand:
            raise ValueError(
                "The solver draws single rows, and these are on a cluster: use "
                "solver='cholesky', solver='ekfac' or solver='cg'."
            )

    def kronecker_factors(self):
        """EK-FAC's approximation of H."""
        return KroneckerFactors(self)

    def sampled(self, index):
        """An unbiased estimate of H from some of the rows, the penalty whole."""
        self._refuse_far_rows()
        objective = self.objective
        n_rows = objective.design.n_rows
        part = replace(
            objective,
            design=objective.design.take(index),
            targets=objective.targets[index],
            weights=objective.weights[index] * (n_rows / len(index)),
        )
        return type(self)(part, self.raw[index])

    @property
    def n_rows(self):
        return self.objective.design.n_rows

    def row_bounds(self, norms=None):
        """What bounds the largest eigenvalue of each row's part, up to 2: (n_rows,).

        ``norms`` are the rows' squared lengths, where they are known.
        """
        self._refuse_far_rows()
        objective = self.objective
        curvature = objective.loss.curvature_diagonal(objective.targets, self.raw)
        largest = objective.weights * curvature.max(axis=1)
        return largest * (objective.design.squared_norms() if norms is None else norms)

    def trace(self):
        """Sum of the diagonal, in one pass over the rows."""
        rows = self.summed(Hessian._trace_of_rows)
        return float(rows + self.diagonal_terms.sum())

    def _trace_of_rows(self):
        objective = self.objective
        curvature = objective.loss.curvature_diagonal(objective.targets, self.raw)
        weights = objective.weights * curvature.sum(axis=1)
        return weights @ objective.design.squared_norms()

    def diagonal_blocks(self):
        """The block of each output, (n_outputs, n_columns, n_columns).

        One block stands for all where they are equal: shape (1, ...) then.
        """
        n_blocks = 1 if self.has_equal_blocks else self.n_outputs
        pairs = [(k, k) for k in range(n_blocks)]
        blocks = np.stack(self.summed(Hessian._pairs_of_rows, pairs))
        inner = np.arange(self.n_columns)
        blocks[:, inner, inner] += self.diagonal_terms[:n_blocks]
        return blocks

    def block_products(self, V):
        """What the rows give to each diagonal block, times V of shape (q, m).

        Returns
        -------
        product : ndarray of shape (n_outputs, n_columns, m)
        """
        return self.summed(Hessian._block_products_of_rows, V)

    def _block_products_of_rows(self, V):
        K, m = self.n_outputs, V.shape[1]
        product = np.zeros((K, self.n_columns, m))
        design = self.objective.design
        for block in block_slices(design.n_rows, self.n_columns + 2 * m + K):
            rows = design.rows(block)
            seen = rows @ V
            weights = self._weighted_curvature(block, diagonal=True)
            for k in range(K):
                product[k] += rows.T @ (weights[:, k, None] * seen)
        return product

    def block_traces(self):
        """Trace of what the rows give to each diagonal block, (n_outputs,)."""
        return self.summed(Hessian._block_traces_of_rows)

    def output_curvature(self):
        """Sum over the rows of weight times curvature, (n_outputs, n_outputs)."""
        return self.summed(Hessian._output_curvature_of_rows)

    def _output_curvature_of_rows(self):
        objective = self.objective
        return objective.loss.curvature_sum(
            objective.targets, self.raw, objective.weights
        )

    def _block_traces_of_rows(self):
        objective = self.objective
        curvature = objective.loss.curvature_diagonal(objective.targets, self.raw)
        return (objective.weights * objective.design.squared_norms()) @ curvature

    def dense(self):
        """H as an array of shape (p, p), in Fortran order."""
        K, q = self.n_outputs, self.n_columns
        H = np.zeros(self.shape, order="F")
        if self.is_block_diagonal:
            blocks = self.diagonal_blocks()
            for k in range(K):
                at = slice(k * q, (k + 1) * q)
                H[at, at] = blocks[min(k, len(blocks) - 1)]
            return H
        self._fill_coupled(H)
        H[np.diag_indices_from(H)] += self.diagonal_terms.ravel()
        return H

    def _fill_coupled(self, H):
        """Write what the rows give into H, for outputs that interact."""
        K, q, loss = self.n_outputs, self.n_columns, self.objective.loss
        outputs = range(loss.n_paired(K))
        pairs = [(k, m) for k in outputs for m in outputs if k <= m]
        # Symmetric, it is its transpose, whose rows are contiguous.
        blocks = H.T.reshape(K, q, K, q)
        of_pairs = self.summed(Hessian._pairs_of_rows, pairs)
        for (k, m), block in zip(pairs, of_pairs, strict=True):
            blocks[k, :, m] = blocks[m, :, k] = block
        loss.complete(blocks)

    def _pairs_of_rows(self, pairs):
        """Sum of s_i S_i[k, m] x_i x_i^T for each pair (k, m), a tuple of arrays.

        Each is a symmetric rank-k update of rows scaled by the root of their
        weight, half the work of a general product. Off the diagonal the softmax's
        curvature -p_k p_m is never positive, so the update is subtracted.
        """
        roots = self._curvature_roots(pairs)
        if _folded.pays(len(pairs)):
            update = partial(self._update_all, roots, np.transpose(pairs))
            sums = sum_rows(update, _runs(self.n_rows, _N_SUMS_OF_ALL))
            return tuple(_folded.unfold(sums, self.n_columns))
        runs = _runs(self.n_rows, max(1, _N_SUMS // len(pairs)))
        tasks = [(pair, run) for pair in pairs for run in runs]
        sums = map_rows(partial(self._update, roots), *zip(*tasks, strict=True))
        n = len(runs)
        starts = range(0, n * len(pairs), n)
        return tuple(tree_sum(sums[at : at + n]) for at in starts)

    def _curvature_roots(self, pairs):
        """Roots of outputs' own curvatures, and factors of what couples pairs of them.

        Each (n_outputs, n_rows).
        """
        objective = self.objective
        weights, loss = objective.weights, objective.loss
        if all(k == m for k, m in pairs):
            own = loss.curvature_diagonal(objective.targets, self.raw)
            return np.sqrt(own.T * weights), None
        own, coupling = loss.pairs(self.raw)
        return np.sqrt(own.T * weights), np.sqrt(coupling.T) * weights**0.25

    def _update(self, roots, pair, run):
        """What a run of rows gives to one pair of outputs, (n_columns, n_columns)."""
        (k, m), (own, coupling) = pair, roots
        design, total = self.objective.design, np.zeros((self.n_columns,) * 2)
        # One array for all: memory asked for anew comes in pages anew.
        rows = np.empty((min(run.stop - run.start, _UPDATE_ROWS), self.n_columns))
        for at in block_slices(run.stop - run.start, 2 * self.n_columns, _UPDATE_ROWS):
            block = slice(run.start + at.start, run.start + at.stop)
            root = own[k, block] if k == m else coupling[k, block] * coupling[m, block]
            scaled = design.rows(block, root, out=rows)
            # numpy takes it for the symmetric update that it is.
            total += scaled.T @ scaled
        return total if k == m else np.negative(total, out=total)

    def _update_all(self, roots, pairs, run):
        """What a run of rows gives to all pairs, folded: (n_pairs, n_products)."""
        (k, m), (own, coupling) = pairs, roots
        on_diagonal, total = k == m, 0.0
        for at in _folded.slices(run.stop - run.start, self.n_columns):
            block = slice(run.start + at.start, run.start + at.stop)
            squares = coupling[:, block] ** 2
            weights = squares[k]
            weights *= np.negative(squares)[m]
            weights[on_diagonal] = own[k[on_diagonal], block] ** 2
            total += weights @ _folded.products(self.objective.design.rows(block))
        return total


def _runs(n_rows, n_runs):
    """The rows in at most this many runs, none shorter than a block but the last."""
    length = max(-(-n_rows // n_runs), _UPDATE_ROWS)
    return [slice(i, min(i + length, n_rows)) for i in range(0, n_rows, length)]
