"""A radial-basis-function vote with closed-form leave-one-out predictions.

Ridge regression of class indicators on Nystroem features: a kernel smoother whose
leave-one-out predictions cost one division a row, for every ridge penalty and class
alike, from one eigendecomposition a kernel width. It supplies what a linear head
cannot: curved class boundaries.

Everything that depends on a choice among rows (the landmarks) is drawn from the
*distinct* rows of positive weight in an order of their values, so that neither the
order of the rows nor rows of weight zero change the result.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_softmax
from sklearn.metrics.pairwise import euclidean_distances

from sklinfluence.filtering._noise import fit_pool
from sklinfluence.filtering._votes._ridge_smoother import RidgeSmoother

# Kernel widths, in units of 1 / (median squared distance between landmarks).
GAMMAS = (0.25, 1.0, 4.0)
PENALTIES = np.geomspace(1e-3, 30.0, 8)
MIN_LANDMARKS = 300
# On so many at most the kernel width is chosen: 100 to 200 cost .001 of average
# precision.
WIDTH_LANDMARKS = 400
# Keeps the factor of the landmarks' kernel matrix away from rank deficiency (near
# duplicates among landmarks); 1e-6 changes kernel values in the sixth digit only.
JITTER = 1e-6
# Squared distances below this share of the squared lengths are mostly rounding: their
# error of 1e-16, in units of the narrowest kernel, must stay far below `JITTER`.
_RESOLUTION = 1e-7


@dataclass(frozen=True)
class RBFModel:
    """A fitted vote: predicts rows it never saw.

    Attributes
    ----------
    landmarks : ndarray of shape (m, d)
    gamma : float
    coef : ndarray of shape (m, K)
        On the kernel values to the landmarks.
    intercept : ndarray of shape (K,)
    temperature : float
    """

    landmarks: np.ndarray
    gamma: float
    coef: np.ndarray
    intercept: np.ndarray
    temperature: float

    def decision(self, X):
        """Smoothed targets, (n, K)."""
        return kernel(X, self.landmarks, self.gamma) @ self.coef + self.intercept

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K)."""
        return log_softmax(self.temperature * self.decision(X), axis=1)


class RBFRidge:
    """Nystroem ridge on class indicators, tuned and predicted by leave-one-out.

    Parameters
    ----------
    n_landmarks : int or None, default=None
        None takes max(300, 10 sqrt(n)), at most the number of distinct rows.
    gammas : sequence of float, default=(0.25, 1, 4)
    penalties : sequence of float
    random_state : RandomState, default=None

    Notes
    -----
    `fit` chooses the kernel width and the penalty by the leave-one-out squared error
    of the targets, and one temperature by the leave-one-out likelihood of
    softmax(temperature * f). `refit` smooths other (soft) targets with the same
    smoother, which costs two thin matrix products.
    """

    def __init__(
        self, n_landmarks=None, gammas=GAMMAS, penalties=PENALTIES, random_state=None
    ):
        self.n_landmarks = n_landmarks
        self.gammas = gammas
        self.penalties = penalties
        self.random_state = random_state

    def fit(self, X, targets, sample_weight, groups=()):
        """Tune on given class memberships, temperature and all.

        Parameters as those of `tune`.
        """
        self.tune(X, targets, sample_weight, groups)
        loo = self.smoother_.loo_predictions(targets)
        self.temperature_ = fit_pool([loo], targets, sample_weight)[0]
        return self

    def tune(self, X, targets, sample_weight, groups=()):
        """Choose the kernel width and the penalty, for targets of any kind.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            On comparable scales: distances are taken as they are.
        targets : ndarray of shape (n, K)
        sample_weight : ndarray of shape (n,)
        groups : list of ndarray, default=()
            Rows that leave together, of every group of more than one.

        Returns
        -------
        self
        """
        X = np.asarray(X, dtype=np.float64)  # float32 kernels may not factor
        rng = self.random_state or np.random.RandomState(0)
        index = choose_landmarks(X, sample_weight, self.n_landmarks, rng)
        few = index[:WIDTH_LANDMARKS]
        scale = median_distance(X[few])
        lowest = np.inf
        for gamma in np.asarray(self.gammas) / scale:
            smoother = _KernelSmoother(X, X[few], gamma, sample_weight, groups)
            errors = smoother.loo_errors(targets, self.penalties)
            if errors.min() < lowest:
                lowest = errors.min()
                self.gamma_, self.smoother_ = gamma, smoother
                self.penalty_ = self.penalties[errors.argmin()]
        if len(few) < len(index):
            del smoother
            self.smoother_ = None  # before the larger one takes its memory
            self.smoother_ = _KernelSmoother(
                X, X[index], self.gamma_, sample_weight, groups
            )
            errors = self.smoother_.loo_errors(targets, self.penalties)
            self.penalty_ = self.penalties[errors.argmin()]
        self.landmarks_ = X[index]
        self.smoother_.set_penalty(self.penalty_)
        self.temperature_ = 1.0
        return self

    def refit(self, targets):
        """Smooth other targets with the smoother of `fit`.

        Returns
        -------
        loo_log_proba : ndarray of shape (n, K)
            For every training row by the model without it.
        model : RBFModel
        """
        loo, model = self.smooth(targets)
        return log_softmax(self.temperature_ * loo, axis=1), model

    def smooth(self, targets):
        """The same, before they are made probabilities: (n, K), and the model."""
        loo = self.smoother_.loo_predictions(targets)
        coef, intercept = self.smoother_.kernel_coefficients(targets)
        model = RBFModel(
            self.landmarks_, self.gamma_, coef, intercept, self.temperature_
        )
        return loo, model


class _KernelSmoother(RidgeSmoother):
    """Ridge on the Nystroem features of one kernel width."""

    def __init__(self, X, landmarks, gamma, sample_weight, groups):
        self.factor = kernel_factor(landmarks, gamma)
        # K_nm L^-T, in place: the (n, m) array rules the memory
        features = solve_triangular(
            self.factor,
            kernel(X, landmarks, gamma).T,
            lower=True,
            overwrite_b=True,
            check_finite=False,
        ).T
        super().__init__(features, sample_weight, groups)

    def kernel_coefficients(self, targets):
        """Coefficients (m, K) on kernel values, and the intercept (K,)."""
        coef, intercept = self.coefficients(targets)
        return solve_triangular(self.factor, coef, lower=True, trans="T"), intercept


def choose_landmarks(X, sample_weight, n_landmarks, rng):
    """Indices of landmark rows: a random draw from the distinct rows in use.

    Rows are ordered by a random projection of their values, not by their position.

    Returns
    -------
    index : ndarray of shape (m,)
        In random order, so that a prefix is a smaller draw.
    """
    direction = rng.standard_normal(X.shape[1])
    key = np.zeros(len(X))
    used = sample_weight > 0
    key[used] = X[used] @ direction
    return distinct_landmarks(key, sample_weight, n_landmarks, rng)


def distinct_landmarks(key, sample_weight, n_landmarks, rng):
    """The same, of rows whose projections are known, (n,)."""
    used = np.flatnonzero(sample_weight > 0)
    key = key[used]
    # Equal rows may differ in the last bits of the projection.
    key = np.round(key / max(np.abs(key).max(), 1e-300), 12)
    _, first = np.unique(key, return_index=True)
    distinct = used[first]
    if n_landmarks is None:
        n_landmarks = max(MIN_LANDMARKS, int(10 * np.sqrt(len(distinct))))
    return distinct[rng.permutation(len(distinct))[:n_landmarks]]


def kernel(X, landmarks, gamma):
    """Kernel values of rows and landmarks, (n, m)."""
    values = euclidean_distances(X, landmarks, squared=True)
    values *= -gamma
    return np.exp(values, out=values)


def kernel_factor(landmarks, gamma):
    """Cholesky factor of the landmarks' own kernel matrix."""
    own = kernel(landmarks, landmarks, gamma)
    own[np.diag_indices_from(own)] += JITTER
    return cholesky(own, lower=True, check_finite=False)


def median_distance(landmarks):
    """Median squared distance between landmarks; 1 where all coincide.

    The mean where most landmarks coincide but for rounding: a kernel narrower than
    the error of its distances would be no kernel (its matrix has no factor).
    """
    squared = euclidean_distances(landmarks, squared=True)
    pairs = squared[np.triu_indices_from(squared, k=1)]
    if len(pairs) == 0:
        return 1.0
    median = np.median(pairs)
    noise = _RESOLUTION * np.square(landmarks).sum(axis=1).max()
    return median if median > noise else max(pairs.mean(), 0.0) or 1.0
