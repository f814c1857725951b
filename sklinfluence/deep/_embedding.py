"""SkorchEmbedding: what a layer of a network makes of rows, as a transformer."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._estimators import fit_weighted, sliceable
from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._nets import (
    cast,
    find_last_linear,
    given_net,
    is_frozen,
    layer_inputs,
    module_dtype,
    to_array,
    unwrap,
)
from sklinfluence._sklearn_compat import (
    HasMethods,
    StrOptions,
    _fit_context,
    _safe_indexing,
)
from sklinfluence._typing import Rows


class SkorchEmbedding(
    InMemoryMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Embed rows by a layer of a skorch net.

    `fit` trains a clone of the net, or takes a frozen one as it is; `transform` runs
    rows through it in evaluation mode, batch by batch, on the net's device, in the
    order in which they came, and returns what the layer received (or gave). Training
    mode, gradients, parameters and random state of the net stay as they were.

    Read more in the :ref:`User Guide <deep>`.

    Parameters
    ----------
    estimator : NeuralNet
        Any skorch net. A trained one, pretrained weights included, is passed as
        ``FrozenEstimator(net)``.
    layer : str, default=None
        Name of a layer, as ``net.module_.named_modules()`` has it. None: the last
        linear layer, found by running a row: the one whose output is the module's
        output, perhaps after a softmax or a sigmoid.
    take : {"input", "output"}, default="input"
        What the layer receives, or what it gives.

    Attributes
    ----------
    estimator_ : NeuralNet
        The trained net.
    layer_ : str
        Name of the layer.
    n_features_in_ : int
        Number of columns of X, when the net knows it.

    See Also
    --------
    sklinfluence.gradient.InfluenceRanker : Takes a net as it is, embeddings and head.

    Notes
    -----
    In a Pipeline, the estimator after it is fitted on embeddings of the very rows that
    the net was trained on.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skorch import NeuralNetClassifier
    >>> from sklinfluence.deep import SkorchEmbedding
    >>> X, y = load_iris(return_X_y=True)
    >>> net = NeuralNetClassifier(
    ...     torch.nn.Sequential(
    ...         torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ...     ),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     verbose=0,
    ... )
    >>> embedding = SkorchEmbedding(net).fit(X, y)
    >>> embedding.layer_
    '2'
    >>> embedding.transform(X).shape
    (150, 8)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "layer": [str, None],
        "take": [StrOptions({"input", "output"})],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        layer: str | None = None,
        take: Literal["input", "output"] = "input",
    ) -> None:
        self.estimator = estimator
        self.layer = layer
        self.take = take

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the net and settle which layer embeds.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), or whatever the net takes
            Training rows.
        y : array-like of shape (n_rows,), default=None
            Targets.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights; refused if the net's ``fit`` takes none.

        Returns
        -------
        self : SkorchEmbedding

        Raises
        ------
        ValueError
            If no layer has the name, or none qualifies by itself.
        """
        given_net(self)
        if y is None and self._trains_with_targets():
            raise ValueError(
                "This SkorchEmbedding estimator requires y to be passed, but the "
                "target y is None."
            )
        X = sliceable(X)
        net = unwrap(fit_weighted(clone(self.estimator), X, y, sample_weight))
        X = cast(X, module_dtype(net))
        self.layer_ = self._find_layer(net, X)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(net, name):
                setattr(self, name, getattr(net, name))
        one = _safe_indexing(X, slice(0, 1))
        first = next(layer_inputs(net, one, self.layer_, take=self.take))[0]
        self._n_features_out = to_array(first).shape[1]
        self.estimator_ = net
        return self

    def _find_layer(self, net, X):
        names = [name for name, _ in net.module_.named_modules()]
        if self.layer is not None:
            if self.layer in names:
                return self.layer
            raise ValueError(
                f"layer={self.layer!r} is no layer of {type(net.module_).__name__}. "
                f"Its layers are {', '.join(repr(name) for name in names if name)}."
            )
        found = find_last_linear(net, _safe_indexing(X, slice(0, 8)))
        if found is None:
            raise ValueError(
                f"No linear layer of {type(net.module_).__name__} gives the module's "
                "output, so there is no last linear layer. Name the layer that "
                f"embeds, layer=...: {', '.join(repr(name) for name in names if name)}."
            )
        return found

    def transform(self, X: Rows) -> NDArray:
        """Embed rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), or whatever the net takes

        Returns
        -------
        embedding : ndarray of shape (n_rows, n_embedding)
            In the net's own floating type; what is not flat is flattened. NaN where
            the module makes NaN of a row.
        """
        check_is_fitted(self)
        X = cast(sliceable(X), module_dtype(self.estimator_))
        if _num_samples(X) == 0:
            dtype = str(module_dtype(self.estimator_)).removeprefix("torch.")
            return np.empty((0, self._n_features_out), dtype=dtype)
        batches = layer_inputs(self.estimator_, X, self.layer_, take=self.take)
        return np.concatenate([to_array(taken) for taken, _ in batches])

    def _trains_with_targets(self):
        if is_frozen(self.estimator):
            return False
        return get_tags(self.estimator).target_tags.required

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.target_tags.required = self._trains_with_targets()
        return tags
