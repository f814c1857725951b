"""The law of residuals where some targets are gross errors, and the flags it implies.

Absolute residuals of models that never saw the row are taken for a mixture: those of
honest rows follow a Student t centred at 0, whose scale and degrees of freedom are
fitted, so that heavy tails are the honest rows' own and no reason to flag; those of
gross errors may lie anywhere from an edge on to the end of the range that was seen,

    f(a) = (1 - share) 2 t(a / scale; dof) / scale
           + share 1[edge <= a <= reach] / (reach - edge),

all by maximum likelihood. (With the edge at 0 the uniform part claims the honest tail
below the smallest gross error, and the level does not hold: on a t of 5 degrees of
freedom with 5 % gross errors .13 of the flags are wrong at a level of .05.)

The *local false-discovery rate* of a row is the posterior of the first part [1]_.
Flagged are the rows of the lowest, as many as keep its mean below the level that is
asked for [2]_, and none that is likelier honest than not.

References
----------
.. [1] Efron, B. (2008). Microarrays, empirical Bayes and the two-groups model.
   Statistical Science 23, 1-22.
.. [2] Sun, W. & Cai, T. (2007). Oracle and adaptive compound decision rules for false
   discovery rate control. Journal of the American Statistical Association 102, 901-912.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, expit, gammaln, logit
from scipy.stats import t as student_t

# The law of honest rows has a variance (more than two degrees of freedom), or gross
# errors would be its tail. And it is never taken for normal: with up to 100 degrees of
# freedom .20 of the flags on wine quality are wrong, with 15 .08, and no power is lost.
DOF_BOUNDS = (2.0, 15.0)
# Gross errors are a minority.
SHARE_BOUNDS = (1e-4, 0.5)
# The climb starts near the normal law with few errors, and at heavy tails with more.
_STARTS = ((12.0, 0.02), (3.0, 0.05))
# Where gross errors may begin, as shares of the reach: no edge so near to its end that
# a few honest rows of the tail make a cluster.
_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Medians that the reach may be away: one residual of 1e8 must not spread the gross
# errors so thin that they are none.
_FARTHEST = 50.0
# A scale below this share of the reach is a perfect fit but for rounding.
_SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class ErrorLaw:
    """A Student t of honest rows and a uniform law of gross errors.

    Attributes
    ----------
    scale : float
        In the residuals' unit; 0 where all of them are.
    dof : float
    share : float
        Of gross errors.
    edge, reach : float
        Ends of the uniform part; residuals beyond are held at the second.
    """

    scale: float
    dof: float
    share: float
    edge: float
    reach: float

    def p_values(self, residuals):
        """Probability that an honest row's residual is larger; NaN where it is NaN."""
        if self.scale == 0:
            return np.where(np.isnan(residuals), np.nan, 1.0)
        return 2 * student_t.sf(np.abs(residuals) / self.scale, self.dof)

    def local_fdr(self, residuals):
        """Probability that the row is honest; 1 where nothing is known of it."""
        if self.scale == 0:
            return np.ones(len(residuals))
        size = np.minimum(np.nan_to_num(np.abs(residuals), nan=0.0), self.reach)
        point = self.scale, self.dof, self.share
        honest, gross = _log_parts(size, *point, self.edge, self.reach)
        return np.where(np.isnan(residuals), 1.0, expit(honest - gross))

    def flag(self, residuals, level, sample_weight=None):
        """Flag the rows of lowest local false-discovery rate, their mean below `level`.

        Parameters
        ----------
        residuals : ndarray of shape (n,)
        level : float
        sample_weight : ndarray of shape (n,), default=None

        Returns
        -------
        flags : ndarray of shape (n,), dtype=bool
        """
        return flag_honest_last(self.local_fdr(residuals), level, sample_weight)


def flag_honest_last(local_fdr, level, sample_weight=None):
    """Flag the rows of lowest local false-discovery rate, their mean below `level`."""
    weight = np.ones(len(local_fdr)) if sample_weight is None else sample_weight
    order = np.argsort(local_fdr, kind="stable")
    rate, mass = local_fdr[order], np.cumsum(weight[order])
    running = np.cumsum(weight[order] * rate) / np.maximum(mass, np.finfo(float).tiny)
    flags = np.zeros(len(rate), dtype=bool)
    # The running mean of what is sorted rises: those below the level come first.
    flags[order] = (running <= level) & (rate < 0.5)
    return flags


def fit_error_law(residuals, sample_weight=None):
    """The law of greatest likelihood.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        Their signs do not matter; NaN is left out.
    sample_weight : ndarray of shape (n,), default=None

    Returns
    -------
    law : ErrorLaw
    """
    weight = np.ones(len(residuals)) if sample_weight is None else sample_weight
    known = ~np.isnan(residuals) & (weight > 0)
    size, weight = np.abs(residuals[known]), weight[known]
    if size.max(initial=0.0) == 0.0:
        return ErrorLaw(0.0, DOF_BOUNDS[1], SHARE_BOUNDS[0], 0.0, 0.0)
    # The median times so much may leave the float range: shares of the largest.
    top = size.max()
    reach = min(_FARTHEST * np.median(size[size > 0] / top), 1.0)
    size = np.minimum(size / top / reach, 1.0)
    fits = [
        (_climb(size, weight / weight.sum(), edge, *start), edge)
        for edge in _EDGES
        for start in _STARTS
    ]
    best, edge = min(fits, key=lambda fit: fit[0].fun)
    scale, dof, share = _natural(best.x)
    return ErrorLaw(scale * reach * top, dof, share, edge * reach * top, reach * top)


def _climb(size, weight, edge, dof, share):
    """The maximum that lies uphill, in coordinates that know no bounds but a box."""

    def cost_and_slope(point):
        scale, dof, share = _natural(point)
        honest, gross = _log_parts(size, scale, dof, share, edge, 1.0)
        posterior = weight * expit(honest - gross)
        by_scale, by_dof = _slopes(size / scale, dof)
        slope = [
            -posterior @ by_scale,
            -posterior @ by_dof * (dof - DOF_BOUNDS[0]),
            posterior.sum() + share - 1.0,
        ]
        return -weight @ np.logaddexp(honest, gross), np.array(slope)

    middle = np.median(size[size > 0])
    low, high = DOF_BOUNDS
    start = [np.log(middle), np.log(dof - low), logit(share)]
    box = [
        (np.log(_SMALLEST_SCALE), 0.0),
        (np.log(1e-2), np.log(high - low)),
        tuple(logit(SHARE_BOUNDS)),
    ]
    options = {"ftol": 1e-13, "gtol": 1e-8}
    return minimize(
        cost_and_slope, start, jac=True, bounds=box, method="L-BFGS-B", options=options
    )


def _natural(point):
    low, high = DOF_BOUNDS
    return np.exp(point[0]), min(low + np.exp(point[1]), high), expit(point[2])


def _log_parts(size, scale, dof, share, edge, reach):
    """Log densities of honest rows and of gross errors, times their shares."""
    # scipy's own density costs ten times as much on few rows.
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - np.log(np.pi * dof) / 2
    tail = -(dof + 1) / 2 * np.log1p(np.square(size / scale) / dof)
    honest = constant + tail + np.log(2.0 / scale)
    gross = np.where(size >= edge, np.log(share) - np.log(reach - edge), -np.inf)
    return honest + np.log1p(-share), gross


def _slopes(z, dof):
    """Derivatives of the log density 2 t(z; dof) / scale by log(scale) and by dof."""
    square = np.square(z)
    pull = (dof + 1) * square / (dof + square)
    constant = digamma((dof + 1) / 2) - digamma(dof / 2) - 1 / dof
    return pull - 1, (constant - np.log1p(square / dof) + pull / dof) / 2
