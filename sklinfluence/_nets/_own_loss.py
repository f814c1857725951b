"""What a net with a loss of its own minimises: the criterion, weighted row by row?

A net's class may say what its loss is (``get_loss``). Where that is the criterion's
loss of each row times a weight of the row, as nets of skorch take sample weights, the
weights and the scale are read off its derivative by the raw predictions, at several
raw predictions of each row. Anything else is another objective, and refused.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.validation import has_fit_parameter

from sklinfluence._nets._forward import iterate, outputs
from sklinfluence._nets._generators import given_back
from sklinfluence._nets._layer import ENDS
from sklinfluence._nets._nested import concatenate, map_tensors
from sklinfluence._nets._own_methods import overridden
from sklinfluence._nets._penalty import count_batches
from sklinfluence._nets._stand_in import stand_in
from sklinfluence._warn import warn_user

# Derivatives come in the net's own type: of float32, some five digits are left.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
# Half precision keeps two digits of a difference at best.
_COARSE = 3e-2
_STEPS = ("train_step", "train_step_single", "run_single_epoch", "fit_loop")


@dataclass(frozen=True)
class OwnLoss:
    """A net's objective: sum_i weights_i l_i + factor * decay / 2 * |theta|^2.

    Attributes
    ----------
    weights : ndarray of shape (n_rows,)
        What each row's loss is multiplied with; 0 for rows out of training.
    factor : float
        What weight decay is multiplied with.
    """

    weights: np.ndarray
    factor: float


def warn_about_own_steps(net):
    """Say that what a net's own training steps minimise cannot be told from outside."""
    own = overridden(net, _STEPS)
    if own:
        warn_user(
            f"{type(net).__name__} has {' and '.join(own)} of its own: influence is of "
            "the objective that its get_loss and criterion state, which those steps "
            "may not minimise.",
        )


def own_loss(net, loss, rows, given, class_weights):
    """The weights of rows, and the scale, in the loss that a net states itself.

    Parameters
    ----------
    net : NeuralNet
        Trained.
    loss : NetLoss
    rows : tuple of (X, y, targets)
        X and y as the net takes them; coded targets.
    given : ndarray of shape (n_rows,)
        Weights that are known: sample weights times class weights.
    class_weights : ndarray of shape (n_rows,)
        The criterion's; 0 for rows out of training.

    Returns
    -------
    own : OwnLoss or None
        None where the criterion alone says what the loss is, and where the net's
        ``get_loss`` cannot be asked, which is warned about.

    Raises
    ------
    ValueError
        If the net's ``get_loss`` is not the criterion's, weighted.
    """
    if not overridden(net, ["get_loss"]):
        return None
    X, y, targets = rows
    trained = np.flatnonzero(class_weights > 0)
    try:
        asked, whole = _answer(
            net, loss, X, _targets_to_try(net, y, given), trained, targets
        )
    except _Unanswered as error:
        warn_user(
            f"get_loss of {type(net).__name__} cannot be asked about X and y as they "
            f"are given ({error}): influence takes the loss for "
            f"{type(net.criterion_).__name__}, times sample_weight.",
        )
        return None
    half = asked.ratios(targets, slice(0, max(1, len(whole) // 2)))
    is_sum = len(whole) > 1 and np.allclose(half, whole[: len(half)], rtol=0.1)
    found = np.zeros(len(given))
    found[trained] = whole
    # One step takes a batch's sum and one decay; or the mean over all and one decay.
    n_decays = count_batches(net, len(trained)) if is_sum else 1.0
    weights, scale = _settled(net, found, given, class_weights)
    return OwnLoss(weights, n_decays / scale)


def _targets_to_try(net, y, given):
    """y as it came; and as nets whose fit takes weights hand both to their loss."""
    yield y
    if has_fit_parameter(net, "sample_weight") and np.ndim(y) == 1:
        yield np.column_stack([y, given]).astype(np.float32)


def _answer(net, loss, X, candidates, trained, targets):
    error = None
    for y in candidates:
        try:
            asked = _Asked(net, loss, X, y, trained)
            return asked, asked.ratios(targets, slice(None))
        except _Unanswered as refused:
            error = error or refused
    raise error


def _settled(net, found, given, class_weights):
    """Known weights where they agree with those found, else those found; the scale."""
    for known in (given, class_weights):
        scale = (found @ known) / max(known @ known, np.finfo(float).tiny)
        near = {"rtol": 0.02, "atol": 1e-3 * abs(scale) * known.max()}
        if scale > 0 and np.allclose(found, scale * known, **near):
            # Weights that the net's fit hands to its loss are not seen from outside.
            return given, scale
    if np.any(found < 0) or not np.any(found > 0):
        raise _refusal(net, "it gives rows negative weights, or none a weight")
    if not np.allclose(given, class_weights):
        raise ValueError(
            f"get_loss of {type(net).__name__} weighs the rows of X otherwise than "
            "sample_weight and the criterion do. Pass weights one way: in X, or as "
            "sample_weight."
        )
    scale = found.sum() / np.count_nonzero(class_weights)
    return found / scale, scale


def _refusal(net, what):
    return ValueError(
        f"{type(net).__name__} has a get_loss of its own that is not "
        f"{type(net.criterion_).__name__} of each row, times a weight of the row: "
        f"{what}. Influence of that criterion would be of another objective than the "
        "net minimises. Give the net a loss that the criterion states (an l2 penalty "
        "is optimizer__weight_decay), or use TracInRanker, which takes the losses of "
        "rows as get_loss has them."
    )


class _Unanswered(Exception):
    """get_loss raised, or gave nothing to differentiate."""


class _Asked:
    """A net's get_loss on its training rows, at raw predictions of any kind."""

    def __init__(self, net, loss, X, y, index):
        self.net, self.loss = net, loss
        with stand_in(net) as own:
            raw = torch.cat([part.detach() for part in outputs(own, X)])
            try:
                parts = [list(batch) for batch in iterate(own, X, y)]
                self.X = concatenate([part[0] for part in parts])
                self.y = concatenate([part[1] for part in parts])
            except (TypeError, ValueError, IndexError, RuntimeError) as error:
                raise _Unanswered(_first_line(error)) from error
        self.index = torch.as_tensor(index)
        self.end = self._end(raw)
        self.raw = self._logits(raw)[self.index.to(raw.device)]

    def _end(self, output):
        """What the module does to its raw predictions."""
        raw = self._logits(output)
        gaps = {
            end: float((ENDS[end](raw) - output).abs().max())
            for end in ENDS
            if end in self.loss.ends
        }
        return ENDS[min(gaps, key=gaps.get)]

    def _logits(self, output):
        info = torch.finfo(output.dtype)
        raw = self.loss.raw_from_output(output)
        largest = -np.log(info.eps)
        return torch.nan_to_num(raw, posinf=largest, neginf=-largest)

    def ratios(self, targets, some):
        """What each row's derivative is of the criterion's: weights, up to a scale."""
        raw = self.raw[some]
        rng = np.random.default_rng(0)
        noise = torch.as_tensor(rng.normal(size=tuple(raw.shape))).to(raw)
        spread = 1.0 + (float(raw.std()) if raw.numel() > 1 else 0.0)
        points = [raw, torch.zeros_like(raw), spread * noise]
        coded = np.asarray(targets)[self.index.numpy()][some]
        own, known = [], []
        for point in points:
            own.append(self._slope(point, some).reshape(len(raw), -1))
            flat = point.detach().cpu().double().numpy().reshape(len(raw), -1)
            known.append(self.loss.loss.gradient(coded, flat))
        own, known = np.concatenate(own, axis=1), np.concatenate(known, axis=1)
        squares = np.einsum("ij,ij->i", known, known)
        ratios = np.einsum("ij,ij->i", own, known) / np.maximum(squares, 1e-30)
        off = np.abs(own - ratios[:, None] * known).max()
        tolerance = _TOLERANCE.get(raw.dtype, _COARSE)
        if off > tolerance * np.abs(own).max():
            raise _refusal(
                self.net, "their slopes by the module's outputs are no multiples"
            )
        return ratios

    def _slope(self, raw, some):
        """Derivative of get_loss by raw predictions, in float64."""
        net, chosen = self.net, self.index[some]
        X, y = (map_tensors(lambda t: t[chosen], part) for part in (self.X, self.y))
        raw = raw.detach().clone().requires_grad_()
        inner = [p for p in net.module_.parameters() if p.requires_grad]
        with stand_in(net) as own, given_back(net.device), torch.enable_grad():
            try:
                value = own.get_loss(self.end(raw), y, X=X, training=True)
                slopes = torch.autograd.grad(value, [raw, *inner], allow_unused=True)
            except (
                AttributeError,
                IndexError,
                KeyError,
                RuntimeError,
                TypeError,
            ) as error:
                raise _Unanswered(_first_line(error)) from error
        if any(part is not None and bool(part.any()) for part in slopes[1:]):
            raise _refusal(net, "it has a penalty on the module's parameters")
        if slopes[0] is None:
            raise _Unanswered("it does not depend on what the module returns")
        return slopes[0].detach().cpu().double().numpy()


def _first_line(error):
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
