"""Expectation-maximisation whose statistics are summed where the rows lie.

What :func:`~sklinfluence.filtering._noise.fit_em` is in memory. Soft labels and
leave-one-out predictions, K numbers a row, are kept on the cluster; what comes to the
client is a score a row for each round.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sklinfluence._source import Output, sums
from sklinfluence.filtering._clustered._parts import kept, weights_of
from sklinfluence.filtering._clustered._pooling import apart, fit_pool_apart
from sklinfluence.filtering._noise import (
    GUARD,
    INITIAL_RATE,
    LOG_TINY,
    EMResult,
    Round,
    log_odds_wrong,
    pool_log_proba,
    posterior,
    tilt_counts,
    tilt_of,
    transition_counts,
    transition_of,
    uniform_transition,
    untilted,
)
from sklinfluence.filtering._votes import VoteModel


@dataclass(frozen=True)
class Opinion:
    """What the last round says of each row, on the client.

    Attributes
    ----------
    quality : ndarray of shape (n_rows,)
        Probability of the given class.
    best, best_proba : ndarray of shape (n_rows,)
        The likeliest class, and how likely it is.
    suggested : ndarray of shape (n_rows,)
        The likeliest other class than the given one, by the noise model too.
    """

    quality: np.ndarray
    best: np.ndarray
    best_proba: np.ndarray
    suggested: np.ndarray


def fit_em_apart(votes, rows, codes, targets, noise, n_rounds, each):
    """Run the rounds.

    Parameters
    ----------
    votes : list
        Each with ``refit(targets)``, as those of `fit_em`, along the rows.
    rows : ClusterRows
    codes : array of shape (n_rows,), int
        Along the rows.
    targets : array of shape (n_rows, K)
        Of the given labels, along the rows.
    noise, n_rounds, each : object
        As those of `fit_em`.

    Returns
    -------
    result : EMResult
        Without the probabilities of all rows.
    opinion : Opinion
    """
    n_classes = targets.shape[1]
    transition = None if noise is None else uniform_transition(INITIAL_RATE, n_classes)
    rounds, log_odds, lowest, pool, overfitted = [], [], np.inf, None, False
    tilt = np.zeros(n_classes)
    for _ in each("round of the noise model", range(1 if noise is None else n_rounds)):
        if overfitted:
            continue
        shared = rows.shared(targets)
        fits = [vote.refit(shared) for vote in votes]
        loo = np.concatenate([fit[0] for fit in fits], axis=1)
        pool = fit_pool_apart(rows.of_all(loo, targets), len(votes), start=pool)
        given = rows.of_all(loo, codes)
        if noise is not None:
            outputs = (Output(float, after=(n_classes,)),)
            targets = kept(given.map(_posterior, pool, transition, outputs=outputs))[0]
            said = rows.of_all(targets, codes)
            counts, tilted = said.reduce(_counts, sums, rows.copied)
            transition = transition_of(*counts, noise)
            risk, total = given.reduce(_risk, sums, pool, transition)
            overfitted = risk / total > GUARD * lowest
            if overfitted:
                continue
            lowest = min(lowest, risk / total)
            tilt = tilt_of(tilted)
        models = [VoteModel(fit[1], "scaled") for fit in fits]
        rounds.append(Round(models, pool, transition))
        found = given.map(_odds, pool, transition, outputs=(Output(),))
        log_odds.append(np.asarray(found[0]))
        last = given, pool, transition, tilt
    return EMResult(np.array(log_odds), None, rounds, tilt), _opinion(*last)


def _pooled(block, pool):
    return np.maximum(pool_log_proba(apart(block, len(pool)), pool), LOG_TINY)


def _posterior(block, pool, transition):
    return (posterior(_pooled(block, pool), block.y, transition),)


def _counts(block, copied):
    weights = weights_of(block)
    of_noise = transition_counts(block.X, block.y, weights)
    return of_noise, tilt_counts(block.X, weights, copied.once(block))


def _risk(block, pool, transition):
    """As `forward_risk`, a sum: less the weighted log-likelihood of given labels."""
    joint = _pooled(block, pool) + np.log(transition).T[block.y]
    weight = weights_of(block)
    return -weight @ logsumexp(joint, axis=1), weight.sum()


def _odds(block, pool, transition):
    return (log_odds_wrong(_pooled(block, pool), block.y, transition),)


def _opinion(given, pool, transition, tilt):
    outputs = Output(), Output(int), Output(), Output(int)
    found = kept(given.map(_say, pool, transition, tilt, outputs=outputs))
    return Opinion(*map(np.asarray, found))


def _say(block, pool, transition, tilt):
    log_proba, at = _pooled(block, pool), np.arange(len(block))
    proba = untilted(log_proba, tilt)
    joint = log_proba.copy()
    if transition is not None:
        joint += np.log(transition).T[block.y]
    joint[at, block.y] = -np.inf
    best = proba.argmax(axis=1)
    return proba[at, block.y], best, proba[at, best], joint.argmax(axis=1)
