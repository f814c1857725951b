"""How sure it is that a given label is right: the posterior, calibrated.

The scores rank rows, and their log odds are shy: a model of noisy labels believes its
classes to overlap more and its labels to be cleaner than they are. How sharp its
predictions should be, and how often labels are wrong, can be told from the given labels
themselves, since no prediction has seen its own row's: where predictions are all but
certain and a tenth of the labels contradicts them at random, that tenth is wrong. So

    P_t(k | x) proportional to P(k | x)^t        and        T[k, j],

the noise model, are fitted together, by the likelihood of the given labels.
"""

import numpy as np
from scipy.special import log_softmax

from sklinfluence.filtering._noise._noise_model import (
    INITIAL_RATE,
    LOG_TINY,
    forward_risk,
    posterior,
    uniform_transition,
    update_transition,
)

# Exponents tried: honest predictions are near 1, those of soft votes above.
SHARPNESS = np.geomspace(0.5, 16.0, 11)
# Expectation-maximisation of the noise model at fixed predictions settles long before.
_N_STEPS = 20
# No more than keeps a rate from being zero: too many of them are seen to by their
# price.
_SHRINK = 1e-3


def probability_right(proba, codes, sample_weight, noise="class"):
    """Posterior probability that each given label is the true one.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Of the classes, by models that never saw the row; NaN where there are none.
    codes : ndarray of shape (n,), int
        Given labels.
    sample_weight : ndarray of shape (n,)
    noise : {"class", "uniform"} or None, default="class"
        "class": a rate for each pair of classes where the labels speak for as many
        parameters (Akaike's criterion [1]_), else one rate, as for the others.

    Returns
    -------
    right : ndarray of shape (n,)
        1 where nothing is known.

    References
    ----------
    .. [1] Akaike, H. (1974). A new look at the statistical model identification. IEEE
       Transactions on Automatic Control 19, 716-723.
    """
    right = np.ones(len(codes))
    known = ~np.isnan(proba).any(axis=1) & (sample_weight > 0)
    if not known.any():
        return right
    rows = codes[known], sample_weight[known]
    log_proba = np.maximum(np.log(np.maximum(proba[known], 1e-300)), LOG_TINY)
    risk, found = _best(log_proba, *rows, "uniform")
    if noise == "class":
        risk_by_class, by_class = _best(log_proba, *rows, "class")
        n_classes = proba.shape[1]
        price = (n_classes * (n_classes - 1) - 1) / rows[1].sum()
        found = by_class if risk_by_class + price < risk else found
    right[known] = found[np.arange(len(rows[0])), rows[0]]
    return right


def _best(log_proba, codes, weight, noise):
    """Risk and posteriors at the sharpness of least risk."""
    fits = (_fitted(t * log_proba, codes, weight, noise) for t in SHARPNESS)
    return min(fits, key=lambda fit: fit[0])


def _fitted(log_proba, codes, weight, noise):
    """Risk of the given labels, and posteriors, at predictions of one sharpness."""
    log_proba = np.maximum(log_softmax(log_proba, axis=1), LOG_TINY)
    transition = uniform_transition(INITIAL_RATE, log_proba.shape[1])
    for _ in range(_N_STEPS):
        found = posterior(log_proba, codes, transition)
        transition = update_transition(found, codes, weight, noise, _SHRINK)
    risk = forward_risk(log_proba, codes, transition, weight)
    return risk, posterior(log_proba, codes, transition)
