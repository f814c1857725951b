"""LeafEmbedding: rows as the leaves of a fitted ensemble that they are in."""

from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import (
    are_classes,
    check_training,
    fit_weighted,
    row_weights,
    sliceable,
)
from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._parts import PartsMixin
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    _set_random_states,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.trees._leaves import paths, read_leaves

KERNELS = {
    "leaf_path",
    "leaf_output",
    "feature_path",
    "feature_output",
    "tree_output",
}


class LeafEmbedding(
    InMemoryMixin,
    PartsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Rows as the leaves that they reach, for a kernel or a linear model on trees.

    One row of ones and zeros says which leaf of each tree a row is in. The inner
    product of two rows is then a similarity that the ensemble has learnt: in how many
    trees they end in the same leaf. The other kernels of TREX [1]_ put the leaf's
    value in place of the 1, or mark all nodes on the way.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        A HistGradientBoosting*, GradientBoosting*, RandomForest*, ExtraTrees*, LGBM* or
        XGB* model, or a Pipeline that ends in one. A fitted one is passed as
        ``FrozenEstimator(model)``. It is cloned, never changed. None:
        ``HistGradientBoostingClassifier()`` for class targets, its regressor for real
        ones.
    kernel : {"leaf_path", "leaf_output", "feature_path", "feature_output", \
"tree_output"}, default="leaf_path"
        "leaf_path": 1 for the leaf of each tree. "leaf_output": its value instead (for
        a forest of classes, the length of its vector of shares). "feature_path": 1 for
        each node on the way to the leaf, the leaf included; "feature_output" the same
        with the leaf's value at the leaf. "tree_output": what each tree says, a dense
        column (a forest of classes: a column for each class) a tree.
    power : float, default=0.0
        Entries are divided by the number of training rows (the sum of their weights)
        in their leaf, or node, to this power. 1 makes of "leaf_path" the weighted
        kernel that is TREX's default.
        Must be 0 for "tree_output".
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state``. None leaves it as it is.

    Attributes
    ----------
    estimator_ : estimator
        The fitted ensemble.
    n_leaves_ : int
        Number of leaves of all trees.
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    TrexRanker : Representers of a linear model on this embedding.
    sklearn.ensemble.RandomTreesEmbedding : Leaves of trees that know no target.

    Notes
    -----
    TREX's weighted *output* kernels put 1 / value where these put value / count: a leaf
    that says little would weigh most.

    References
    ----------
    .. [1] Brophy, J., Hammoudeh, Z. and Lowd, D. (2023). Adapting and evaluating
       influence-estimation methods for gradient-boosted decision trees. JMLR 24(154).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.trees import LeafEmbedding
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(20, max_depth=3, random_state=0)
    >>> leaves = LeafEmbedding(forest).fit_transform(X, y)
    >>> int(leaves[0].sum())
    20
    >>> on_leaves = make_pipeline(LeafEmbedding(forest), LogisticRegression())
    >>> InfluenceRanker(on_leaves).fit(X, y).influence(X[:2], y[:2]).shape
    (2, 150)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "kernel": [StrOptions(KERNELS)],
        "power": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }
    _written_out = {"estimator": "HistGradientBoostingClassifier(), or its regressor"}

    def __init__(
        self,
        estimator: Any = None,
        *,
        kernel: Literal[
            "leaf_path",
            "leaf_output",
            "feature_path",
            "feature_output",
            "tree_output",
        ] = "leaf_path",
        power: float = 0.0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.kernel = kernel
        self.power = power
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the ensemble, or read a fitted one, and count the rows in its leaves.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, for the estimator.

        Returns
        -------
        self : LeafEmbedding

        Raises
        ------
        TypeError
            If the estimator is no ensemble of trees that is known.
        ValueError
            If ``power`` is above 0 where nothing is counted.
        """
        if self.kernel == "tree_output" and self.power > 0:
            raise ValueError(
                f"power={self.power} divides by the rows in a leaf, and "
                "kernel='tree_output' has no leaves: set power=0."
            )
        X = sliceable(X)
        y, sample_weight = check_training(self, X, y, sample_weight)
        model = self._unfitted(y)
        if self.random_state is not None:
            _set_random_states(model, self.random_state)
        model = fit_weighted(model, X, y, sample_weight)
        reader = read_leaves(model)
        sizes = [len(values) for stage in reader.leaf_values for values in stage]
        self.estimator_, self.n_leaves_ = model, sum(sizes)
        # 32 bits, as leaves are numbered: their sum is as large as the embedding.
        starts = np.cumsum([0, *sizes[:-1]], dtype=np.int32)
        self._reader, self._starts = reader, starts
        counts = _counts(reader, X, row_weights(sample_weight, y))
        self._columns = _columns_of_leaves(reader, self.kernel, counts, self.power)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        return self

    def _unfitted(self, y):
        if self.estimator is not None:
            return clone(self.estimator)
        if are_classes(y):
            return HistGradientBoostingClassifier()
        return HistGradientBoostingRegressor()

    @property
    def _n_features_out(self):
        return self._columns.shape[1]

    def transform(self, X: Rows) -> Any:
        """The leaves of rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)

        Returns
        -------
        embedding : CSR matrix of shape (n_rows, n_columns)
            Columns are the leaves (nodes) of all trees, tree by tree. A dense array
            for "tree_output".
        """
        check_is_fitted(self)
        embedding = self._one_hot(sliceable(X)) @ self._columns
        return embedding.toarray() if self.kernel == "tree_output" else embedding

    def _one_hot(self, X):
        stages = list(self._reader.leaf_indices(X))
        leaves = np.concatenate(stages, axis=1) + self._starts
        n_rows, n_trees = leaves.shape
        start = np.arange(0, leaves.size + 1, n_trees)
        entries = np.ones(leaves.size), leaves.ravel(), start
        return sparse.csr_matrix(entries, shape=(n_rows, self.n_leaves_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        model = self.estimator
        model = HistGradientBoostingClassifier() if model is None else model
        tags.input_tags = get_tags(model).input_tags
        return tags


def _counts(reader, X, weights):
    """The sum of the weights of rows in each leaf, tree by tree."""
    counts = [
        np.bincount(leaves[:, k], weights, len(values))
        for stage, leaves in zip(
            reader.leaf_values, reader.leaf_indices(X), strict=True
        )
        for k, values in enumerate(stage)
    ]
    return np.concatenate(counts)


def _columns_of_leaves(reader, kernel, counts, power):
    """What each leaf is in the embedding, CSR of shape (n_leaves, n_columns)."""
    values = [values for stage in reader.leaf_values for values in stage]
    if kernel == "tree_output":
        return sparse.block_diag([_as_columns(v) for v in values], format="csr")
    lengths = np.concatenate([np.linalg.norm(_as_columns(v), axis=1) for v in values])
    signs = [np.sign(v) if v.ndim == 1 else np.ones(len(v)) for v in values]
    lengths *= np.concatenate(signs)
    if kernel.startswith("leaf"):
        entries = np.ones(len(counts)) if kernel == "leaf_path" else lengths
        return sparse.diags_array(entries * _scales(counts, power), format="csr")
    ways = [paths(*pair) for stage in reader.children for pair in stage]
    nodes = sparse.block_diag(ways, format="csr")
    if kernel == "feature_output":
        # A leaf is the last of the nodes that it is reached by.
        is_leaf = np.concatenate(
            [np.asarray(left) < 0 for stage in reader.children for left, _ in stage]
        )
        at_leaf = nodes.multiply(is_leaf).multiply(lengths[:, None])
        nodes = (nodes.multiply(~is_leaf) + at_leaf).tocsr()
    below = nodes.astype(bool).astype(float).T @ counts
    return (nodes @ sparse.diags_array(_scales(below, power))).tocsr()


def _as_columns(values):
    return values.reshape(len(values), -1)


def _scales(counts, power):
    """count ** -power; 0 where no row is."""
    scales = np.zeros(len(counts))
    return np.power(counts, -float(power), out=scales, where=counts > 0)
