"""A row leaves its leaves: by how much their values change.

The step that all methods for boosted ensembles are made of, to first order in the
row's weight or exactly. Everything else stays: the structures, the leaves of other
trees, and the raw predictions at which other rows enter the sums. All functions give
*changes*, theta without the row less theta, so that a change times the slope of a
query's loss is the rise of that loss.
"""

import numpy as np

from sklinfluence.trees._replay import sums

# Share of a sum beyond which the sum without a part is no longer their difference.
_MOST = 0.99


def newton_slopes(trees, stage, at, g, h):
    """Derivative of rows' leaf values by the sums, along g and h, with its sign turned.

    Parameters
    ----------
    trees : BoostedTrees
    stage : Stage
    at : ndarray of shape (n_rows, n_outputs)
    g, h : ndarray of shape (n_rows, n_outputs)
        By how much G and H of each row's leaves fall.

    Returns
    -------
    change : ndarray of shape (n_rows, n_outputs)
    """
    shrink, per_step = leaf_slopes(trees, stage)
    return -shrink[at] * (g + per_step[at] * h)


def leaf_slopes(trees, stage):
    """-e / (H + l2), 0 where nothing bends, and the derivative's weight of H over G's.

    d theta = -e / (H + l2) (dG + theta / e dH).

    Returns
    -------
    shrink, of_hessian : ndarray of shape (n_leaves,)
    """
    curvature = trees.curvature(stage.hessian, stage.further_l2)
    shrink = np.zeros(stage.n_leaves)
    np.divide(-trees.step, curvature, out=shrink, where=curvature > 0)
    return shrink, trees.hessian_scale / trees.step * stage.values


def first_order(trees, stage, at, found, weights):
    """Changes to first order in the weight of each row, (n_rows, n_outputs)."""
    weights = weights[:, None]
    return newton_slopes(trees, stage, at, weights * found.g, weights * found.h)


def exact(trees, stage, at, found, weights):
    """Changes when each row is gone altogether, (n_rows, n_outputs)."""
    return left_values(trees, stage, at, found, weights) - stage.values[at]


def left_values(trees, stage, at, found, weights):
    """Values of each row's leaves without the row, (n_rows, n_outputs).

    A change and the value that it is to would not add up to this beside a row that
    dwarfs the others.
    """
    weights = weights[:, None]
    gradient = _without_each(at, weights * found.g, stage.gradient)
    hessian = _without_each(at, weights * found.h, stage.hessian)
    return trees.newton(gradient, hessian, stage.further_l2[at])


def joining(trees, stage, at, found):
    """Changes when rows of weight 1 that are not there leave again.

    That is, theta less what it would be with each of the rows, (n_rows, n_outputs).
    """
    joined = trees.newton(
        stage.gradient[at] + found.g,
        stage.hessian[at] + found.h,
        stage.further_l2[at],
    )
    return stage.values[at] - joined


def _without_each(at, parts, totals):
    """The sum of each row's leaf without the row."""
    left = totals[at] - parts
    size = np.abs(parts)
    # What is left beside one dominant part, of which a leaf has one, has lost its
    # digits in the difference.
    dominant = size > _MOST * sums(at, size, len(totals))[at]
    dominant &= np.isfinite(totals[at])
    if dominant.any():
        others = sums(at, np.where(dominant, 0.0, parts), len(totals))
        left = np.where(dominant, others[at], left)
    return left
