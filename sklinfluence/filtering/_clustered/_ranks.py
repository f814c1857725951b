"""Medians of columns that no process holds, and the range of what is no outlier.

A median is exact: counts at some thresholds narrow the bracket around it, from a sample
on, until what is within it is few enough to be gathered.
"""

import numpy as np

from sklinfluence._source import sums
from sklinfluence.filtering._clustered._parts import concatenated, weights_of
from sklinfluence.filtering._columns import MAX_OUTLIER_SHARE, MAX_SPREAD

# Rows of the sample, thresholds of a pass, how many values of a column are gathered.
_N_SAMPLE = 2000
_N_THRESHOLDS = 63
_FEW = 4000
# Each pass divides a bracket by so many: five are enough for any number of rows.
_MAX_PASSES = 8
# The lower of two medians, sums of shares being off by some roundings.
_HALF = 0.5 - 1e-12


def column_range(source, total, largest_weight):
    """Lowest and highest value of each column that is no outlier.

    As :func:`~sklinfluence.filtering._columns.value_range` of the same rows.

    Parameters
    ----------
    source : row source
    total, largest_weight : float
        Of the weights.

    Returns
    -------
    lowest, highest : ndarray of shape (n_columns,)
    """
    middle = low_median(source, _halves)
    scale = low_median(source, _distances, middle)
    # No value nearer than this has enough of the spread, whatever is beyond it.
    most = max(MAX_OUTLIER_SHARE, largest_weight / total)
    near = scale * np.sqrt(MAX_SPREAD / most)
    lowest, highest, far = source.reduce(_candidates, _bounds, middle, near)
    for j, values in enumerate(far):
        inside = _not_outlying(*values, scale[j], total)
        lowest[j] = min(lowest[j], inside.min(initial=np.inf))
        highest[j] = max(highest[j], inside.max(initial=-np.inf))
    return lowest, highest


def _halves(block):
    half = 0.5 * np.asarray(block.X, dtype=np.float64)
    return half, np.broadcast_to(weights_of(block)[:, None], half.shape)


def _distances(block, middle):
    half, weight = _halves(block)
    far = np.abs(half - middle)
    return far, weight * (far > 0)


def _candidates(block, middle, near):
    """Range of what is near, and (distance, row, value, weight) of what may be far."""
    X, weight = np.asarray(block.X, dtype=np.float64), weights_of(block)
    used = weight > 0
    far = np.abs(0.5 * X - middle)
    is_near = (far <= near * (1 - 1e-9)) & used[:, None]
    lowest = X.min(axis=0, where=is_near, initial=np.inf)
    highest = X.max(axis=0, where=is_near, initial=-np.inf)
    others = ~is_near & used[:, None]
    found = []
    for j in range(X.shape[1]):
        at = np.flatnonzero(others[:, j])
        found.append((far[at, j], block.start + at, X[at, j], weight[at]))
    return lowest, highest, found


def _bounds(parts):
    lowest, highest, found = zip(*parts, strict=True)
    joined = [concatenated(list(each)) for each in zip(*found, strict=True)]
    return np.min(lowest, axis=0), np.max(highest, axis=0), joined


def _not_outlying(far, row, values, weight, scale, total):
    """Those of the farthest values of a column that are no outliers."""
    order = np.lexsort((row, far))
    far, values, weight = far[order], values[order], weight[order]
    beyond = np.cumsum(weight[::-1])[::-1] / total
    may_be = beyond <= MAX_OUTLIER_SHARE + 1e-12
    may_be[-1:] = True
    is_far = far * np.sqrt(beyond / MAX_SPREAD) > scale
    return values[~np.maximum.accumulate(is_far & may_be)]


def low_median(source, values, *shared):
    """Weighted median of each column: the lower of two that would do.

    Parameters
    ----------
    source : row source
    values : callable
        ``values(block, *shared)``: values and weights, both of shape (n_block, d).

    Returns
    -------
    medians : ndarray of shape (d,)
        0 where nothing has a weight.
    """
    sample = _sample(source, values, shared)
    d = sample.shape[1]
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    below = np.zeros(d)
    for _ in range(_MAX_PASSES if source.n_rows > _FEW else 0):
        at = _thresholds(sample, low, high)
        mass, count, all_mass = source.reduce(_Below(values), sums, at, *shared)
        first = np.argmax(mass >= _HALF * all_mass, axis=0)
        # The last threshold is the bracket's own end.
        last = np.maximum(first - 1, 0)
        columns = np.arange(d)
        inside = count[first, columns] - np.where(first > 0, count[last, columns], 0)
        below = np.where(first > 0, mass[last, columns], below)
        low = np.where(first > 0, at[last, columns], low)
        stays = np.array_equal(high, at[first, columns])
        high = at[first, columns]
        if inside.max() <= _FEW or (stays and not np.any(first)):
            break
    found, all_mass = source.reduce(_Within(values), _gathered, low, high, *shared)
    medians = np.zeros(d)
    for j, (value, mass) in enumerate(found):
        order = np.argsort(value, kind="stable")
        reached = below[j] + np.cumsum(mass[order]) >= _HALF * all_mass[j]
        if all_mass[j] > 0:
            medians[j] = value[order][np.argmax(reached)]
    return medians


def _sample(source, values, shared):
    rng = np.random.RandomState(0)
    n = min(_N_SAMPLE, source.n_rows)
    rows = np.sort(rng.choice(source.n_rows, n, replace=False))
    return np.sort(values(source.take(rows), *shared)[0], axis=0)


def _thresholds(sample, low, high):
    """Ascending values of each column within its bracket, the end of it the last."""
    out = np.empty((_N_THRESHOLDS + 1, len(low)))
    shares = np.linspace(0.0, 1.0, _N_THRESHOLDS + 2)[1:-1]
    for j, column in enumerate(sample.T):
        inside = column[(column > low[j]) & (column < high[j])]
        if len(inside) > 3:
            # Around the middle of the sample, where no bracket is known yet.
            if np.isinf(low[j]) and np.isinf(high[j]):
                inside = inside[len(inside) * 2 // 5 : len(inside) * 3 // 5 + 1]
            out[:-1, j] = np.quantile(inside, shares, method="nearest")
        elif np.isfinite(low[j]) and np.isfinite(high[j]):
            out[:-1, j] = low[j] + shares * (high[j] - low[j])
        else:
            out[:-1, j] = inside[0] if len(inside) else column[len(column) // 2]
    out[-1] = high
    out[:-1] = np.clip(out[:-1], low, high)
    return out


class _Below:
    """Weight and number of the values at or below each threshold, and all weight."""

    def __init__(self, values):
        self.values = values

    def __call__(self, block, at, *shared):
        values, weight = self.values(block, *shared)
        mass, count = np.zeros(at.shape), np.zeros(at.shape)
        for j in range(values.shape[1]):
            place = np.searchsorted(at[:, j], values[:, j], side="left")
            there = place < len(at)
            place, own = place[there], weight[there, j]
            mass[:, j] = np.cumsum(np.bincount(place, own, minlength=len(at)))
            count[:, j] = np.cumsum(np.bincount(place, minlength=len(at)))
        return mass, count, weight.sum(axis=0)


class _Within:
    """The values of each column in a bracket, equal ones as one, and their weight."""

    def __init__(self, values):
        self.values = values

    def __call__(self, block, low, high, *shared):
        values, weight = self.values(block, *shared)
        found = []
        for j, column in enumerate(values.T):
            inside = (column > low[j]) & (column <= high[j])
            value, place = np.unique(column[inside], return_inverse=True)
            mass = np.bincount(place, weight[inside, j], minlength=len(value))
            found.append((value, mass))
        return found, weight.sum(axis=0)


def _gathered(parts):
    found, mass = zip(*parts, strict=True)
    joined = [concatenated(list(each)) for each in zip(*found, strict=True)]
    return joined, sums(list(mass))
