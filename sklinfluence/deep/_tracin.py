"""TracInRanker: influence traced along gradient descent."""

from numbers import Integral
from os import PathLike
from typing import Any, Literal

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._nets import warn_about_own_steps
from sklinfluence._removal import inverse_ratio
from sklinfluence._sklearn_compat import HasMethods, Interval, StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.deep._net._criterion_weights import weighs_classes
from sklinfluence.deep._path._replay import check_checkpoints
from sklinfluence.deep._path._sketch import GaussianSketch
from sklinfluence.deep._path._training import as_seed
from sklinfluence.deep._path._training_path import (
    add_columns,
    batch_total,
    check_every_step,
    check_ideal,
    checkpoint_visits,
    ideal_credit,
    replay_visits,
    unit,
)
from sklinfluence.deep._path_ranker import PathRanker, to_float64
from sklinfluence.gradient import NORMALIZATIONS

_NET_CONSTRAINTS = {
    "estimator": [HasMethods("fit")],
    "checkpoints": "no_validation",
    "dtype": [StrOptions({"float32", "float64"}), None],
    "n_influences": [Interval(Integral, 1, None, closed="left"), None],
    "random_state": ["random_state"],
    "order_state": ["random_state"],
}
LAYERS = [str, list, tuple]


class TracInRanker(PathRanker):
    """Influence of training rows by the loss that their steps took off queries.

    Reads how a net was trained. "checkpoint" (TracInCP) sums, over the recorded
    checkpoints, learning rate times the product of the row's and the query's gradients;
    "replay" does so at every step for the rows of its batch; "ideal" credits each
    step's whole drop in a query's loss to the one row that took it.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    estimator : skorch.NeuralNet
        A net to be trained: a clone is, with a recorder among its callbacks. Or
        ``FrozenEstimator(net)`` for one that was trained with a
        :class:`CheckpointRecorder`; ``fit`` is then given the rows it was trained on.
        The net is never changed.
    method : {"checkpoint", "replay", "ideal"}, default="checkpoint"
        "replay" and "ideal" need every step recorded; "ideal" batches of one row and
        plain SGD too.
    layers : "all", "last", str or list of str, default="all"
        Parameters whose gradients count: all, those of the last linear layer
        (TracIn-Last), or layers by name, such as a word embedding (TracInWE).
    projection : int, default=None
        Sketch gradients by a seeded Gaussian projection to so many dimensions
        (TracInRP). Training rows' sketches are kept, so queries cost their own
        gradients alone. None: no sketch.
    normalize : {"theta", "loss", "gradient", "cosine"}, default=None
        What each row's influence is divided by. "theta": the length of the parameter
        change that the row is credited with over the run; "loss": the root of its
        self-influence; "gradient" and "cosine": at each checkpoint, the length of its
        gradient, or of both gradients (GAS). 0 / 0 is 0.
    every : int, default=1
        For ``method="checkpoint"`` on a net to be trained: a checkpoint after every so
        many epochs.
    checkpoints : path-like, default=None
        With a FrozenEstimator: the folder that a recorder wrote, where the net does
        not carry its recorder.
    dtype : {"float32", "float64"}, default=None
        What gradients are computed in. None: as the net's parameters.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial parameters and the projection.
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
    HydraRanker : What the final parameters would be without a row, by unrolling.
    sklinfluence.retraining.ExpectedRanker : Mean over initial parameters and orders.

    Notes
    -----
    "checkpoint" has the papers' scale: no division by the size of a batch or the number
    of rows, and the learning rate is that of a batch's mean loss. A run written with
    ``reduction="sum"`` has that rate times the mean number of rows in a batch, so the
    same path has the same influence however it is written, as it has for "replay".
    Gradients are of each row's own loss, as the net's ``get_loss`` has it, in
    evaluation mode; a ``get_loss`` that is no sum over rows, or has a penalty, is
    refused, and parameters whose learning rate was 0 are left out. Optimisers other
    than plain SGD are allowed for "checkpoint" and "replay", as in the papers, with the
    learning rate alone taken for the length of a step.

    The loss is the one that the net was trained on, in the criterion's own units.
    ``MSELoss`` is a mean of squares where the rankers outside this family count half
    their sum: with one target, losses are twice theirs and products of two gradients
    four times.

    References
    ----------
    .. [1] Pruthi, G., Liu, F., Kale, S. and Sundararajan, M. (2020). Estimating
       training data influence by tracing gradient descent.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; equations 51, 55, 56, 68.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNetClassifier
    >>> from sklinfluence.deep import TracInRanker
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 3)).astype(np.float32)
    >>> y = (X[:, 0] > 0).astype(np.int64)
    >>> wrong = np.argmax(X[:, 0])
    >>> y[wrong] = 0
    >>> net = NeuralNetClassifier(
    ...     torch.nn.Linear, module__in_features=3, module__out_features=2,
    ...     criterion=torch.nn.CrossEntropyLoss, lr=0.5, max_epochs=10, batch_size=10,
    ...     train_split=None, verbose=0,
    ... )
    >>> ranker = TracInRanker(net, random_state=0).fit(X, y)
    >>> ranker.influence(X[:4], y[:4]).shape
    (4, 60)
    >>> int(ranker.ranking_[wrong])  # the row with the wrong label
    1
    """

    _parameter_constraints: dict = {
        **_NET_CONSTRAINTS,
        "method": [StrOptions({"checkpoint", "replay", "ideal"})],
        "layers": LAYERS,
        "projection": [Interval(Integral, 1, None, closed="left"), None],
        "normalize": [StrOptions(set(NORMALIZATIONS)), None],
        "every": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        method: Literal["checkpoint", "replay", "ideal"] = "checkpoint",
        layers: list | str = "all",
        projection: int | None = None,
        normalize: Literal["theta", "loss", "gradient", "cosine"] | None = None,
        every: int = 1,
        checkpoints: str | PathLike | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        n_influences: int | None = None,
        random_state: RandomState = None,
        order_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.layers = layers
        self.projection = projection
        self.normalize = normalize
        self.every = every
        self.checkpoints = checkpoints
        self.dtype = dtype
        self.n_influences = n_influences
        self.random_state = random_state
        self.order_state = order_state

    def _every(self):
        return self.every if self.method == "checkpoint" else "step"

    def _prepare(self, function, rows):
        path = self.training_path_
        check_checkpoints(self.estimator_, path)
        # (Rankers that unroll the steps take some of them again instead.)
        warn_about_own_steps(self.estimator_)
        self._rows = rows
        if self.method == "ideal":
            self._check_ideal_options()
            check_ideal(path)
        elif self.method == "replay":
            check_every_step(path, "method='replay'")
        seed = as_seed(self.random_state)
        self._sketch = None
        if self.projection is not None:
            self._sketch = GaussianSketch(
                function.n_parameters, self.projection, 0 if seed is None else seed
            )
        self._visits = list(self._plan(function, rows))
        self._kept = {}
        self._scale = None
        raw = self._trace_training(function, rows)
        if self.normalize in ("theta", "loss"):
            lengths = np.sqrt(np.maximum(raw, 0.0))
            if self.normalize == "theta":
                lengths = self._change_lengths(function, rows)
            self._scale = inverse_ratio(1.0, lengths)
            raw = raw * self._scale
        self._own_values = raw

    def _check_ideal_options(self):
        wrong = {
            "layers": self.layers != "all",
            "projection": self.projection is not None,
            "normalize": self.normalize in ("gradient", "cosine"),
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(
                    f"method='ideal' credits losses and takes no gradients, so {name}="
                    f"{getattr(self, name)!r} means nothing to it. Use method='replay'."
                )

    def _plan(self, function, rows):
        path, method = self.training_path_, self.method
        weights = to_float64(function.weights(rows))
        reduction = function.reduction(rows, random=method != "replay")
        self._totals = [
            batch_total(weights[batch], reduction) for batch in path.batches
        ]
        if method == "ideal":
            return []
        if method == "checkpoint":
            self._per_mean = 1.0
            if reduction == "sum":
                self._per_mean = _mean_total(path, weights, self.estimator_)
            return checkpoint_visits(path, weights * self._per_mean)
        return replay_visits(path, weights, reduction)

    # -- gradients ----------------------------------------------------------------

    def _query_side(self, gradients, rate):
        gradients = to_float64(gradients)
        if self.normalize == "cosine":
            gradients = unit(gradients)
        gradients = gradients * rate
        return gradients if self._sketch is None else self._sketch(gradients)

    def _train_side(self, gradients):
        gradients = to_float64(gradients)
        if self.normalize in ("cosine", "gradient"):
            gradients = unit(gradients)
        return gradients if self._sketch is None else self._sketch(gradients)

    def _own_products(self, function, state, rows, rate, what="loss"):
        """Product of each row's gradient, as a query, with itself, as trained on."""
        products, sketches = np.empty(len(rows)), []
        for block, gradients in function.per_sample_gradients(state, rows, what):
            train = self._train_side(gradients)
            query = self._query_side(gradients, rate)
            products[block] = np.einsum("ij,ij->i", query, train)
            sketches.append(train)
        return products, sketches

    def _trace_training(self, function, rows):
        """Self-influence of the training rows, not normalised by "theta" or "loss"."""
        if self.method == "ideal":
            return self._ideal_self_influence(function, rows)
        out = np.zeros(self.training_path_.n_rows)
        for number, visit in enumerate(self._visits):
            state = self._state(function, visit.checkpoint)
            rate = self._rate(function, visit.step)
            visited = rows.take(visit.rows)
            products, sketches = self._own_products(function, state, visited, rate)
            add_columns(out, visit.rows, visit.weights * products)
            if self._sketch is not None:
                self._kept[number] = np.concatenate(sketches)
        return out

    def _ideal_self_influence(self, function, rows):
        out = np.zeros(self.training_path_.n_rows)
        after = self._state(function, 0)
        for step, batch in enumerate(self.training_path_.batches):
            before, after = after, self._state(function, step + 1)
            row = rows.take(batch)
            drop = function.losses(before, row) - function.losses(after, row)
            out[batch] += to_float64(drop)
        return out

    def _change_lengths(self, function, rows):
        """Length of the parameter change that each row is credited with."""
        lengths = np.empty(self.training_path_.n_rows)
        change_of = self._ideal_change if self.method == "ideal" else self._change_of
        for block in block_slices(len(lengths), 3 * function.n_parameters):
            change = change_of(function, rows, block)
            lengths[block] = np.linalg.norm(change, axis=1)
        return lengths

    def _ideal_change(self, function, rows, block):
        path = self.training_path_
        change = np.zeros((block.stop - block.start, function.n_parameters))
        for step, batch in enumerate(path.batches):
            row = int(batch[0])
            if block.start <= row < block.stop:
                ends = [self._state(function, c) for c in (step, step + 1)]
                before, after = (to_float64(function.vector(end)) for end in ends)
                change[row - block.start] += after - before
        return change

    def _change_of(self, function, rows, block):
        width = function.n_parameters if self._sketch is None else self.projection
        change = np.zeros((block.stop - block.start, width))
        for visit in self._visits:
            held = (visit.rows >= block.start) & (visit.rows < block.stop)
            if not held.any():
                continue
            state = self._state(function, visit.checkpoint)
            where = visit.rows[held]
            gradients = self._moves(function, state, rows.take(where), visit.step)
            weighted = visit.weights[held][:, None] * gradients
            np.add.at(change, where - block.start, weighted)
        return change

    def _moves(self, function, state, rows, step, what="loss"):
        """Rate times gradient of each row, sketched if the ranker sketches."""
        gradients = to_float64(function.gradients(state, rows, what))
        gradients = gradients * self._rate(function, step)
        return gradients if self._sketch is None else self._sketch(gradients)

    # -- queries ------------------------------------------------------------------

    def _influence_of(self, function, queries, what):
        if self.method == "ideal":
            losses = [
                to_float64(function.losses(self._state(function, c), queries, what))
                for c in range(len(self.training_path_.steps))
            ]
            influence = ideal_credit(np.array(losses), self.training_path_)
        else:
            influence = np.zeros((len(queries), self.training_path_.n_rows))
            for number, visit in enumerate(self._visits):
                self._add_visit(influence, function, queries, what, number, visit)
        return influence if self._scale is None else influence * self._scale

    def _add_visit(self, influence, function, queries, what, number, visit):
        state = self._state(function, visit.checkpoint)
        rate = self._rate(function, visit.step)
        for block, gradients in function.per_sample_gradients(state, queries, what):
            query = self._query_side(gradients, rate)
            for some, train in self._train_blocks(function, state, number, visit):
                products = (query @ train.T) * visit.weights[some]
                add_columns(influence[block], visit.rows[some], products)

    def _train_blocks(self, function, state, number, visit):
        if number in self._kept:
            yield slice(None), self._kept[number]
            return
        rows = self._rows.take(visit.rows)
        for block, gradients in function.per_sample_gradients(state, rows):
            yield block, self._train_side(gradients)

    def _self_influence_of(self, function, rows, what):
        out = np.empty(len(rows))
        # The change that a row would have made is a vector of all parameters.
        width = 3 * function.n_parameters if self.normalize == "theta" else 1
        for block in block_slices(len(rows), width):
            out[block] = self._new_rows(function, rows.take(block), what)
        return out

    def _new_rows(self, function, rows, what):
        path = self.training_path_
        if self.method == "checkpoint":
            share = self._per_mean
            visits = [(visit.checkpoint, visit.step, share) for visit in self._visits]
        else:
            # In each batch with the mean share of a row, as for the other rankers.
            n_trained = np.count_nonzero(path.trained)
            visits = [
                (step, step, len(batch) / n_trained / total)
                for step, (batch, total) in enumerate(
                    zip(path.batches, self._totals, strict=True)
                )
            ]
        total, change = np.zeros(len(rows)), 0.0
        for checkpoint, step, share in visits:
            state, rate = self._state(function, checkpoint), self._rate(function, step)
            products, _ = self._own_products(function, state, rows, rate, what)
            total += share * products
            if self.normalize == "theta":
                moves = self._moves(function, state, rows, step, what)
                change = change + share * moves
        if self.normalize == "loss":
            return np.sqrt(np.maximum(total, 0.0))
        if self.normalize == "theta":
            return inverse_ratio(total, np.linalg.norm(change, axis=1))
        return total


def _mean_total(path, weights, net):
    """What the rate at a batch's sum is multiplied with to be that at its mean."""
    reduction = "mean" if weighs_classes(net) else "count"
    return np.mean([batch_total(weights[batch], reduction) for batch in path.batches])
