"""The kernel vote on a cluster: landmarks drawn once, kernels made where rows are."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import log_softmax

from sklinfluence._source import Output
from sklinfluence.filtering._clustered._parts import View, kept
from sklinfluence.filtering._clustered._pooling import fit_pool_apart
from sklinfluence.filtering._clustered._smoother import ClusterSmoother
from sklinfluence.filtering._votes import (
    GAMMAS,
    PENALTIES,
    WIDTH_LANDMARKS,
    RBFModel,
    distinct_landmarks,
    kernel,
    kernel_factor,
    median_distance,
)

# In memory there are 10 sqrt(n), which is more from 40 000 rows on. Each row costs the
# square of them in every pass, and the client as many numbers.
MAX_LANDMARKS = 2000


@dataclass(frozen=True)
class KernelFeatures:
    """Nystroem features of scaled rows, (n, m)."""

    landmarks: np.ndarray
    gamma: float
    factor: np.ndarray

    @classmethod
    def of(cls, landmarks, gamma):
        return cls(landmarks, gamma, kernel_factor(landmarks, gamma))

    def __call__(self, Z):
        values = kernel(Z, self.landmarks, self.gamma).T
        return solve_triangular(
            self.factor, values, lower=True, overwrite_b=True, check_finite=False
        ).T


class ClusterKernel:
    """Nystroem ridge on class indicators, tuned by leave-one-out.

    Parameters
    ----------
    rows : ClusterRows
    scaling : Scaling
    targets : array of shape (n_rows, K)
        Along the rows, copies of one mind.
    rng : RandomState
    """

    def __init__(self, rows, scaling, targets, rng):
        self.rows, self.scaling = rows, scaling
        self.landmarks = self._draw(rng)
        few = self.landmarks[:WIDTH_LANDMARKS]
        scale, lowest = median_distance(few), np.inf
        for gamma in np.asarray(GAMMAS) / scale:
            smoother = self._smoother(few, gamma)
            errors = smoother.loo_errors(targets, PENALTIES)
            if errors.min() < lowest:
                lowest, penalty = errors.min(), PENALTIES[errors.argmin()]
                self.gamma, self.smoother = gamma, smoother
        if len(few) < len(self.landmarks):
            self.smoother = self._smoother(self.landmarks, self.gamma)
            errors = self.smoother.loo_errors(targets, PENALTIES)
            penalty = PENALTIES[errors.argmin()]
        self.smoother.set_penalty(penalty)
        loo = self.smoother.loo_predictions(targets)
        pooled = rows.weighed(loo, targets)
        self.temperature = fit_pool_apart(pooled, 1)[0]

    def _draw(self, rng):
        """Scaled landmarks: some of the distinct rows, in random order."""
        direction = rng.standard_normal(self.rows.X.shape[1])
        parts = View(self.scaling), direction
        (key,) = self.rows.source().map(_along, *parts, outputs=(Output(),))
        index = distinct_landmarks(np.asarray(key), self.rows.weight, None, rng)
        index = index[:MAX_LANDMARKS]
        return self.scaling.transform(self.rows.source().take(index).X)

    def _smoother(self, landmarks, gamma):
        view = View(self.scaling, KernelFeatures.of(landmarks, gamma))
        return ClusterSmoother(self.rows, view)

    def refit(self, targets):
        """Leave-one-out log-probabilities, kept on the cluster, and the model."""
        loo = self.smoother.loo_predictions(targets)
        coef, intercept = self.smoother.coefficients(targets)
        factor = self.smoother.view.features.factor
        coef = solve_triangular(factor, coef, lower=True, trans="T")
        model = RBFModel(self.landmarks, self.gamma, coef, intercept, self.temperature)
        outputs = (Output(float, after=(targets.shape[1],)),)
        found = self.rows.of_all(loo).map(_spoken, self.temperature, outputs=outputs)
        return kept(found)[0], model


def _along(block, view, direction):
    return (view(block) @ direction,)


def _spoken(block, temperature):
    return (log_softmax(temperature * block.X, axis=1),)
