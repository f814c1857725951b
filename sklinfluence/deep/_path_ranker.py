"""What the rankers along a training path share: a trained net and its past."""

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples

from sklinfluence._estimators import fit_inputs
from sklinfluence._nets import (
    cast,
    check_before_training,
    check_initialized,
    check_loss,
    explained,
    given_net,
    is_frozen,
    module_dtype,
    refuse_frame,
    refuse_non_finite,
    rows_and_targets,
    unwrap,
)
from sklinfluence._removal import inverse_ratio
from sklinfluence._typing import Rows
from sklinfluence._whole_fit import whole
from sklinfluence.base import BaseRanker
from sklinfluence.deep._net._functional import FunctionalNet, check_layers
from sklinfluence.deep._path._margins import (
    area_under_margin,
    forgetting_events,
    margins,
)
from sklinfluence.deep._path._path_loss import check_own_loss, check_rows
from sklinfluence.deep._path._replay import check_end, check_steps
from sklinfluence.deep._path._training import check_data, read, real_dtype, train
from sklinfluence.deep._path._training_path import check_unrollable

LABEL_SCORES = ("self_influence", "area_under_margin", "forgetting", "loss", "margin")


def to_float64(tensor):
    """A tensor as a float64 array: sums over many steps are taken in float64."""
    # On the CPU first: not every device has float64 (nor NumPy every 16-bit type).
    return tensor.detach().cpu().double().numpy()


class PathRanker(BaseRanker):
    """Base of the rankers that read how a skorch net was trained.

    A subclass names what the recorder has to keep (`_every`), prepares what queries
    need (`_prepare`), and gives `_influence_of` and `_self_influence_of` on rows as
    tensors.
    """

    def _every(self):
        return "step"

    @whole
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train a clone of the net, or read a trained one, and prepare for queries.

        Parameters
        ----------
        X : array-like of shape (n_train, n_features), or what else the net takes
            Training rows: arrays, tensors, dicts, a Dataset.
        y : array-like of shape (n_train,) or (n_train, n_targets), default=None
            Targets; None for a net that needs none.
        sample_weight : array-like of shape (n_train,), default=None
            Weights are refused: the steps of a run know none.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If weights are given, or the net has no loss of X and y.
        """
        self._validate_params()
        net = given_net(self)
        check_layers(getattr(self, "layers", "all"))
        self._refuse_weights(sample_weight)
        if y is None and get_tags(net).target_tags.required and hasattr(X, "__array__"):
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        X, y = fit_inputs(net, *rows_and_targets(X, y))
        if is_frozen(self.estimator):
            check_initialized(net)
            check_loss(net, X, y)
            self.estimator_, path = read(
                self.estimator, self.checkpoints, _num_samples(X)
            )
        else:
            check_before_training(net, X, y)
            self.estimator_, path = train(
                self.estimator,
                X,
                y,
                every=self._every(),
                random_state=self.random_state,
                order_state=self.order_state,
            )
        self._take_names(path.n_rows, y)
        self.training_path_ = path
        function = self._functional()
        if not function.names:
            raise ValueError(
                f"Training moved no parameter of the module of {type(net).__name__} "
                "(none has requires_grad=True, a learning rate above 0 and a place in "
                "the optimiser), so rows have no influence on it."
            )
        rows = function.rows(X, y)
        check_rows(function, rows)
        if is_frozen(self.estimator):
            check_data(net, path, X, y)
        check_own_loss(function, rows)
        self._prepare(function, rows)
        return self

    def _refuse_weights(self, sample_weight):
        if sample_weight is not None:
            raise ValueError(
                f"sample_weight was given, but fit of {type(self).__name__} does not "
                "take it: the steps of a net's training have no weights of rows. Pass "
                "sample_weight=None. Weights of classes belong to the net's criterion."
            )

    def _take_names(self, n_rows, y):
        net, classes = self.estimator_, None
        # Names of a dict of targets, which a loss of the user's own reads.
        self._targets = tuple(y) if isinstance(y, dict) else None
        if is_classifier(net) and self._targets is None:
            # (A net that was trained on a Dataset was shown no y apart from it.)
            found = getattr(net, "classes_", None)
            classes = np.unique(y) if found is None else np.asarray(found)
        self._begin(n_rows, net, classes)
        if self._targets is not None:
            # What skorch infers from several targets are no labels.
            self.__dict__.pop("classes_", None)
        is_array = y is not None and self._targets is None
        self._y_dtype = np.asarray(y).dtype if is_array else None

    def _functional(self):
        dtype = None if self.dtype is None else getattr(torch, self.dtype)
        net = self.estimator_
        layers = getattr(self, "layers", "all")
        moved = self.training_path_.moved
        still = {n for n, _ in net.module_.named_parameters() if n not in moved}
        return FunctionalNet(net, layers, dtype or real_dtype(net), still)

    def _sizes(self, function):
        return [shape.numel() for shape in function.shapes]

    def _prepare_unrolling(self, function, rows):
        """Check that the run can be unrolled; weights of the training rows."""
        path, name = self.training_path_, type(self).__name__
        check_unrollable(path, name)
        check_end(self.estimator_, path, name)
        self._rows = rows
        self._reduction = function.reduction(rows)
        weights = to_float64(function.weights(rows))
        check_steps(function, path, rows, weights, self._reduction, name)
        return weights

    def _rate(self, function, step):
        path = self.training_path_
        return path.setting("lr", step, function.names, self._sizes(function))

    def _state(self, function, c):
        return function.state(self.training_path_.load(c))

    # -- queries ------------------------------------------------------------------

    def _queries(self, function, X, y):
        """Queries as rows, and what is measured on them."""
        net = self.estimator_
        refuse_frame(net, X)
        if self._targets is not None:
            self._check_named_targets(y)
        if y is None and is_regressor(net):
            with explained(net, X):
                rows = function.rows(cast(X, module_dtype(net)))
                self._check_one_output(function, rows)
            return rows, "prediction"
        else:
            X, y = fit_inputs(net, X, y)
            if y is not None and self._targets is None:
                y = self._as_given(np.asarray(y))
        with explained(net, X):
            rows, state = function.rows(X, y), function.state()
            function.raw(state, rows.take(slice(0, 1)))
        losses = function.losses(state, rows)
        refuse_non_finite(net, X, losses, when="on the queries")
        return rows, "loss"

    def _check_named_targets(self, y):
        if not isinstance(y, dict) or set(self._targets) - set(y):
            got = (
                f"a dict of {', '.join(y)}" if isinstance(y, dict) else type(y).__name__
            )
            raise ValueError(
                f"{type(self.estimator_).__name__} was trained on a dict of targets, "
                f"{', '.join(map(repr, self._targets))}, and its loss needs them of "
                f"queries too: got y={got}. Pass y as a dict, or X as a Dataset with "
                "such targets."
            )

    def _query_inputs(self, X, y):
        return rows_and_targets(X, y)

    def _check_asked(self, y, n_queries):
        if not isinstance(y, dict):
            super()._check_asked(y, n_queries)
            return
        lengths = {name: len(values) for name, values in y.items()}
        if set(lengths.values()) != {n_queries}:
            raise ValueError(f"X has {n_queries} rows, and the targets {lengths}.")

    def _as_given(self, y):
        """Targets in the numerical type that the net was trained on."""
        kinds = {y.dtype.kind, "" if self._y_dtype is None else self._y_dtype.kind}
        return y.astype(self._y_dtype) if kinds <= set("fiub") else y

    def _check_one_output(self, function, rows):
        raw = function.raw(function.state(), rows.take(slice(0, 1)))
        n_outputs = (raw[0] if isinstance(raw, tuple) else raw).numel()
        if n_outputs > 1:
            raise ValueError(
                "Without y, influence is on the prediction itself, and this model "
                f"predicts {n_outputs} targets. Pass y, shape (n_queries, n_targets)."
            )

    def _influence_block(self, X, y):
        if _num_samples(X) == 0:
            return np.empty((0, self.n_train_))
        function = self._functional()
        rows, what = self._queries(function, X, y)
        influence = self._influence_of(function, rows, what)
        # An infinite value may leave a loss finite, and its gradient not.
        refuse_non_finite(self.estimator_, X, torch.as_tensor(influence))
        return influence

    def _self_influence(self):
        return self._own_values

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have had in the same training run.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or what else the net takes
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        self_influence : ndarray of shape (n_queries,)
            Of a row that had been in each batch with the mean share of a row.
        """
        X, y = self._asked(X, y)
        if _num_samples(X) == 0:
            return np.empty(0)
        function = self._functional()
        rows, what = self._queries(function, X, y)
        scores = self._self_influence_of(function, rows, what)
        refuse_non_finite(self.estimator_, X, torch.as_tensor(scores))
        return scores

    # -- normalisation at the end of the run --------------------------------------

    def _final_lengths(self, function, rows, what="loss"):
        """Length of every row's gradient at the final parameters."""
        lengths = np.empty(len(rows))
        blocks = function.per_sample_gradients(function.state(), rows, what)
        for block, gradients in blocks:
            lengths[block] = np.linalg.norm(to_float64(gradients), axis=1)
        return lengths

    def _query_scale(self, gradients):
        """What `normalize` multiplies each query with: its own length, for "cosine"."""
        if self.normalize != "cosine":
            return 1.0
        return inverse_ratio(1.0, np.linalg.norm(gradients, axis=1))[:, None]

    # -- label scores -------------------------------------------------------------

    def _known_label_scores(self):
        return LABEL_SCORES if hasattr(self, "classes_") else ("self_influence", "loss")

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return self.self_influence_ if X is None else self.score_samples(X, y)
        function, rows = self._functional(), self._rows
        if X is not None:
            rows, _ = self._queries(function, *self._asked(X, y))
        if score == "loss":
            return to_float64(function.losses(function.state(), rows))
        if score == "margin":
            return -margins(function, function.state(), rows)
        n_checkpoints = len(self.training_path_.steps)
        leads = np.array(
            [
                margins(function, self._state(function, c), rows)
                for c in range(n_checkpoints)
            ]
        )
        if score == "forgetting":
            return forgetting_events(leads)
        return -area_under_margin(leads)

    # -- the wrapped model --------------------------------------------------------

    def _wrapped(self):
        return unwrap(self.estimator)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A net may be trained on rows alone, as an autoencoder is.
        tags.target_tags.required = get_tags(self._wrapped()).target_tags.required
        tags.non_deterministic = self.random_state is None
        return tags
