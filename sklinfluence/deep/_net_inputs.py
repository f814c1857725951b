"""From a trained net, rows and targets to the objective that influence is read from."""

import numpy as np
import torch
from sklearn.base import is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor

from sklinfluence._sklearn_compat import _check_sample_weight
from sklinfluence.deep._functional import FunctionalNet
from sklinfluence.deep._net_objective import NetObjective
from sklinfluence.deep._training import real_dtype
from sklinfluence.heads._ask import fit_inputs
from sklinfluence.heads._skorch import warn_about_held_out
from sklinfluence.heads._skorch._criterion import (
    net_loss,
    refuse_broadcasting,
    refuse_improbable,
)
from sklinfluence.heads._skorch._forward import explained
from sklinfluence.heads._skorch._own_loss import own_loss, warn_about_own_steps
from sklinfluence.heads._skorch._penalty import (
    decay_factor,
    rows_in_training,
    weight_decay,
)
from sklinfluence.heads._skorch._refusals import refuse_non_finite
from sklinfluence.heads._skorch._trained import untrained
from sklinfluence.heads._targets import (
    refuse_named_targets,
    refuse_sparse,
    row_weights,
)


def check_training(ranker, X, y, sample_weight):
    """Targets and weights as arrays, one a row."""
    name = type(ranker).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None."
        )
    refuse_named_targets(name, y)
    refuse_sparse(name, y)
    kind = type_of_target(y, input_name="y")
    y = np.asarray(y)
    check_consistent_length(X, y, sample_weight)
    refused = ("multilabel-indicator", "multiclass-multioutput")
    if kind in refused and not is_regressor(ranker.estimator):
        raise ValueError(
            f"y is {kind}: {name} takes one label a row. Fit one ranker for each "
            "output, y[:, k]."
        )
    if sample_weight is not None:
        sample_weight = _check_sample_weight(
            sample_weight, np.empty(len(y)), dtype=float, ensure_non_negative=True
        )
    return y, sample_weight


def the_net(estimator):
    """The skorch net that an estimator is, or freezes."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    kinds = (NeuralNetClassifier, NeuralNetBinaryClassifier, NeuralNetRegressor)
    if not isinstance(estimator, kinds):
        raise TypeError(
            "DeepInfluenceRanker needs a skorch NeuralNetClassifier, "
            "NeuralNetBinaryClassifier or NeuralNetRegressor, perhaps in a "
            f"FrozenEstimator; got {type(estimator).__name__}. Transform rows before "
            "they reach the ranker: make_pipeline(scaler, DeepInfluenceRanker(net))."
        )
    estimator.check_is_fitted(["module_", "criterion_"])
    return estimator


def net_objective(estimator, X, y, sample_weight, *, layers, dtype, damping):
    """The training objective of some layers around a trained net.

    Parameters
    ----------
    estimator : fitted net, perhaps frozen
    X, y, sample_weight : what it was trained on
    layers : "all", "last", str or list of str
    dtype : {"float32", "float64"} or None
    damping : float
        Of the mean curvature.

    Returns
    -------
    objective : NetObjective
    """
    net = the_net(estimator)
    dtype = real_dtype(net) if dtype is None else getattr(torch, dtype)
    functional = FunctionalNet(net, layers, dtype, untrained(net))
    if not functional.names:
        raise ValueError(
            f"Training moves no parameter of {type(net.module_).__name__} (none has "
            "requires_grad=True, a learning rate above 0 and a place in the "
            "optimiser), so rows have no influence on it."
        )
    with torch.no_grad(), explained(net, X):
        state, rows = functional.state(), functional.rows(X)
        some = functional.raw(state, rows.take(slice(0, 1)))
    some = some[0] if isinstance(some, tuple) else some
    refuse_broadcasting(net, some, y.ndim)
    refuse_non_finite(net, X, some)
    refuse_improbable(net, some)
    loss = net_loss(net, max(some[0].numel(), 1))
    targets = loss.encode(y)
    trained = rows_in_training(net, y)
    warn_about_held_out(net, trained)
    class_weights = np.where(trained, loss.row_weights(targets), 0.0)
    weights = row_weights(sample_weight, targets) * class_weights
    factor = decay_factor(net, loss, int(trained.sum()), class_weights.sum())
    warn_about_own_steps(net)
    taken = (*fit_inputs(net, X, y), targets)
    own = own_loss(net, loss, taken, weights, class_weights)
    if own is not None:
        weights, factor = own.weights, own.factor
    tensors = {"dtype": some.dtype, "device": some.device}
    return NetObjective(
        net=functional,
        state=state,
        loss=loss,
        rows=rows,
        targets=torch.as_tensor(targets).to(**tensors),
        weights=torch.as_tensor(weights).to(**tensors),
        penalty=factor * _decays(net, functional),
        proximal=damping * weights.sum(),
    )


def _decays(net, functional):
    """Weight decay on every selected parameter, (p,)."""
    parameters = dict(net.module_.named_parameters())
    return np.concatenate(
        [
            np.full(parameters[name].numel(), weight_decay(net, parameters[name]))
            for name in functional.names
        ]
    )


def query_rows(objective, asked):
    """Queries as rows and the residuals that their gradients begin with.

    Parameters
    ----------
    objective : NetObjective
    asked : tuple of (X, y)
        y None: the drop of a regression's own prediction, as if it were a loss.

    Returns
    -------
    rows : Rows
    residual : Tensor of shape (n_queries, n_outputs)
    """
    X, y = asked
    if _num_samples(X) == 0:
        # There is nothing to make tensors of: those of training, none of them.
        return objective.rows.take(slice(0, 0)), objective.targets[:0]
    targets = None if y is None else objective.loss.encode(y)
    with explained(objective.net.net, X):
        rows = objective.net.rows(X)
        raw = objective.raw(rows)
    refuse_non_finite(objective.net.net, X, raw)
    if targets is not None:
        targets = torch.as_tensor(targets).to(raw)
        return rows, objective.torch_loss.residual(targets, raw)
    if raw.shape[1] > 1:
        raise ValueError(
            "Without y, influence is on the prediction itself, and this net predicts "
            f"{raw.shape[1]} targets. Pass y, shape (n_queries, n_targets)."
        )
    return rows, -torch.ones_like(raw)
