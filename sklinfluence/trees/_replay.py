"""A boosted ensemble replayed on its training rows, one stage after the other.

With F_{t-1} the raw predictions before stage t, a leaf of one of its trees has the
value theta = -e G / (H + l2), G and H the sums of w g and w h at F_{t-1} over its rows.
The replay recomputes them in double precision, whatever precision the library kept them
in: what is said of rows is a difference between two replays, or the slope of one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sklinfluence.trees._leaves import compact
from sklinfluence.trees._losses import LOSSES


@dataclass(frozen=True)
class Stage:
    """The leaves of the trees of one stage, the trees' leaves in a row.

    Attributes
    ----------
    leaves : ndarray of shape (n_rows, n_outputs)
        Each training row's leaf in each tree, in the smallest type that holds it.
    starts : ndarray of shape (n_outputs,)
        Where each tree's leaves start.
    values : ndarray of shape (n_leaves,)
        theta.
    gradient, hessian : ndarray of shape (n_leaves,)
        G and H, without what the library multiplies H by or adds to it. H is infinite
        where a leaf's value is 0 whatever its rows say.
    weight : ndarray of shape (n_leaves,)
        Sum of the weights of rows.
    further_l2 : ndarray of shape (n_leaves,)
        Penalty beside the ensemble's.
    """

    leaves: Any
    starts: Any
    values: Any
    gradient: Any
    hessian: Any
    weight: Any
    further_l2: Any

    @property
    def is_still(self):
        """Leaves whose value is 0 whatever their rows say."""
        return np.isinf(self.hessian)

    @property
    def n_leaves(self):
        return len(self.values)

    def numbered(self, leaves):
        """Leaves of rows in each tree, numbered through the stage."""
        return leaves + self.starts


@dataclass(frozen=True)
class Replay:
    """A boosted ensemble, its training rows and what each stage made of them.

    Attributes
    ----------
    trees : BoostedTrees
    loss : object
        One of ``LOSSES``.
    targets : ndarray of shape (n_rows, n_outputs)
        Coded.
    stages : list of Stage
    raw : ndarray of shape (n_rows, n_outputs)
        Raw predictions after the last stage.
    """

    trees: Any
    loss: Any
    targets: Any
    stages: Any
    raw: Any

    @property
    def weights(self):
        return self.trees.weights

    @property
    def leaves(self):
        """The training rows' leaves, a list over stages."""
        return self.trees.leaves

    def leaves_of(self, X):
        """The leaves of other rows, a list over stages."""
        return [compact(leaves) for leaves in self.trees.leaf_indices(X)]

    def raw_of(self, leaves):
        """Raw predictions of rows, (n_rows, n_outputs)."""
        raw = np.tile(self.trees.baseline, (len(leaves[0]), 1))
        for stage, of_stage in zip(self.stages, leaves, strict=True):
            raw += stage.values[stage.numbered(of_stage)]
        return raw

    def forward(self, leaves, targets):
        """Each stage with rows' leaves and what their loss says before it.

        Parameters
        ----------
        leaves : list over stages of ndarray of shape (n_rows, n_outputs)
        targets : ndarray of shape (n_rows, n_outputs)
            Coded.

        Yields
        ------
        stage : Stage
        at : ndarray of shape (n_rows, n_outputs)
            Leaves, numbered through the stage.
        found : Derivatives
        """
        raw = np.tile(self.trees.baseline, (len(targets), 1))
        for stage, of_stage in zip(self.stages, leaves, strict=True):
            at = stage.numbered(of_stage)
            yield stage, at, self.loss.at(targets, raw)
            raw = raw + stage.values[at]

    def backward(self):
        """The same of the training rows, the last stage first."""
        raw = self.raw
        for stage in reversed(self.stages):
            at = stage.numbered(stage.leaves)
            raw = raw - stage.values[at]
            yield stage, at, self.loss.at(self.targets, raw)


def sums(at, parts, n_leaves):
    """Sums over the rows of each leaf.

    Parameters
    ----------
    at : ndarray of shape (n_rows, n_outputs)
        Leaves, numbered through the stage.
    parts : ndarray of shape (n_rows, n_outputs) or (n_rows, n_outputs, m)
    n_leaves : int

    Returns
    -------
    sums : ndarray of shape (n_leaves,) or (n_leaves, m)
    """
    if parts.ndim == 2:
        return np.bincount(at.ravel(), parts.ravel(), n_leaves)
    if parts.shape[2] == 1:
        return np.bincount(at.ravel(), parts.ravel(), n_leaves)[:, None]
    ones, start = np.ones(at.size), np.arange(at.size + 1)
    shape = at.size, n_leaves
    members = sparse.csr_matrix((ones, at.ravel(), start), shape=shape)
    return members.T @ parts.reshape(at.size, -1)


def replay(trees):
    """Replay a fitted ensemble on the rows that it was trained on.

    Parameters
    ----------
    trees : BoostedTrees
        With the leaves of these rows.

    Returns
    -------
    replay : Replay
    """
    loss = LOSSES[trees.loss]
    targets = loss.code(trees.targets, trees.n_outputs)
    raw, stages = np.tile(trees.baseline, (len(targets), 1)), []
    for leaves, further_l2 in zip(trees.leaves, trees.penalties, strict=True):
        found = loss.at(targets, raw)
        stage = _summed(trees, leaves, further_l2, found)
        raw += stage.values[stage.numbered(leaves)]
        stages.append(stage)
    return Replay(trees, loss, targets, stages, raw)


def _summed(trees, leaves, further_l2, found):
    sizes = [len(of_tree) for of_tree in further_l2]
    starts, n_leaves = np.cumsum([0, *sizes[:-1]]), sum(sizes)
    at, weights = leaves + starts, trees.weights[:, None]
    gradient, hessian, weight = (
        sums(at, weights * part, n_leaves)
        for part in (found.g, found.h, np.ones_like(found.g))
    )
    still = [trees.adds_nothing(size) for size in sizes]
    hessian[starts[still]] = np.inf
    further_l2 = np.concatenate(further_l2)
    values = trees.newton(gradient, hessian, further_l2)
    return Stage(leaves, starts, values, gradient, hessian, weight, further_l2)
