"""Losses, residuals and curvatures at raw predictions.

Conventions, shared by every loss
---------------------------------
Targets are coded: ``targets`` is a float array of shape (n_rows, n_outputs), one-hot
or {0, 1} for classes, the values themselves for real targets. Soft targets (rows
that are distributions over the classes) are allowed everywhere.

``raw`` is the raw prediction, (n_rows, n_outputs). A *residual* is the derivative of
a row's loss with respect to its raw prediction, (n_rows, n_outputs): prediction minus
target. A *curvature* is the second derivative: (n_rows, n_outputs) when the outputs
do not interact (``separable``), else (n_rows, n_outputs, n_outputs). All are those of
an unweighted row; units are nats (half squared target units for the squared loss).
"""

from math import factorial

import numpy as np
from scipy.special import expit

# Logit moves beyond it are no longer small changes of a loss: differences serve.
_WIDE = 1.0
# As many terms of a series are quicker than exponentials and logarithms.
_MOST_TERMS = 5


class _SeparableCurvature:
    """Forms of a curvature whose outputs do not interact."""

    def curvature_product(self, targets, raw, V, weights):
        """Weight times curvature times V, row by row; V is (n_rows, n_outputs, m)."""
        return (weights[:, None] * self.curvature(targets, raw))[:, :, None] * V

    def curvature_diagonal(self, targets, raw):
        """Diagonal of each row's curvature, (n_rows, n_outputs)."""
        return self.curvature(targets, raw)


class SquaredLoss(_SeparableCurvature):
    """Half squared error, summed over outputs."""

    separable = True
    is_quadratic = True

    def loss(self, targets, raw):
        return 0.5 * np.sum((raw - targets) ** 2, axis=1)

    def gradient(self, targets, raw):
        return raw - targets

    def curvature(self, targets, raw):
        return np.ones_like(raw)

    def rise(self, targets, raw, shift):
        """Rise in each row's loss for each of its shifts: (m, b) for (m, b, K)."""
        residual = (raw - targets)[:, None, :]
        return np.sum(shift * (residual + 0.5 * shift), axis=2)

    def unweighted(self):
        return self


class LogisticLoss(_SeparableCurvature):
    """Independent logistic problems, one an output; a binary problem is one output.

    Parameters
    ----------
    positive_weight : ndarray of shape (n_outputs,), default=None
        What each problem's positive term is multiplied with: how ``SGDClassifier``
        applies class weights to its one-vs-rest problems.
    """

    separable = True
    is_quadratic = False

    def __init__(self, positive_weight=None):
        self.positive_weight = positive_weight

    def _term_weights(self, targets):
        """Weights of log(1 + e^f) and of -f; a soft target has both its terms."""
        if self.positive_weight is None:
            return 1.0, targets
        positive = self.positive_weight * targets
        return 1.0 - targets + positive, positive

    def loss(self, targets, raw):
        # log(1 + e^f) is max(f, 0) + log(1 + e^-|f|): neither term overflows, and the
        # loss of a row that is right by a wide margin is not lost to cancellation.
        whole, positive = self._term_weights(targets)
        tail = np.log1p(np.exp(-np.abs(raw)))
        wrong = positive * np.maximum(-raw, 0.0)
        wrong += (whole - positive) * np.maximum(raw, 0.0)
        return np.sum(whole * tail + wrong, axis=1)

    def gradient(self, targets, raw):
        # expit(-f), not 1 - expit(f), for the same reason.
        whole, positive = self._term_weights(targets)
        return (whole - positive) * expit(raw) - positive * expit(-raw)

    def curvature(self, targets, raw):
        # expit(f) expit(-f), not p (1 - p): exact in the far tail too.
        whole, _ = self._term_weights(targets)
        return whole * (expit(raw) * expit(-raw))

    def rise(self, targets, raw, shift):
        """Rise in each row's loss for each of its shifts: (m, b) for (m, b, K)."""
        n_terms = _n_terms(shift)
        if n_terms <= _MOST_TERMS:
            return self._rise_by_series(targets, raw, shift, n_terms)
        whole, positive = self._term_weights(targets)
        # log(1 + e^(f + d)) - log(1 + e^f) = log(1 + p (e^d - 1)): no cancellation.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            terms = np.log1p(expit(raw)[:, None, :] * np.expm1(shift))
        if self.positive_weight is not None:
            terms *= whole[:, None, :]
        rise = terms - positive[:, None, :] * shift
        rise = rise[:, :, 0] if rise.shape[2] == 1 else rise.sum(axis=2)
        return _mend(self, rise, targets, raw, shift)

    def _rise_by_series(self, targets, raw, shift, n_terms):
        """The same by Taylor's series, whose terms are the cumulants of the label."""
        curvature, tilt = self.curvature(targets, raw), -np.tanh(0.5 * raw)
        spread = expit(raw) * expit(-raw)
        terms = [
            self.gradient(targets, raw),
            curvature / 2,
            curvature * tilt / 6,
            curvature * (1.0 - 6.0 * spread) / 24,
            curvature * tilt * (1.0 - 12.0 * spread) / 120,
        ]
        rise = 0.0
        for k, move in enumerate(shift.transpose(2, 0, 1)):
            part = move * terms[n_terms - 1][:, [k]]
            for term in terms[n_terms - 2 :: -1]:
                part += term[:, [k]]
                part *= move
            rise = part if k == 0 else rise + part
        return rise

    def unweighted(self):
        return self if self.positive_weight is None else LogisticLoss()


class SoftmaxLoss:
    """Multinomial cross-entropy over the outputs."""

    separable = False
    is_quadratic = False

    def loss(self, targets, raw):
        shifted, _, rest = _softmax_parts(raw)
        return np.sum(targets * (np.log1p(rest) - shifted), axis=1)

    def gradient(self, targets, raw):
        proba, complement = _probabilities(raw)
        return (1.0 - targets) * proba - targets * complement

    def curvature(self, targets, raw):
        proba, complement = _probabilities(raw)
        curvature = -proba[:, :, None] * proba[:, None, :]
        diagonal = np.arange(proba.shape[1])
        curvature[:, diagonal, diagonal] = proba * complement
        return curvature

    def curvature_product(self, targets, raw, V, weights):
        """Weight times curvature times V, row by row; V is (n_rows, n_outputs, m)."""
        proba, _ = _probabilities(raw)
        mean = np.einsum("ik,ikm->im", proba, V)[:, None, :]
        return (weights[:, None] * proba)[:, :, None] * (V - mean)

    def curvature_diagonal(self, targets, raw):
        """Diagonal of each row's curvature, (n_rows, n_outputs)."""
        proba, complement = _probabilities(raw)
        return proba * complement

    def curvature_sum(self, targets, raw, weights):
        """Sum over the rows of weight times curvature, (n_outputs, n_outputs)."""
        proba, complement = _probabilities(raw)
        total = -(proba.T @ (weights[:, None] * proba))
        np.fill_diagonal(total, weights @ (proba * complement))
        return total

    def curvature_in_basis(self, targets, raw, basis):
        """Diagonal of basis^T curvature basis of each row, (n_rows, n_basis)."""
        proba, _ = _probabilities(raw)
        return proba @ basis**2 - (proba @ basis) ** 2

    def rise(self, targets, raw, shift):
        """Rise in each row's loss for each of its shifts: (m, b) for (m, b, K).

        Also for (m, b, K - 1), the last output not moving: all that it sees.
        """
        proba, _ = _probabilities(raw)
        rise, along = (np.zeros(shift.shape[:2]) for _ in range(2))
        # log sum_k p_k e^d_k = log(1 + sum_k p_k (e^d_k - 1)): no cancellation.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for k, move in enumerate(shift.transpose(2, 0, 1)):
                along += targets[:, [k]] * move
                move = np.expm1(move)
                move *= proba[:, [k]]
                rise += move
            np.log1p(rise, out=rise)
            rise -= along
        return _mend(self, rise, targets, raw, shift)

    def unweighted(self):
        return self

    def blind(self, n_outputs):
        """The one shift of its outputs that it does not see, (n_outputs, 1)."""
        return np.full((n_outputs, 1), n_outputs**-0.5)

    def n_paired(self, n_outputs):
        """Of how many outputs the pairs say all: of the last, the others do."""
        return n_outputs - 1

    def pairs(self, raw):
        """Curvature of each output, and R: -R_ik R_im couples k and m. (n_rows, K)."""
        proba, complement = _probabilities(raw)
        return proba * complement, proba

    def complete(self, blocks):
        """The last output's blocks of (K, q, K, q): the others', summed and negated."""
        np.negative(blocks[:-1, :, :-1].sum(axis=2), out=blocks[:-1, :, -1])
        np.negative(blocks[:-1].sum(axis=0), out=blocks[-1])


def _softmax_parts(raw):
    """Raw predictions less their largest; where that is; the sum of e^ the others.

    Apart from the largest's own 1 the sum keeps its relative precision, and with it
    the loss, residual and curvature of a row that is right by a wide margin.
    """
    top = (np.arange(len(raw)), np.argmax(raw, axis=1))
    shifted = raw - raw[top][:, None]
    others = np.exp(shifted)
    others[top] = 0.0
    return shifted, top, others.sum(axis=1, keepdims=True)


def _probabilities(raw):
    """Softmax probabilities p and 1 - p, both to full relative precision."""
    shifted, top, rest = _softmax_parts(raw)
    proba = np.exp(shifted) / (1.0 + rest)
    complement = 1.0 - proba
    complement[top] = (rest / (1.0 + rest))[:, 0]
    return proba, complement


def _n_terms(shift):
    """How many terms of a loss's series say its rise to rounding, relatively."""
    size, n_terms = max(np.max(shift, initial=0.0), -np.min(shift, initial=0.0)), 2
    # What is left is below d^n / (n + 1)! of the first term; not a number never is.
    while n_terms <= _MOST_TERMS and not size**n_terms / factorial(n_terms + 1) < 4e-16:
        n_terms += 1
    return n_terms


def _mend(loss, rise, targets, raw, shift):
    """Rises of wide shifts as differences of losses, where e^shift serves no more."""
    # Two passes without a copy settle most blocks; NaN fails both comparisons.
    if np.max(shift, initial=0.0) <= _WIDE and np.min(shift, initial=0.0) >= -_WIDE:
        return rise
    j, i = np.nonzero(np.max(np.abs(shift), axis=2) > _WIDE)
    moved = raw[j]
    moved[:, : shift.shape[2]] += shift[j, i]
    moved = loss.loss(targets[j], moved)
    rise[j, i] = moved - loss.loss(targets[j], raw[j])
    return rise


class PredictionDrop(_SeparableCurvature):
    """The raw prediction with its sign turned, as if it were a loss.

    Its rise when a row is left out is the amount by which that row pushes the
    prediction up: what ``influence(X)`` without targets means for regression.
    """

    separable = True

    def loss(self, targets, raw):
        return -np.sum(raw, axis=1)

    def gradient(self, targets, raw):
        return -np.ones_like(raw)

    def curvature(self, targets, raw):
        return np.zeros_like(raw)

    def rise(self, targets, raw, shift):
        return -np.sum(shift, axis=2)
