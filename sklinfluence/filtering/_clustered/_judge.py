"""A filter on a dask array: what it takes there, and what it hands out."""

import dask.array as da
import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import column_or_1d

from sklinfluence._estimators import (
    are_classes,
    check_weight_range,
    refuse_missing_labels,
)
from sklinfluence._in_memory import is_dask
from sklinfluence._sklearn_compat import _check_sample_weight
from sklinfluence._source import row_source
from sklinfluence._warn import warn_user
from sklinfluence.filtering._clustered._label_model import ClusterLabelModel
from sklinfluence.filtering._votes import VOTES

# What each parameter may be on a cluster, and what to do about another value.
_ONLY = {
    "ranker": (
        (None,),
        "There the filter's own votes judge the labels; a ranker's own scores come "
        "from InfluenceRanker(...).fit(X, y), loo_decision_function_ for one.",
    ),
    "label_score": (("auto",), "Leave label_score='auto'."),
    "cv": ((None,), "There rows are left out one by one: leave cv=None."),
    "duplicates": ((None, 0.0), "Copies are told by equal rows: 0.0, or None."),
}


def judge(detector, X, y, sample_weight):
    """Fit the votes on a cluster.

    Parameters
    ----------
    detector : MislabelFilter
    X, y, sample_weight : object
        As its `fit` takes them, X a dask array.

    Returns
    -------
    model : ClusterLabelModel
        Fitted.
    labels, weight : ndarray of shape (n_rows,)
    """
    name = type(detector).__name__
    pool = _pool_there(detector.pool)
    source = row_source(X)
    labels = _labels(name, y, source.n_rows)
    weight = np.ones(source.n_rows)
    if sample_weight is not None:
        weight = _check_sample_weight(
            np.asarray(sample_weight), weight, ensure_non_negative=True
        )
        check_weight_range(weight)
    model = ClusterLabelModel(
        noise=detector.noise,
        n_rounds=detector.n_rounds,
        pool=pool,
        duplicates=detector.duplicates,
        random_state=detector.random_state,
    )
    model.fit(X, labels, None if sample_weight is None else weight)
    return model, labels, weight


def check_asked(detector, groups):
    """Refuse what is done in memory alone.

    Raises
    ------
    ValueError
    """
    for name, (known, advice) in _ONLY.items():
        given = getattr(detector, name)
        if not any(given is value or given == value for value in known):
            raise ValueError(
                f"{name}={given!r} of {type(detector).__name__} is for rows in memory, "
                f"and X is a dask array. {advice}"
            )
    if groups is not None:
        raise ValueError(
            "groups are for folds, and on a cluster (X is a dask array) rows are left "
            "out one by one. Leave groups=None."
        )
    if detector.threshold == "fdr":
        raise ValueError(
            "threshold='fdr' calibrates the probabilities of all rows in memory, and X "
            "is a dask array. Use threshold='auto', a number, or contamination."
        )
    if "forest" in detector.pool and tuple(detector.pool) != VOTES:
        raise ValueError(
            f"pool={detector.pool!r} names the forest, which grows on rows in memory, "
            "and X is a dask array. Leave it out: pool=('linear', 'kernel')."
        )


def _pool_there(pool):
    """The votes that are taken; the forest of the default is left out aloud."""
    if tuple(pool) == VOTES:
        warn_user(
            "X is a dask array, and the forest votes on rows in memory alone: the pool "
            "is of 'linear' and 'kernel'. pool=('linear', 'kernel') says so."
        )
    return tuple(vote for vote in pool if vote != "forest")


def _labels(name, y, n_rows):
    """Given labels, on the client; real targets are refused."""
    y = np.asarray(y.compute() if is_dask(y) else y)
    refuse_missing_labels(y)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y", estimator_name=name)
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} labels, and X has {n_rows} rows.")
    if not are_classes(y):
        raise ValueError(
            f"y holds real targets, and on a cluster (X is a dask array) {name} judges "
            "class labels. Real targets are judged in memory, X.compute(), or by the "
            "residuals of InfluenceRanker(Ridge()).fit(X, y)."
        )
    return y


class HandedOut:
    """What is known of each row, handed out in the chunks of X's rows.

    Parameters
    ----------
    sizes : tuple of int
    """

    def __init__(self, sizes):
        self.sizes = sizes

    def __call__(self, values):
        return da.from_array(values, chunks=(self.sizes,))
