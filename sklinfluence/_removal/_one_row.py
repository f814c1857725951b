"""Every training row left out of the fit, from the one factor.

With B_i = (I (x) x_i)^T H^+ (I (x) x_i), taking row i's curvature out of H by the
Woodbury identity turns its residual r_i into r~_i = (I - s_i S_i B_i)^-1 r_i, the
parameters into theta + s_i H^+ (r~_i (x) x_i) and the row's own raw prediction into
f_i + s_i B_i r~_i: one exact Newton step for the objective without the row, exact for
least squares (Pregibon 1981; Rad and Maleki 2020).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._progress import untracked
from sklinfluence._warn import warn_user
from sklinfluence.curvature import (
    ContrastLoss,
    KroneckerBlocks,
    contract,
    contract_blocks,
    expand,
    row_curvature,
    solve_added,
)

# What a block of so many rows leaves behind is still in cache when it is needed.
_CACHED_ROWS = 512
# And so are matrices of so many numbers, with some more that are made of them.
_CACHED_NUMBERS = 2**17
# Below this, what is left of a row's curvature once it is taken out of H is rounding.
_LEVERAGE_ONE = 1e-9
# Above it, a sum of eigenvalues -h leaves no h near 1.
_FAR_FROM_ONE = -0.9


@dataclass
class Removal:
    """Leave-one-out quantities of all rows.

    Attributes
    ----------
    raw : ndarray of shape (n_rows, n_outputs)
        Each row's raw prediction by the model without it; NaN at leverage 1.
    residual : ndarray of shape (n_rows, n_outputs)
        r~_i; NaN at leverage 1.
    self_influence : ndarray of shape (n_rows,)
        s_i r_i^T B_i r_i.
    output_leverage : ndarray of shape (n_rows, n_outputs) or (n_rows, 1)
        tr(s_i S_i B_i), each output's part of it where outputs do not interact; over
        all rows they sum to the degrees of freedom.
    moved : ndarray of shape (n_rows,)
        Squared length, in H, of the parameter change: s_i^2 r~_i^T B_i r~_i.
    """

    raw: np.ndarray
    residual: np.ndarray
    self_influence: np.ndarray
    output_leverage: np.ndarray
    moved: np.ndarray

    @property
    def leverage(self):
        """tr(s_i S_i B_i) of each row, (n_rows,)."""
        return self.output_leverage.sum(axis=1)

    @property
    def is_defined(self):
        """False for rows of leverage 1."""
        return ~np.isnan(self.residual).any(axis=1)


def remove_each(fitted, n_jobs=None, each=untracked, *, quiet=False):
    """Leave each training row out.

    Parameters
    ----------
    fitted : FittedHead
    n_jobs : int, default=None
        Threads that share the blocks of rows.
    each : callable, default=untracked
        Reports progress: `FitTracker.each`.
    quiet : bool, default=False
        Whether rows of leverage 1 go unmentioned.

    Returns
    -------
    removal : Removal
    """

    def row_blocks(heads, rows):
        return [heads[0].row_blocks(rows)]

    (removal,) = _remove_from([fitted], row_blocks, n_jobs, each)
    if not quiet:
        _warn_about_leverage_one(removal)
    return removal


def remove_each_along(path, n_jobs=None):
    """The same for one head at many dampings.

    Parameters
    ----------
    path : list of FittedHead
        Their states differ in nothing but the shift of one decomposition.
    n_jobs : int, default=None
        Threads that share the blocks of rows.

    Returns
    -------
    removals : list of Removal
    """
    shifts = [fitted.state.shift for fitted in path]

    def row_blocks(heads, rows):
        return heads[0].state.row_blocks_at(rows, shifts)

    removals = _remove_from(path, row_blocks, n_jobs, untracked)
    for removal in removals:
        _warn_about_leverage_one(removal)
    return removals


def _remove_from(heads, row_blocks, n_jobs, each):
    """A Removal of each of several heads over the same rows.

    ``row_blocks`` gives the blocks of all heads, which may be those of contrasts, at
    the rows it is called with.
    """
    inside = [fitted.of_row_blocks for fitted in heads]
    n_rows, K = inside[0].residual.shape
    values_per_row = inside[0].state.values_per_row
    if values_per_row is None:
        values_per_row = len(heads) * (2 * inside[0].theta.size + 4 * K * K)
    blocks = block_slices(n_rows, values_per_row, _CACHED_ROWS)
    remove = partial(_remove_block, inside, row_blocks)
    each_block = each("leave each row out", blocks)
    parts = inside[0].over_rows(remove, each_block, n_jobs)
    return [
        _removal_of(fitted, *map(np.concatenate, zip(*of_head, strict=True)))
        for fitted, of_head in zip(heads, zip(*parts, strict=True), strict=True)
    ]


def _removal_of(fitted, change, left, *of_rows):
    """What is of outputs for all of them, where it was computed in contrasts."""
    if change.shape != fitted.raw.shape:
        change, left = expand(change.T).T, expand(left.T).T
    return Removal(fitted.raw + change, left, *of_rows)


def _remove_block(heads, row_blocks, block):
    at_each = row_blocks(heads, heads[0].objective.design.rows(block))
    pairs = zip(heads, at_each, strict=True)
    # Without a penalty blocks may overflow: such rows end in NaN, and are named.
    with np.errstate(invalid="ignore"):
        return [_remove_in_cache(fitted, block, B) for fitted, B in pairs]


def _remove_in_cache(fitted, block, B):
    """`_remove_rows` by no more rows at once than leave their matrices in cache."""
    if isinstance(B, KroneckerBlocks) or B.ndim == 2:
        return _remove_rows(fitted, block, B)
    at_most = max(16, _CACHED_NUMBERS // B.shape[1] ** 2)
    parts = [
        _remove_rows(
            fitted, slice(block.start + at.start, block.start + at.stop), B[at]
        )
        for at in block_slices(len(B), 1, at_most)
    ]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _remove_rows(fitted, block, B):
    """What `Removal` holds, of a block of rows, the change of ``raw`` in its place."""
    objective = fitted.objective
    weights, residual = objective.weights[block], fitted.residual[block]
    asked = fitted.query_residual[block]
    curvature = row_curvature(
        objective.loss, objective.targets[block], fitted.raw[block], weights, B
    )
    left = residual_without(fitted, curvature, B, residual)
    change = apply_block(B, left) * weights[:, None]
    return (
        change,
        left,
        weights * np.einsum("ik,ik->i", asked, apply_block(B, residual)),
        leverage_by_output(curvature, B),
        weights * np.einsum("ik,ik->i", left, change),
    )


def apply_block(blocks, vectors):
    """Each row's block times its vector; diagonal blocks are stored as (n, K)."""
    if isinstance(blocks, KroneckerBlocks):
        return blocks.apply(vectors)
    if blocks.ndim == 2:
        return blocks * vectors
    return np.einsum("ikm,im->ik", blocks, vectors)


def leverage_by_output(curvature, B):
    """tr(S_i B_i), (n, K) where outputs do not interact, else (n, 1)."""
    if isinstance(B, KroneckerBlocks):
        return curvature.trace_with(B)[:, None]
    if B.ndim == 2:
        return curvature * B
    return np.einsum("ikm,ikm->i", curvature, B)[:, None]


def residual_without(fitted, curvature, B, residual):
    """(I - S_i B_i)^-1 r_i, or what `KroneckerBlocks.residual_without` makes of it."""
    if fitted.has_exact_rows:
        is_blind = not isinstance(fitted.objective.loss, ContrastLoss)
        return removed_residual(-curvature, B, residual, is_blind=is_blind)
    if isinstance(B, KroneckerBlocks):
        return B.residual_without(curvature, residual)
    return residual + apply_block(curvature, apply_block(B, residual))


def removed_residual(curvature, B, residual, *, is_blind=True):
    """(I + curvature_i B_i)^-1 r_i; NaN where that matrix is singular.

    Parameters
    ----------
    curvature : ndarray of shape (n, K) or (n, K, K), or RowCurvature
        Weighted curvature of what is added: negative to take the row out, positive
        to put it in.
    B : ndarray of the same shape, or KroneckerBlocks
    residual : ndarray of shape (n, K)
    is_blind : bool, default=True
        Whether blocks (n, K, K) and curvatures are blind to what outputs share.
    """
    if isinstance(B, KroneckerBlocks):
        return solve_added(curvature, B, residual)
    if B.ndim == 2:
        kept = 1.0 + curvature * B
        kept[kept < _LEVERAGE_ONE] = np.nan
        return residual / kept
    if is_blind:
        # Nothing is lost in contrasts, and beside large blocks the 1 of that direction
        # would be lost to rounding.
        curvature, B = contract_blocks(curvature), contract_blocks(B)
        residual = contract(residual.T).T
        return expand(removed_residual(curvature, B, residual, is_blind=False).T).T
    kept = curvature @ B
    # The eigenvalues -h are of one sign: one is near -1 only if their sum is.
    doubtful = np.flatnonzero(~(np.trace(kept, axis1=1, axis2=2) > _FAR_FROM_ONE))
    kept += np.eye(kept.shape[1])
    # The product of 1 - h over the eigenvalues h: small only if one of them is 1.
    for i in doubtful[~(np.linalg.det(kept[doubtful]) > _LEVERAGE_ONE)]:
        if np.min(np.linalg.eigvals(kept[i]).real) < _LEVERAGE_ONE:
            kept[i] = np.nan
    out = np.full((len(B), kept.shape[1]), np.nan)
    sound = ~np.isnan(kept[:, 0, 0])
    out[sound] = np.linalg.solve(kept[sound], residual[sound, :, None])[:, :, 0]
    return out


def named_rows(rows):
    """ "row(s) 3, 17", the first ten of them."""
    named = ", ".join(map(str, rows[:10]))
    return f"row(s) {named}" + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")


def _warn_about_leverage_one(removal):
    undefined = np.flatnonzero(~removal.is_defined)
    if undefined.size == 0:
        return
    warn_user(
        f"{named_rows(undefined).capitalize()} have leverage 1: without such a row the "
        "objective has no unique optimum, so what depends on leaving it out is NaN.",
    )
