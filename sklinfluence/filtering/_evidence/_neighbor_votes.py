"""Nearest neighbours, left out exactly: a row is none of its own neighbours."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import check_numbers, fit_weighted
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._evidence._steps import (
    see_targets,
    split_steps,
    transformed,
)


def neighbor_votes(estimator, sample):
    """Leave-one-out votes, where an estimator is of nearest neighbours.

    Returns
    -------
    votes : NeighborVotes or None
        None: it is of another kind, or its rows were made with y.
    """
    steps, last = split_steps(estimator)
    if type(last) not in (KNeighborsClassifier, KNeighborsRegressor):
        return None
    if see_targets(steps, sample.X, sample.y):
        return None
    n_rows, copies = len(sample), sample.copies
    if copies is not None and n_rows - copies.largest() < last.n_neighbors:
        return None  # without some row and its copies too few are left to vote
    model = fit_weighted(clone(estimator), sample.X, sample.y, sample.sample_weight)
    try:
        distance, neighbors = split_steps(model)[1].kneighbors()
    except ValueError as error:  # of infinite distances it loses count
        check_numbers(sample.X, "X", f"Scale X. (The search said: {error})")
        raise
    if copies is not None:
        _leave_together(distance, neighbors, model, sample)
    return NeighborVotes(model, sample.y, distance, neighbors)


def _leave_together(distance, neighbors, model, sample):
    """Put the nearest of the other rows in the places of a row's copies."""
    steps, last = split_steps(model)
    group, X = sample.copies.of_rows, transformed(steps, sample.X)
    n_members, n_neighbors = np.bincount(group), neighbors.shape[1]
    for size in np.unique(n_members[n_members > 1]):
        rows = np.flatnonzero(n_members[group] == size)
        for at in block_slices(len(rows), 4 * (size + n_neighbors)):
            asked = rows[at]
            found = last.kneighbors(_safe_indexing(X, asked), n_neighbors + size)
            is_other = group[found[1]] != group[asked, np.newaxis]
            # Copies go to the end; the others stay in the order of their distances.
            order = np.argsort(~is_other, axis=1, kind="stable")[:, :n_neighbors]
            for all_rows, near in zip((distance, neighbors), found, strict=True):
                all_rows[asked] = np.take_along_axis(near, order, axis=1)


class NeighborVotes:
    """Votes of every row's neighbours among the other rows.

    What `refit` says of classes counts one neighbour more, which stands for all rows:
    no class is ruled out by a handful of neighbours.

    Parameters
    ----------
    model : KNeighborsClassifier, KNeighborsRegressor, or a Pipeline that ends in one
        Fitted on all rows.
    y : ndarray of shape (n,)
        Given labels or targets.
    distance, neighbors : ndarray of shape (n, n_neighbors)
        Of every row, among rows that are neither itself nor its copies.
    """

    evidence = "leave-one-out"

    def __init__(self, model, y, distance, neighbors):
        self.model = model
        self.y = y
        self.steps, self.last = split_steps(model)
        self.neighbors = neighbors
        self.shares = vote_shares(self.last.weights, distance)
        self.unheard = np.zeros(len(self.neighbors), dtype=bool)
        self.takes_soft = True

    def refit(self, targets):
        """Votes for class memberships (n, K), or of the rows kept for real targets.

        Returns
        -------
        said : ndarray of shape (n, K) or (n,)
            Log-probabilities, or predictions, NaN where no neighbour is kept.
        model : VotingModel
        """
        if targets.ndim == 1:
            said = weighted_mean(self.y, targets, self.neighbors, self.shares)
            return said, VotingModel(self, self.y, targets)
        model = VotingModel(self, targets, None)
        return model.log_votes(self.neighbors, self.shares), model


@dataclass(frozen=True)
class VotingModel:
    """What neighbours with given labels say of rows that are none of them."""

    votes: NeighborVotes
    targets: np.ndarray
    kept: np.ndarray | None

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K)."""
        return self.log_votes(*self._nearest(X))

    def predict(self, X):
        """Mean target of the neighbours that are kept, (n,)."""
        return weighted_mean(self.targets, self.kept, *self._nearest(X))

    def log_votes(self, neighbors, shares):
        """Log of the votes, with one more that is shared out as all labels are."""
        n_neighbors = neighbors.shape[1]
        votes = sum(
            share[:, np.newaxis] * self.targets[rows]
            for share, rows in zip(shares.T, neighbors.T, strict=True)
        )
        common = self.targets.mean(axis=0)
        return np.log((n_neighbors * votes + common) / (n_neighbors + 1))

    def _nearest(self, X):
        last = self.votes.last
        distance, neighbors = last.kneighbors(transformed(self.votes.steps, X))
        return neighbors, vote_shares(last.weights, distance)


def vote_shares(weights, distance):
    """Each neighbour's share of the vote, by scikit-learn's rules, (n, n_neighbors)."""
    if callable(weights):
        votes = np.asarray(weights(distance), dtype=np.float64)
    elif weights == "distance":
        with np.errstate(divide="ignore"):
            votes = 1.0 / distance
        # Neighbours at no distance at all have the vote to themselves.
        same = np.isinf(votes).any(axis=1)
        votes[same] = np.isinf(votes[same])
    else:
        votes = np.ones_like(distance)
    total = votes.sum(axis=1, keepdims=True)
    level = np.full_like(votes, 1.0 / votes.shape[1])
    return np.divide(votes, total, out=level, where=total > 0)


def weighted_mean(values, kept, neighbors, shares):
    """Mean of the values of those neighbours that are kept; NaN where none is."""
    shares = shares * kept[neighbors]
    with np.errstate(invalid="ignore"):
        return (shares * values[neighbors]).sum(axis=1) / shares.sum(axis=1)
