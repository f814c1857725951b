"""The game that a query plays with the training rows: who they are, what they bring."""

from dataclasses import dataclass, replace

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence.neighbors._nearest import SortedRows


@dataclass(frozen=True, eq=False)
class NeighborGame:
    """Training rows as players.

    Attributes
    ----------
    rows : ndarray of shape (n_players,)
        Which training rows they are.
    neighbors : SortedRows
    targets : ndarray of shape (n_players,)
        Numbers of classes, or real targets.
    weights : ndarray of shape (n_players,)
        What matches are multiplied with.
    n_classes : int or None
        None for real targets.
    radius : float or None
        None: the nearest rows play, in their order.
    """

    rows: np.ndarray
    neighbors: SortedRows
    targets: np.ndarray
    weights: np.ndarray
    n_classes: int | None
    radius: float | None

    @property
    def n_players(self):
        return len(self.rows)

    @property
    def is_classification(self):
        return self.n_classes is not None

    @property
    def empty(self):
        """What no row at all is worth: a guess among the classes, or the mean."""
        return 1.0 / self.n_classes if self.is_classification else self.targets.mean()

    def players(self, queries, asked):
        """Who plays for each query, and what each brings.

        Parameters
        ----------
        queries : array of shape (b, n_features)
        asked : ndarray of shape (b,) or None
            The queries' own targets; None: matches are the targets themselves.

        Returns
        -------
        players : ndarray of shape (b, t)
            Places in ``rows``, nearest first; all, in their order, with a radius.
        brings : ndarray of shape (b, t)
            Weighted matches, or real targets.
        inside : ndarray of shape (b, t) or None
            Boolean, with a radius.
        """
        inside = None
        if self.radius is None:
            players = self.neighbors.nearest(queries)
        else:
            inside = self.neighbors.distances(queries) <= self.radius
            players = np.broadcast_to(np.arange(self.n_players), inside.shape)
        brings = self.targets[players]
        if self.is_classification:
            brings = self.weights[players] * (brings == asked[:, None])
        return players, brings.astype(float, copy=False), inside

    def blocks(self, n_queries):
        """Slices of queries that fit into the working memory."""
        return block_slices(n_queries, 8 * self.n_players)

    def among(self, rows, neighbors):
        """The same game with other players."""
        at = np.searchsorted(self.rows, rows)
        return replace(
            self,
            rows=rows,
            neighbors=neighbors,
            targets=self.targets[at],
            weights=self.weights[at],
        )
