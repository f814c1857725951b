"""What each of a query's neighbours is worth to it: closed forms.

The players are n training rows in order of their distance to a query, nearest first;
arrays have one row a query. ``matches`` are what rows bring: 1 where a row's label is
the query's and 0 where it is not, or any other real numbers. Arrays may end after the
``t`` nearest of ``n_rows`` players: what is farther counts as worth nothing.
"""

import numpy as np


def hard_shapley(matches, n_rows, n_neighbors):
    """Shapley values where v(S) = sum of the nearest K matches in S, over K.

    Jia et al. (2019), theorem 1, for matches of any kind and K beyond n too.
    """
    K, t = n_neighbors, matches.shape[1]
    rank = np.arange(1, t)
    steps = (matches[:, :-1] - matches[:, 1:]) / np.maximum(K, rank)
    last = matches[:, -1] / max(K, n_rows) if t == n_rows else 0.0
    return _from_the_farthest(steps, last)


def soft_shapley(matches, n_rows, n_neighbors, empty):
    """Shapley values where v(S) = mean of the nearest K matches in S, v({}) = empty.

    Wang and Jia (2023), theorem 2, for matches of any kind.
    """
    n, K, t = n_rows, n_neighbors, matches.shape[1]
    rank = np.arange(1, t)
    if n - 1 > K:
        inner = np.minimum(K, rank) / rank
        share = (_harmonic(K) + ((n - 1) * inner - K) / K) / (n - 1)
    else:
        share = np.full(t - 1, _harmonic(n - 1) / max(n - 1, 1))
    steps = (matches[:, :-1] - matches[:, 1:]) * share
    last = 0.0
    if t == n:
        others = matches[:, :-1].sum(axis=1) / max(n - 1, 1)
        alone = matches[:, -1] - empty
        last = alone + (matches[:, -1] - others) * (_harmonic(min(K, n)) - 1.0)
        last = last / n
    return _from_the_farthest(steps, last)


def regression_shapley(targets, asked, n_rows, n_neighbors):
    """Shapley values where v(S) = -(sum of the nearest K targets, over K, - asked)^2.

    Parameters
    ----------
    targets : ndarray of shape (n_queries, t)
        Targets of the rows, nearest first.
    asked : ndarray of shape (n_queries,)
        The queries' own targets.
    """
    n, K, t = n_rows, n_neighbors, targets.shape[1]
    asked = asked[:, None]
    rank = np.arange(1, t)
    within = np.minimum(K, rank)
    before = np.cumsum(targets, axis=1) - targets  # of the rows nearer than each
    # Both of a pair of rows are among the nearest K: with a nearer row, a farther one.
    near = before[:, :-1] * _over(within * (within - 1), 2 * rank * (rank - 1))
    place = np.arange(1, t + 1)
    used = np.minimum(K - 1, place - 2)
    weight = _over(used * (used + 1), 2 * (place - 2) * (place - 1))
    weight[:2] = 0.0
    far = np.cumsum((targets * weight)[:, ::-1], axis=1)[:, ::-1]
    far = np.hstack([far[:, 2:], np.zeros((len(targets), 1))])[:, : t - 1]
    pair = (targets[:, :-1] + targets[:, 1:]) / K - 2 * asked
    steps = (within / rank) * pair + (2 / K) * (near + far)
    steps = -steps * (targets[:, :-1] - targets[:, 1:]) / K
    last = 0.0
    if t == n:
        within, own = min(K, n), targets[:, -1]
        last = (within / n) * (own / K) * (own / K - 2 * asked[:, 0])
        if n > 1:
            both = within * (within - 1) / (2 * n * (n - 1))
            last = last + (2 * own / K**2) * before[:, -1] * both
        last = -last
    return _from_the_farthest(steps, last)


def radius_shapley(matches, inside, empty):
    """Shapley values where v(S) = mean match of the rows of S inside a radius.

    Wang, Zhu, Wang, Jia and Mittal (2023). In any order of the rows.
    """
    count, others = _inside(matches, inside)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, count.max() + 1))])
    more = (matches - others) * (harmonic[count] - 1.0)
    more = np.where(count > 1, more, 0.0)
    values = (matches - empty + more) / np.maximum(count, 1)
    return np.where(inside, values, 0.0)


def radius_leave_one_out(matches, inside, empty):
    """v(all) - v(all without the row), v as in `radius_shapley`."""
    count, others = _inside(matches, inside)
    without = np.where(count > 1, others, empty)
    total = np.where(inside, matches, 0.0).sum(axis=1, keepdims=True)
    return np.where(inside, total / np.maximum(count, 1) - without, 0.0)


def leave_one_out(matches, n_rows, n_neighbors, *, is_mean, empty):
    """v(all) - v(all without the row) of the nearest K rows; farther ones have 0.

    Parameters
    ----------
    matches : ndarray of shape (n_queries, min(K + 1, n_rows))
    is_mean : bool
        Whether v is the mean of the nearest matches, ``empty`` without any, or their
        sum over K.

    Returns
    -------
    values : ndarray of shape (n_queries, min(K + 1, n_rows))
    """
    whole, without = _with_and_without(matches, n_rows, n_neighbors, is_mean, empty)
    return _nearest_only(whole[:, None] - without, n_neighbors)


def regression_leave_one_out(targets, asked, n_rows, n_neighbors):
    """The same where v is minus the squared error of the sum over K."""
    whole, without = _with_and_without(targets, n_rows, n_neighbors, False, 0.0)
    errors = (without - asked[:, None]) ** 2 - (whole - asked)[:, None] ** 2
    return _nearest_only(errors, n_neighbors)


def _with_and_without(matches, n_rows, n_neighbors, is_mean, empty):
    K = min(n_neighbors, n_rows)
    near = matches[:, :K].sum(axis=1)
    left = near[:, None] - matches
    if n_rows > K:
        left = left + matches[:, K:]
    n_left = min(n_neighbors, n_rows - 1)
    if not is_mean:
        return near / n_neighbors, left / n_neighbors
    return near / K, left / n_left if n_left else np.full_like(left, empty)


def _nearest_only(values, n_neighbors):
    values[:, n_neighbors:] = 0.0
    return values


def _inside(matches, inside):
    """How many rows are inside, and the mean match of those but the row itself."""
    count = np.count_nonzero(inside, axis=1)[:, None]
    total = np.where(inside, matches, 0.0).sum(axis=1, keepdims=True)
    return count, (total - matches) / np.maximum(count - 1, 1)


def _from_the_farthest(steps, last):
    """s_i = s_(i+1) + step_i, from the farthest row's own value."""
    values = np.zeros((len(steps), steps.shape[1] + 1))
    values[:, :-1] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return values + np.reshape(last, (-1, 1))


def _harmonic(k):
    return float(np.sum(1.0 / np.arange(1, k + 1)))


def _over(above, below):
    """Quotients of integers; 0 where nothing is divided by nothing."""
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
