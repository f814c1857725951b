"""SGDInfluenceRanker: a query's gradient pulled back through the training run."""

from os import PathLike
from typing import Any, Literal

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal import inverse_ratio
from sklinfluence._sklearn_compat import StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.deep._hydra import products
from sklinfluence.deep._path._sgd_step import SGDStep
from sklinfluence.deep._path._training_path import add_columns, batch_total
from sklinfluence.deep._path_ranker import PathRanker, to_float64
from sklinfluence.deep._tracin import _NET_CONSTRAINTS, LAYERS


class SGDInfluenceRanker(PathRanker):
    """Influence of training rows by unrolling SGD backwards from each query.

    The derivative of a query's final loss by every row's weight, taken in reverse: the
    query's gradient is pulled back through the steps, Hessians and all, and meets each
    row's gradient at the steps whose batches hold it. The result is that of
    :class:`HydraRanker` with ``hessian=True``; memory grows with the queries, not with
    the training rows, and every call of `influence` unrolls anew.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    estimator : skorch.NeuralNet
        To be trained with `torch.optim.SGD`, or ``FrozenEstimator(net)`` trained with
        ``CheckpointRecorder(every="step")``, as for :class:`TracInRanker`.
    layers : "all", "last", str or list of str, default="all"
        Parameters whose change counts; the others are taken to stay.
    normalize : {"loss", "gradient", "cosine"}, default=None
        What each row's influence is divided by. "loss": the root of its
        self-influence; "gradient": the length of its gradient at the final parameters;
        "cosine": of both gradients. ("theta" needs a parameter vector for each row,
        which HydraRanker has.) 0 / 0 is 0.
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
    HydraRanker : The same forwards: once for all queries, a vector for each row.

    Notes
    -----
    A few of the recorded steps are taken again: a run whose steps were not those of the
    recorded SGD (clipped gradients, an own ``train_step``) is refused, and one with
    dropout or batch normalisation, which are not followed, is warned about.

    The paper's estimator, for SGD without momentum, extended to momentum, Nesterov's
    form and weight decay by the same chain rule.

    The loss is the one that the net was trained on, in the criterion's own units.
    ``MSELoss`` is a mean of squares, with one target twice the half squares of the
    rankers outside this family.

    References
    ----------
    .. [1] Hara, S., Nitanda, A. and Maehara, T. (2019). Data cleansing for models
       trained with SGD.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 5.2.2.3.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNetRegressor
    >>> from sklinfluence.deep import SGDInfluenceRanker
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((30, 2)).astype(np.float32)
    >>> y = X[:, :1] - X[:, 1:]
    >>> net = NeuralNetRegressor(
    ...     torch.nn.Linear, module__in_features=2, module__out_features=1, lr=0.1,
    ...     batch_size=10, train_split=None, verbose=0,
    ... )
    >>> ranker = SGDInfluenceRanker(net, random_state=0).fit(X, y)
    >>> ranker.influence(X[:5], y[:5]).shape
    (5, 30)
    """

    _parameter_constraints: dict = {
        **_NET_CONSTRAINTS,
        "layers": LAYERS,
        "normalize": [StrOptions({"loss", "gradient", "cosine"}), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        layers: list | str = "all",
        normalize: Literal["loss", "gradient", "cosine"] | None = None,
        checkpoints: str | PathLike | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        n_influences: int | None = None,
        random_state: RandomState = None,
        order_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.normalize = normalize
        self.checkpoints = checkpoints
        self.dtype = dtype
        self.n_influences = n_influences
        self.random_state = random_state
        self.order_state = order_state

    def _prepare(self, function, rows):
        self._weights = self._prepare_unrolling(function, rows)
        lengths = self._final_lengths(function, rows)
        raw = np.zeros(len(rows))
        for block in block_slices(len(rows), 6 * function.n_parameters):
            unrolled = self._unroll(function, rows.take(block), "loss", own=block)
            raw[block] = np.diagonal(unrolled[:, block])
        self._scale = np.ones(len(rows))
        if self.normalize == "loss":
            self._scale = inverse_ratio(1.0, np.sqrt(np.maximum(raw, 0.0)))
        elif self.normalize is not None:
            self._scale = inverse_ratio(1.0, lengths)
        self._own_values = raw * self._scale

    def _unroll(self, function, queries, what, own=None):
        """Influence of every training row on some queries, (n_queries, n_train).

        ``own``: a slice of training rows, the only ones whose influence is wanted.
        """
        path, sizes = self.training_path_, self._sizes(function)
        adjoint = to_float64(function.gradients(function.state(), queries, what))
        adjoint = adjoint * self._query_scale(adjoint)
        buffer = np.zeros_like(adjoint)
        influence = np.zeros((len(queries), path.n_rows))
        for t in reversed(range(path.n_steps)):
            batch, state = path.batches[t], self._state(function, t)
            weights = self._weights[batch]
            weights = weights / batch_total(weights, self._reduction)
            step = SGDStep.of(path, t, function.names, sizes)
            through, buffer = step.backward(adjoint, buffer)
            wanted = np.ones(len(batch), dtype=bool)
            if own is not None:
                wanted = (batch >= own.start) & (batch < own.stop)
            if wanted.any():
                rows = self._rows.take(batch[wanted])
                gradients = to_float64(function.gradients(state, rows))
                met = -(through @ gradients.T) * weights[wanted]
                add_columns(influence, batch[wanted], met)
            rows = self._rows.take(batch)
            adjoint = adjoint + products(function, state, rows, weights, through)
            adjoint += step.decay * through
        return influence

    def _influence_of(self, function, queries, what):
        influence = np.empty((len(queries), self.training_path_.n_rows))
        for block in block_slices(len(queries), 6 * function.n_parameters):
            influence[block] = self._unroll(function, queries.take(block), what)
        return influence * self._scale

    def _self_influence_of(self, function, rows, what):
        out = np.empty(len(rows))
        for block in block_slices(len(rows), 6 * function.n_parameters):
            out[block] = self._new_rows(function, rows.take(block), what)
        return out

    def _new_rows(self, function, rows, what):
        """Self-influence of rows that had the mean share in every batch."""
        path, sizes = self.training_path_, self._sizes(function)
        n_trained = np.count_nonzero(path.trained)
        final = to_float64(function.gradients(function.state(), rows, what))
        adjoint, buffer = final.copy(), np.zeros_like(final)
        raw = np.zeros(len(rows))
        for t in reversed(range(path.n_steps)):
            batch, state = path.batches[t], self._state(function, t)
            total = batch_total(self._weights[batch], self._reduction)
            step = SGDStep.of(path, t, function.names, sizes)
            through, buffer = step.backward(adjoint, buffer)
            gradients = to_float64(function.gradients(state, rows, what))
            share = len(batch) / n_trained / total
            raw -= share * np.einsum("ij,ij->i", through, gradients)
            weights = self._weights[batch] / total
            adjoint = adjoint + products(
                function, state, self._rows.take(batch), weights, through
            )
            adjoint += step.decay * through
        lengths = np.linalg.norm(final, axis=1)
        if self.normalize == "loss":
            return np.sqrt(np.maximum(raw, 0.0))
        power = {None: 0, "gradient": 1, "cosine": 2}[self.normalize]
        return raw * inverse_ratio(1.0, lengths**power)
