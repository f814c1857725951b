"""The vote of a bootstrap forest: leaf means over the trees that never saw the row.

A tree is a partition of the rows. Its structure stays as it was grown; what a leaf says
is the mean of the *targets*, soft ones too, of the rows that the tree drew into it.
Averaged over the trees that did not draw a row, that is a prediction of the row without
it (out of bag [1]_), at the price of one pass over the leaves for every new set of
targets.

References
----------
.. [1] Breiman, L. (1996). Out-of-bag estimation. Technical report, Department of
   Statistics, University of California, Berkeley.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class LeafMeans:
    """Means of targets in the leaves of every tree of a forest.

    A leaf's mean counts one pseudo-row (`pseudo` of them) of the tree's own mean, that
    of the rows it drew. So a small leaf is never certain, and a row's own target never
    enters through the prior either.

    Attributes
    ----------
    leaves : ndarray of shape (n, n_trees), int
        Leaf of every training row in every tree: a forest's ``apply``.
    bag : ndarray of shape (n, n_trees)
        How often a tree drew a row; 0 where it did not.
    is_out : ndarray of shape (n, n_trees), dtype=bool
        Trees that speak on a row. ``bag == 0``, or fewer where rows leave together.
    sample_weight : ndarray of shape (n,), default=None
        Multiplies the draws. A row of weight zero is none that a tree could draw.
    pseudo : float, default=1.0
        0 gives the plain means.
    """

    leaves: np.ndarray
    bag: np.ndarray
    is_out: np.ndarray
    sample_weight: np.ndarray | None = None
    pseudo: float = 1.0

    def out_of_bag(self, targets):
        """Mean over the trees that did not draw the row, (n, K).

        A row that every tree drew gets the mean of all targets but its own.
        """
        total = np.zeros(targets.shape)
        for tree, (leaf, is_out) in enumerate(
            zip(self.leaves.T, self.is_out.T, strict=True)
        ):
            means = self._tree_means(tree, targets, leaf.max() + 1)
            total[is_out] += means[leaf[is_out]]
        n_out = self.is_out.sum(axis=1)
        missing = n_out == 0
        if missing.any():
            drawn = self._weighted(self.bag.sum(axis=1, dtype=np.float64))
            others = drawn @ targets - drawn[missing, None] * targets[missing]
            mass = np.maximum(drawn.sum() - drawn[missing], np.finfo(float).tiny)
            total[missing] = others / mass[:, None]
        return total / np.maximum(n_out, 1)[:, None]

    def of_new(self, leaves, targets):
        """Mean over all trees, for rows that none of them saw.

        Parameters
        ----------
        leaves : ndarray of shape (n_new, n_trees), int
        targets : ndarray of shape (n, K)
            Of the training rows.

        Returns
        -------
        means : ndarray of shape (n_new, K)
        """
        total = np.zeros((len(leaves), targets.shape[1]))
        for tree, leaf in enumerate(leaves.T):
            n_nodes = max(leaf.max(initial=0), self.leaves[:, tree].max()) + 1
            total += self._tree_means(tree, targets, n_nodes)[leaf]
        return total / leaves.shape[1]

    def _tree_means(self, tree, targets, n_nodes):
        """What the leaves of one tree say, (n_nodes, K)."""
        weight = self._weighted(self.bag[:, tree].astype(np.float64))
        # One entry a row: compressed as it stands.
        inside = sparse.csr_array(
            (weight, self.leaves[:, tree], np.arange(len(weight) + 1)),
            shape=(len(weight), n_nodes),
        )
        mass = np.asarray(inside.sum(axis=0)).ravel()[:, None]
        prior = weight @ targets / max(weight.sum(), np.finfo(float).tiny)
        sums = inside.T @ targets + self.pseudo * prior
        known = mass + self.pseudo > 0
        return np.where(known, sums / np.where(known, mass + self.pseudo, 1), prior)

    def _weighted(self, drawn):
        return drawn if self.sample_weight is None else drawn * self.sample_weight


@dataclass(frozen=True)
class ForestModel:
    """A fitted vote: predicts rows that no tree saw.

    Attributes
    ----------
    apply : callable
        Rows to their leaves, (n_new, n_trees).
    leaf_means : LeafMeans
    targets : ndarray of shape (n, K)
    """

    apply: Callable
    leaf_means: LeafMeans
    targets: np.ndarray

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K)."""
        return _log_proba(self.leaf_means.of_new(self.apply(X), self.targets))

    def predict(self, X):
        """Means of the targets, (n, K)."""
        return self.leaf_means.of_new(self.apply(X), self.targets)


class ForestVote:
    """Out-of-bag class probabilities of a grown forest, for any targets.

    Parameters
    ----------
    apply : callable
        Rows to their leaves, (n, n_trees).
    leaf_means : LeafMeans
    """

    def __init__(self, apply, leaf_means):
        self.apply = apply
        self.leaf_means = leaf_means

    def refit(self, targets):
        """Fill the leaves with other (soft) class memberships.

        Parameters
        ----------
        targets : ndarray of shape (n, K)
            Rows sum to one.

        Returns
        -------
        log_proba : ndarray of shape (n, K)
            Out of bag.
        model : ForestModel
        """
        model = ForestModel(self.apply, self.leaf_means, targets)
        return _log_proba(self.leaf_means.out_of_bag(targets)), model


def _log_proba(means):
    """Logarithms of class means, none of them infinite.

    A class that no tree at hand knows gets a share that is small beside one row's.
    """
    smallest = 1.0 / (1e3 * means.shape[1])
    means = np.maximum(means, smallest)
    return np.log(means / means.sum(axis=1, keepdims=True))
