"""Votes of trees by the means of soft labels in their leaves, out of bag."""


class LeafMeans:
    """Out-of-bag means of targets in the leaves of grown trees.

    The structures stay those grown on the given labels; each tree says, of a row that
    it did not draw, the mean of the targets of the rows in that row's leaf, counted as
    often as it drew them, and one row more of the mean of all targets.

    Parameters
    ----------
    leaves : ndarray of shape (n, n_trees), int
        The leaf in which every tree puts every row.
    counts : ndarray of shape (n, n_trees)
        How often every tree drew every row, times its weight; 0: out of bag.
    sample_weight : ndarray of shape (n,)
    """

    def __init__(self, leaves, counts, sample_weight):
        self.leaves = leaves
        self.counts = counts
        self.sample_weight = sample_weight

    def out_of_bag(self, targets):
        """Means over the trees that did not draw the row, (n, K)."""
        raise NotImplementedError
