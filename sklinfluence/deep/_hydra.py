"""HydraRanker: leaving a row out, unrolled through the training run."""

from os import PathLike
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import check_rows
from sklinfluence._removal import inverse_ratio
from sklinfluence._sklearn_compat import StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.deep._path._sgd_step import SGDStep
from sklinfluence.deep._path._training_path import batch_total
from sklinfluence.deep._path_ranker import PathRanker, to_float64
from sklinfluence.deep._tracin import _NET_CONSTRAINTS, LAYERS
from sklinfluence.gradient import NORMALIZATIONS


class HydraRanker(PathRanker):
    """Influence of training rows by differentiating the training run by their weight.

    Follows d theta / d(weight of row i) through every step of SGD, momentum and weight
    decay as they were in force, and takes the query's gradient at the final parameters:
    an estimate of the same run, in the same batches, with the row's weight 0.
    Without Hessians (HyDRA's fast form) a row's past gradients are carried along as
    they are; with them they pass through each later step's curvature, which is exact
    to first order.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    estimator : skorch.NeuralNet
        To be trained with `torch.optim.SGD`, or ``FrozenEstimator(net)`` trained with
        ``CheckpointRecorder(every="step")``, as for :class:`TracInRanker`.
    hessian : bool, default=False
        Whether each step's Hessian takes part. It costs a product with the batch's
        Hessian for each row at each step, or one for each parameter, if those are
        fewer.
    layers : "all", "last", str or list of str, default="all"
        Parameters whose change counts; the others are taken to stay.
    normalize : {"theta", "loss", "gradient", "cosine"}, default=None
        What each row's influence is divided by. "theta": the length of the parameter
        change; "loss": the root of its self-influence; "gradient": the length of its
        gradient at the final parameters; "cosine": of both gradients. 0 / 0 is 0.
    checkpoints : path-like, default=None
        With a FrozenEstimator: the folder that a recorder wrote.
    dtype : {"float32", "float64"}, default=None
        What gradients are computed in. None: as the net's parameters.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial parameters.
    order_state : int, RandomState instance or None, default=None
        Seeds the order of the batches. None: follows ``random_state``.

    Attributes
    ----------
    estimator_ : skorch.NeuralNet
        The trained net.
    training_path_ : object
        How it was trained, see :class:`CheckpointRecorder`.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss, with its given label.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.

    See Also
    --------
    SGDInfluenceRanker : The same derivative with Hessians, query by query.
    TracInRanker : Needs no hypergradients, and works with any optimiser.

    Notes
    -----
    A few of the recorded steps are taken again: a run whose steps were not those of the
    recorded SGD (clipped gradients, an own ``train_step``) is refused, and one with
    dropout or batch normalisation, which are not followed, is warned about.

    A vector of parameters is kept for each row. Momentum, Nesterov's form, dampening,
    weight decay and learning rates are those that were recorded at each step.

    The loss is the one that the net was trained on, in the criterion's own units.
    ``MSELoss`` is a mean of squares, with one target twice the half squares of the
    rankers outside this family.

    References
    ----------
    .. [1] Chen, Y., Li, B., Yu, H., Wu, P. and Miao, C. (2021). HyDRA: hypergradient
       data relevance analysis for interpreting deep neural networks.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; equations 57 to 65, algorithm 4.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNetRegressor
    >>> from sklinfluence.deep import HydraRanker
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((30, 2)).astype(np.float32)
    >>> y = X[:, :1] - X[:, 1:]
    >>> net = NeuralNetRegressor(
    ...     torch.nn.Linear, module__in_features=2, module__out_features=1, lr=0.1,
    ...     optimizer__momentum=0.9, batch_size=10, train_split=None, verbose=0,
    ... )
    >>> ranker = HydraRanker(net, hessian=True, random_state=0).fit(X, y)
    >>> ranker.influence(X[:5], y[:5]).shape
    (5, 30)
    >>> ranker.parameter_influence([0, 1]).shape
    (2, 3)
    """

    _parameter_constraints: dict = {
        **_NET_CONSTRAINTS,
        "hessian": ["boolean"],
        "layers": LAYERS,
        "normalize": [StrOptions(set(NORMALIZATIONS)), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        hessian: bool = False,
        layers: list | str = "all",
        normalize: Literal["theta", "loss", "gradient", "cosine"] | None = None,
        checkpoints: str | PathLike | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        n_influences: int | None = None,
        random_state: RandomState = None,
        order_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.hessian = hessian
        self.layers = layers
        self.normalize = normalize
        self.checkpoints = checkpoints
        self.dtype = dtype
        self.n_influences = n_influences
        self.random_state = random_state
        self.order_state = order_state

    def _prepare(self, function, rows):
        weights = self._prepare_unrolling(function, rows)
        self._change = self._unroll(function, rows, weights, _own_share)
        lengths = self._final_lengths(function, rows)
        state = function.state()
        raw = np.empty(len(rows))
        for block, gradients in function.per_sample_gradients(state, rows):
            raw[block] = -np.einsum(
                "ij,ij->i", to_float64(gradients), self._change[block]
            )
        self._scale = self._column_scale(raw, self._change, lengths)
        self._own_values = raw * self._scale
        if self.normalize == "cosine":
            self._own_values = self._own_values * inverse_ratio(1.0, lengths)

    def _column_scale(self, raw, change, lengths):
        if self.normalize is None:
            return np.ones(len(raw))
        if self.normalize == "loss":
            return inverse_ratio(1.0, np.sqrt(np.maximum(raw, 0.0)))
        if self.normalize == "theta":
            lengths = np.linalg.norm(change, axis=1)
        return inverse_ratio(1.0, lengths)

    def _unroll(self, function, rows, weights, own_share, n_followed=None):
        """d theta^(T) / d(weight) of each followed row, (n_followed, n_parameters).

        ``own_share(function, state, rows, batch, weights, total)`` gives the positions
        of followed rows with a gradient of their own in this step, and that gradient.
        """
        path, sizes = self.training_path_, self._sizes(function)
        n_followed = path.n_rows if n_followed is None else n_followed
        change = np.zeros((n_followed, function.n_parameters))
        buffer = np.zeros_like(change)
        for t, batch in enumerate(path.batches):
            state = self._state(function, t)
            total = batch_total(weights[batch], self._reduction)
            if self.hessian:
                batch_rows = rows.take(batch)
                gradient = products(
                    function, state, batch_rows, weights[batch] / total, change
                )
            else:
                gradient = np.zeros_like(change)
            where, own = own_share(function, state, rows, batch, weights, total)
            np.add.at(gradient, where, own)
            step = SGDStep.of(path, t, function.names, sizes)
            step.forward(change, buffer, gradient)
        return change

    def _influence_of(self, function, queries, what):
        influence = np.empty((len(queries), self.training_path_.n_rows))
        blocks = function.per_sample_gradients(function.state(), queries, what)
        for block, gradients in blocks:
            gradients = to_float64(gradients)
            gradients = gradients * self._query_scale(gradients)
            influence[block] = -gradients @ self._change.T
        return influence * self._scale

    def _self_influence_of(self, function, rows, what):
        path = self.training_path_
        weights = to_float64(function.weights(self._rows))
        n_trained = np.count_nonzero(path.trained)

        def mean_share(function, state, _rows, batch, _weights, total):
            share = len(batch) / n_trained / total
            gradients = to_float64(function.gradients(state, rows, what))
            return np.arange(len(rows)), share * gradients

        change = self._unroll(function, self._rows, weights, mean_share, len(rows))
        gradients = to_float64(function.gradients(function.state(), rows, what))
        raw = -np.einsum("ij,ij->i", gradients, change)
        lengths = np.linalg.norm(gradients, axis=1)
        raw = raw * self._column_scale(raw, change, lengths)
        return raw * inverse_ratio(1.0, lengths) if self.normalize == "cosine" else raw

    def parameter_influence(self, index: ArrayLike | int) -> NDArray:
        """How far each row holds the parameters from where they would have ended.

        Parameters
        ----------
        index : int, array-like of shape (n_chosen,) or mask of shape (n_train,)
            Training rows, negative ints from the end.

        Returns
        -------
        change : ndarray of shape (n_chosen, n_parameters) or (n_parameters,)
            theta - theta without the row (Cook's vector), the parameters of ``layers``
            flattened in the module's order.

        Raises
        ------
        ValueError
            If ``index`` names no training row.
        """
        check_is_fitted(self)
        rows, is_single = check_rows(index, self.n_train_)
        return self._change[rows[0] if is_single else rows]


def _own_share(function, state, rows, batch, weights, total):
    """Each row of the batch has its own part of the step's gradient."""
    gradients = to_float64(function.gradients(state, rows.take(batch)))
    return batch, (weights[batch] / total)[:, None] * gradients


def products(function, state, rows, weights, V):
    """H V for rows V of a matrix; by a dense H where that takes fewer products."""
    out = np.zeros_like(V)
    used = np.flatnonzero(np.any(V, axis=1))
    if not used.size:
        return out
    like = function.vector(state)
    weights = torch.as_tensor(weights, dtype=like.dtype, device=like.device)
    if len(used) > function.n_parameters:
        H = to_float64(function.hessian(state, rows, weights))
        out[used] = V[used] @ H
        return out
    directions = torch.as_tensor(V[used], dtype=like.dtype, device=like.device)
    out[used] = to_float64(function.hessian_products(state, rows, weights, directions))
    return out
