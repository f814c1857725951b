"""A label-noise model: which class is given when another is true.

``T[k, j]`` is the probability that a row of true class k is given the label j,
whatever its features (class-conditional noise). With a probability P(k | x) of the
*true* class, Bayes' rule gives

    posterior of k given x and label y:   W_k proportional to P(k | x) T[k, y]
    log odds that the label is wrong:     log sum_{k != y} W_k - log W_y

The functions here are one step of the expectation-maximisation that estimates T
[1]_; the probabilities come from elsewhere and must not have seen the row's own
label, or the row would confirm itself.

References
----------
.. [1] Dawid, A. P. & Skene, A. M. (1979). Maximum likelihood estimation of observer
   error-rates using the EM algorithm. Applied Statistics 28, 20-28.
"""

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

# The rate at which the first round believes labels to be wrong. Between .1 and .2
# the ranking hardly changes (mean average precision lower by .001 to .009).
INITIAL_RATE = 0.1
# A rate of 0 could never recover; at one half or more the labels would say nothing.
RATE_BOUNDS = (0.01, 0.45)
# Pseudo-counts of the uniform noise, as a share of the mean class size. Larger values
# (1, 3) are safer under uniform noise on many rows and weaker under class-dependent
# noise.
SHRINK = 0.3
# Probabilities below this are not told apart from zero.
LOG_TINY = np.log(1e-12)


def uniform_transition(rate, n_classes):
    """Transition matrix of labels that are wrong at one rate, any wrong class alike.

    Returns
    -------
    transition : ndarray of shape (n_classes, n_classes)
    """
    transition = np.full((n_classes, n_classes), rate / max(n_classes - 1, 1))
    np.fill_diagonal(transition, 1.0 - rate)
    return transition


def posterior(log_proba, codes, transition):
    """Probability of every true class, given the features and the label.

    Parameters
    ----------
    log_proba : ndarray of shape (n, K)
        log P(true class | x), without the row's own label.
    codes : ndarray of shape (n,), int
        Given labels.
    transition : ndarray of shape (K, K)

    Returns
    -------
    posterior : ndarray of shape (n, K)
    """
    return softmax(log_proba + np.log(transition).T[codes], axis=1)


def update_transition(weights_true, codes, sample_weight, noise="class", shrink=SHRINK):
    """Re-estimate the transition matrix from posterior class memberships.

    Parameters
    ----------
    weights_true : ndarray of shape (n, K)
        `posterior` of the rows.
    codes : ndarray of shape (n,), int
    sample_weight : ndarray of shape (n,)
    noise : {"class", "uniform"}, default="class"
    shrink : float, default=SHRINK

    Returns
    -------
    transition : ndarray of shape (K, K)
        For "class", the expected counts plus `shrink` times the mean class size of
        the uniform matrix, so that rare classes borrow the common rate.
    """
    counts = transition_counts(weights_true, codes, sample_weight)
    return transition_of(*counts, noise, shrink)


def transition_counts(weights_true, codes, sample_weight):
    """What `transition_of` needs of rows; counts of parts add up.

    Returns
    -------
    doubted : float
        Expected weight of the rows that are labelled wrongly.
    total : float
        Weight of all rows.
    counts : ndarray of shape (n_classes, n_classes)
        Expected weight of the rows of each true class and given label.
    """
    n_rows, n_classes = weights_true.shape
    doubt = 1.0 - weights_true[np.arange(n_rows), codes]
    weighted = sample_weight[:, None] * weights_true
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts.T, codes, weighted)
    return sample_weight @ doubt, sample_weight.sum(), counts


def transition_of(doubted, total, counts, noise="class", shrink=SHRINK):
    """The transition matrix of expected counts; see `update_transition`."""
    n_classes = len(counts)
    rate = np.clip(doubted / total, *RATE_BOUNDS)
    transition = uniform_transition(rate, n_classes)
    if noise == "uniform":
        return transition
    counts = counts + shrink * total / n_classes * transition
    return counts / counts.sum(axis=1, keepdims=True)


def tilt_counts(weights_true, sample_weight, once):
    """What `tilt_of` needs of rows; counts of parts add up, (2, n_classes)."""
    return np.stack([sample_weight, once]) @ weights_true


def tilt_of(counts):
    """By how much weights and copies raise the odds of each class, in logs.

    Parameters
    ----------
    counts : ndarray of shape (2, n_classes)
        Expected weight of each true class, and what it would be if every distinct row
        counted once.

    Returns
    -------
    tilt : ndarray of shape (n_classes,)
    """
    weighted, once = counts
    known = (weighted > 0) & (once > 0)
    return np.log(np.where(known, weighted, 1.0) / np.where(known, once, 1.0))


def untilted(log_proba, tilt):
    """Probabilities as they were if every distinct row counted once, (n, K).

    A label repeated, or weighted, says that the class was drawn more often and not
    that it is likelier to be right. Given labels are judged with the noise that the
    same weights make, where both cancel; what is predicted needs the tilt taken out.
    """
    return softmax(log_proba - tilt, axis=1) if np.any(tilt) else np.exp(log_proba)


def log_odds_wrong(log_proba, codes, transition=None):
    """Log odds that the given label is not the true one.

    Parameters
    ----------
    log_proba : ndarray of shape (n, K)
    codes : ndarray of shape (n,), int
    transition : ndarray of shape (K, K), default=None
        None compares the probabilities alone: the order is then that of the loss
        -log P(y | x).

    Returns
    -------
    log_odds : ndarray of shape (n,)
    """
    joint = np.maximum(log_softmax(log_proba, axis=1), LOG_TINY)
    if transition is not None:
        joint = joint + np.log(transition).T[codes]
    rows = np.arange(len(codes))
    given = joint[rows, codes]
    others = joint.copy()
    others[rows, codes] = -np.inf
    return logsumexp(others, axis=1) - given


def forward_risk(log_proba, codes, transition, sample_weight):
    """Mean cross-entropy of the *given* labels under P(true | x) and the noise.

    The forward correction of Patrini et al. (2017): -mean log (P T)[i, y_i]. It is
    what the guard of the expectation-maximisation watches.
    """
    joint = log_proba + np.log(transition).T[codes]
    return -sample_weight @ logsumexp(joint, axis=1) / sample_weight.sum()
