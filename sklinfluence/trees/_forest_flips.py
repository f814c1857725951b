"""The training rows that hold up a forest's prediction of a class."""

import numpy as np

from sklinfluence.trees._forest import over_what_is_left


def rows_holding_up(forest, members, leaves, lost, n):
    """A minimal set of rows without which each query is no longer given a class.

    Parameters
    ----------
    forest : Forest
    members : CSR matrix of shape (n_leaves, n_train)
        Of its ``members()``.
    leaves : ndarray of shape (n_queries, n_trees)
    lost : ndarray of shape (n_queries,)
        The class, by its place, that each query is to lose.
    n : int
        Most rows that may leave.

    Returns
    -------
    rows : list of ndarray or None
    """
    return [
        _search(_Neighbourhood(forest, members, at), k, n)
        for at, k in zip(leaves, lost, strict=True)
    ]


class _Neighbourhood:
    """The rows that share a leaf with one query, and what its leaves say of them."""

    def __init__(self, forest, members, leaves):
        chosen = members[leaves]
        self.tree = np.repeat(np.arange(len(leaves)), np.diff(chosen.indptr))
        self.rows, self.entry = np.unique(chosen.indices, return_inverse=True)
        self.weights = chosen.data
        self.targets = forest.targets[self.rows]
        self.full = forest.values[leaves]

    def values(self, gone):
        """What the leaves say without rows, from those that are left.

        A leaf that empties says what it said before.
        """
        weights = np.where(gone[self.entry], 0.0, self.weights)
        total = self._by_tree(weights)
        sums = [self._by_tree(weights * y[self.entry]) for y in self.targets.T]
        left = total[:, None] > 0
        return np.divide(
            np.stack(sums, 1), total[:, None], self.full.copy(), where=left
        )

    def _by_tree(self, entries):
        return np.bincount(self.tree, entries, len(self.full))

    def after_each(self, gone):
        """The prediction without each row besides, (n_rows, n_classes)."""
        weights = np.where(gone[self.entry], 0.0, self.weights)
        values = self.values(gone)
        leaving = over_what_is_left(weights, self._by_tree(weights)[self.tree])
        change = [
            np.bincount(
                self.entry, leaving * (y[self.entry] - value[self.tree]), len(self.rows)
            )
            for y, value in zip(self.targets.T, values.T, strict=True)
        ]
        return values.mean(axis=0) - np.stack(change, axis=1) / len(values)

    def predicts(self, k, gone):
        return self.values(gone).mean(axis=0).argmax() == k


def _search(around, k, n):
    """Rows leave one by one, then those that were not needed come back."""
    gone, order = np.zeros(len(around.rows), dtype=bool), []
    while around.predicts(k, gone):
        best = _next(around, k, gone) if len(order) < n else None
        if best is None:
            return None
        gone[best] = True
        order.append(best)
    for row in order[:-1]:
        gone[row] = False
        gone[row] = around.predicts(k, gone)
    return around.rows[[row for row in order if gone[row]]]


def _next(around, k, gone):
    """The row whose removal takes most off the margin of class k; None if none does."""
    after = around.after_each(gone)
    margin = after[:, k] - np.delete(after, k, axis=1).max(axis=1, initial=-np.inf)
    margin[gone] = np.inf
    best = int(np.argmin(margin))
    now = around.values(gone).mean(axis=0)
    # Below this a change is the rounding of the sums over trees.
    least = now[k] - np.delete(now, k).max(initial=-np.inf) - 1e-12
    return best if margin[best] < least else None
