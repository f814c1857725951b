"""The law of residuals where some targets are gross errors, and how sure these are.

Residuals of models that never saw the row are taken for a mixture. Those of honest rows
follow a Student t centred at 0, with a scale for either sign (errors may be skewed) and
degrees of freedom that are fitted: heavy tails are then the honest rows' own and no
reason to flag. Those of gross errors lie anywhere from an edge to the end of the range
that was seen; nobody knows the edge, and g is the mean of uniform laws from several,

    f(r) = (1 - share) 2 q t(|r| / scale; dof) / scale  +  share g(|r|) / 2,

q and scale those of the sign of r, by expectation-maximisation for each of some numbers
of degrees of freedom; the likeliest is taken. (The likeliest edge would be one that
sets the farthest errors apart, and the nearer ones would hide behind them.)

Honest errors of another law must not be split in two, of which one half is called
gross. So gross errors are a minority; they begin some medians away, where light tails
have ended; and they are believed only where the likelihood gains more by them than
Schwarz's price for their share [1]_. Of 50 and of 100 honest rows with uniform,
normal, Laplace, skewed and heteroscedastic errors that keeps the share of flagged ones
below the level.

The *local false-discovery rate* of a row is the posterior of the first part [2]_, [3]_.
One gross error in hundreds of rows never pays that price, however far out it is: a
heavier tail explains it as well. So the rate is no more than n times the probability
that an honest residual is as large: one row in n may be gross whatever else is known.

References
----------
.. [1] Schwarz, G. (1978). Estimating the dimension of a model. The Annals of Statistics
   6, 461-464.
.. [2] Efron, B. (2008). Microarrays, empirical Bayes and the two-groups model.
   Statistical Science 23, 1-22.
.. [3] Sun, W. & Cai, T. (2007). Oracle and adaptive compound decision rules for false
   discovery rate control. Journal of the American Statistical Association 102, 901-912.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaln
from scipy.stats import t as student_t

# The law of honest rows has a variance (more than two degrees of freedom), or gross
# errors would be its tail; and it is never taken for normal.
DOFS = np.array([2.1, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 11.0, 15.0])
# Gross errors are a minority.
MAX_SHARE = 0.2
# Medians of all residuals from which errors may be gross: of uniform errors none is
# larger than two, of normal ones one in 140 than four.
FIRST_EDGE = 4.0
# No edge so near to the end that a few honest rows of the tail make a cluster.
LAST_EDGE = 0.4
N_EDGES = 6
# One residual of 1e8 must not spread the gross errors so thin that they are none: the
# reach is that of all but so many, between these numbers of medians where some are
# farther.
_MAX_BEYOND = 0.005
_NEAREST, _FARTHEST = 20.0, 50.0
_N_STEPS, _N_MORE_STEPS = 40, 100
# A scale below this share of the reach is a perfect fit but for rounding.
_SMALLEST_SCALE = 1e-12
# More residuals than this are rounded to half a per cent before they are counted.
_MANY = 4000
_ROUNDING = 5e-3


@dataclass(frozen=True)
class ErrorLaw:
    """A Student t of honest rows and a uniform law of gross errors.

    Attributes
    ----------
    scales : ndarray of shape (2,)
        Of negative and of other residuals, in their unit; 0 where all of them are.
    sides : ndarray of shape (2,)
        Shares of honest rows on either side.
    dof : float
    share : float
        Of gross errors.
    edges : ndarray of shape (n_edges,)
        Where gross errors may begin.
    reach : float
        Where they end; residuals beyond are held there.
    n_rows : float
        How many rows it was fitted to, by weight.
    """

    scales: np.ndarray
    sides: np.ndarray
    dof: float
    share: float
    edges: np.ndarray
    reach: float
    n_rows: float

    def p_values(self, residuals):
        """Probability that an honest residual of its sign is larger; NaN where NaN."""
        if self.reach == 0:
            return np.where(np.isnan(residuals), np.nan, 1.0)
        scale = self.scales[_side(residuals)]
        return 2 * student_t.sf(np.abs(residuals) / scale, self.dof)

    def local_fdr(self, residuals):
        """Probability that the row is honest; 1 where nothing is known of it."""
        alone = np.nan_to_num(self.n_rows * self.p_values(residuals), nan=1.0)
        if self.share == 0:
            return np.minimum(alone, 1.0)
        size = np.minimum(np.nan_to_num(np.abs(residuals), nan=0.0), self.reach)
        side = _side(residuals)
        scale = self.scales[side]
        honest = np.log(self.sides[side] / scale) + _log_t(size / scale, self.dof)
        odds = self.share / (1 - self.share)
        gross = np.log(odds) + _log_gross(size, self.edges, self.reach)
        return np.minimum(alone, expit(honest - gross))


def fit_error_law(residuals, sample_weight=None):
    """The law of greatest likelihood, gross errors being paid for.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        NaN is left out.
    sample_weight : ndarray of shape (n,), default=None
        A weight of 2 is a row twice.

    Returns
    -------
    law : ErrorLaw
    """
    weight = np.ones(len(residuals)) if sample_weight is None else sample_weight
    known = ~np.isnan(residuals) & (weight > 0)
    size, weight = np.abs(residuals[known]), weight[known]
    top = size.max(initial=0.0)
    if top == 0.0:
        nothing = np.zeros(2), np.full(2, 0.5), DOFS[-1], 0.0, np.zeros(1), 0.0
        return ErrorLaw(*nothing, weight.sum())
    # The median times so much may leave the float range: shares of the largest.
    middle = _median(size / top, weight)
    reach = _reach(size / top, weight, middle)
    first = FIRST_EDGE * middle / reach
    edges = np.geomspace(min(first, LAST_EDGE), LAST_EDGE, N_EDGES)
    sample = _sample(size / top / reach, _side(residuals[known]), weight)
    best = _fit(sample, edges, 0.0)
    if first < LAST_EDGE:
        some = _fit(sample, edges, MAX_SHARE)
        gain = some.log_likelihoods() - best.log_likelihoods()
        best = some if gain > 0.5 * np.log(weight.sum()) else best
    unit = reach * top
    shape = sample.sides, float(best.dof[0, 0]), float(best.share[0, 0])
    return ErrorLaw(best.scales[0] * unit, *shape, edges * unit, unit, weight.sum())


@dataclass(frozen=True)
class _Sample:
    """Sizes in units of the reach, the side each is on, and weights."""

    size: np.ndarray
    side: np.ndarray
    weight: np.ndarray

    @property
    def sides(self):
        """Shares of the two sides, neither of them nothing."""
        mass = np.bincount(self.side, weights=self.weight, minlength=2) + 0.5
        return mass / mass.sum()


class _Climb:
    """Expectation-maximisation of several laws at once, one a line."""

    def __init__(self, sample, gross, dof, share, scales):
        self.sample, self.gross = sample, gross
        self.dof, self.share, self.scales = dof, share, scales
        # Elsewhere all is honest: the posterior costs logarithms.
        self.far = np.flatnonzero(gross > -np.inf)
        self.on_side = [sample.side == side for side in (0, 1)]

    def run(self, n_steps, max_share):
        """So many steps uphill."""
        size, weight = self.sample.size, self.sample.weight
        total = weight.sum()
        for _ in range(n_steps):
            square = np.square(size / self.scales[:, self.sample.side])
            honest = np.repeat(weight[None], len(self.dof), axis=0)
            honest[:, self.far] *= self._posterior(square[:, self.far])
            share = 1 - honest.sum(axis=1, keepdims=True) / total
            self.share = np.clip(share, 0.0, max_share)
            pull = honest * (self.dof + 1) / (self.dof + square)
            for side, on in enumerate(self.on_side):
                if on.any():
                    mass = np.maximum(honest[:, on].sum(axis=1), np.finfo(float).tiny)
                    found = np.sqrt(pull[:, on] @ np.square(size[on]) / mass)
                    self.scales[:, side] = np.maximum(found, _SMALLEST_SCALE)
        return self

    def _logs(self, square, rows):
        """Log densities of honest rows and of gross errors, times their shares."""
        side = self.sample.side[rows]
        honest = _log_t(np.sqrt(square), self.dof) - np.log(self.scales[:, side])
        honest += np.log(self.sample.sides[side]) + np.log1p(-self.share)
        with np.errstate(divide="ignore"):
            return honest, np.log(self.share) + self.gross[rows]

    def _posterior(self, square):
        honest, gross = self._logs(square, self.far)
        return expit(honest - gross)

    def log_likelihoods(self):
        """Of every law."""
        sample = self.sample
        square = np.square(sample.size / self.scales[:, sample.side])
        logs = self._logs(square, np.arange(len(sample.size)))
        return np.logaddexp(*logs) @ sample.weight

    def take(self, line):
        """One of the laws."""
        at = slice(line, line + 1)
        parts = self.dof[at], self.share[at], self.scales[at]
        return _Climb(self.sample, self.gross, *parts)


def _fit(sample, edges, max_share):
    """The likeliest law, of any degrees of freedom, with no more gross errors."""
    dof = DOFS.reshape(-1, 1)
    share = np.full(dof.shape, min(0.03, max_share))
    start = _median(sample.size, sample.weight)
    scales = np.full((len(dof), 2), max(start, _SMALLEST_SCALE))
    gross = _log_gross(sample.size, edges, 1.0)
    climb = _Climb(sample, gross, dof, share, scales).run(_N_STEPS, max_share)
    best = climb.take(int(climb.log_likelihoods().argmax()))
    return best.run(_N_MORE_STEPS, max_share)


def _sample(size, side, weight):
    """The residuals, many of them counted by size."""
    size = np.minimum(size, 1.0)
    if len(size) <= _MANY:
        return _Sample(size, side, weight)
    steps = np.round(np.log(np.maximum(size, _SMALLEST_SCALE)) / _ROUNDING).astype(int)
    keys, codes = np.unique(2 * steps + side, return_inverse=True)
    return _Sample(
        np.minimum(np.exp(_ROUNDING * (keys // 2)), 1.0),
        keys % 2,
        np.bincount(codes.ravel(), weights=weight),
    )


def _median(size, weight):
    """Of the sizes that are not zero."""
    size, weight = size[size > 0], weight[size > 0]
    order = np.argsort(size, kind="stable")
    reached = np.cumsum(weight[order])
    return size[order][np.searchsorted(reached, 0.5 * reached[-1])]


def _reach(size, weight, middle):
    """Where gross errors end: at the largest, but for a few that are far beyond."""
    order = np.argsort(-size, kind="stable")
    beyond = np.cumsum(weight[order])
    few = max(_MAX_BEYOND * beyond[-1], beyond[0])
    largest = np.max(size[order], where=beyond > few, initial=0.0)
    return float(min(max(largest, _NEAREST * middle), _FARTHEST * middle, 1.0))


def _side(residuals):
    return (residuals >= 0).astype(int)


def _log_gross(size, edges, reach):
    """Log density of gross errors on one side, half of all."""
    inside = size[:, None] >= edges
    density = np.mean(inside / (reach - edges), axis=1)
    with np.errstate(divide="ignore"):
        return np.log(density / 2)


def _log_t(z, dof):
    """Log density of |z|. (scipy's costs ten times as much on few rows.)"""
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - np.log(np.pi * dof) / 2
    return np.log(2.0) + constant - (dof + 1) / 2 * np.log1p(np.square(z) / dof)
