"""The classical regression diagnostics of a ranker's head, as a table."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklinfluence._in_memory import in_memory
from sklinfluence._scheduling import on_threads
from sklinfluence._sklearn_compat import check_pandas_support
from sklinfluence._typing import Rows
from sklinfluence.base import BaseRanker
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection._row_diagnostics import (
    row_diagnostics,
    scaled_parameter_changes,
)


@in_memory
def diagnostics(
    ranker: Any,
    X: Rows | None = None,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    dfbetas: bool = True,
) -> Any:
    """Classical diagnostics of every training row.

    For least squares, logistic and softmax heads, penalised and weighted ones
    included: what statistics packages give for unpenalised models, on scikit-learn's
    own objective. Read more in the :ref:`User Guide <groups_and_bounds>`.

    Parameters
    ----------
    ranker : InfluenceRanker or estimator
        Fitted; a ranker with damping 0, or any estimator that
        :func:`~sklinfluence.heads.linear_head` knows, which is read, not fitted again.
    X : {array-like, sparse matrix} of shape (n_train, n_features), default=None
        The rows that an estimator was fitted on; a ranker has its own.
    y : array-like of shape (n_train,) or (n_train, n_targets), default=None
        Their targets.
    sample_weight : array-like of shape (n_train,), default=None
        Their weights.
    dfbetas : bool, default=True
        Whether the table has the DFBETAS, a column for each parameter.

    Returns
    -------
    table : DataFrame of shape (n_train, n_columns)
        A row for each training row, in order, indexed as the training X was, and the
        columns:

        - ``leverage``: s_i S_i B_i, its trace for a softmax;
        - ``residual``: target less prediction; of probabilities for logistic heads,
          one less the given class's for a softmax;
        - ``internally_studentized``: the residual over its standard error; the length
          of the residual in the inverse of its covariance for a softmax;
        - ``externally_studentized``: the same with the noise estimated without the
          row; for logistic and softmax heads the signed root of what leaving the row
          out takes off twice the objective, by one Newton step [2]_;
        - ``cooks_distance``: the squared length of the parameter change in H, over the
          number of parameters and the noise;
        - ``dffits``: the change of the row's own fit, in standard errors without it;
        - ``covariance_ratio``: determinant of the parameters' covariance without the
          row, over that with it;
        - ``loo_prediction``: the prediction for the row by the model without it, a
          probability for logistic heads (of ``classes_[1]`` for two classes);
        - ``dfbetas_<parameter>``: the change of each parameter, in standard errors
          without the row.

        Heads with several outputs that do not interact have a column for each,
        ``<name>_<output>``.

    Raises
    ------
    TypeError
        If X and y are given with a ranker, or missing with an estimator.
    ValueError
        If the ranker's damping is above 0, or its solver approximates.

    Notes
    -----
    Where columns depend on each other and no penalty tells them apart, every measure
    but the DFBETAS is that of the design without the columns that can be spared, and
    the number of parameters that of those that are left: the rank of the Hessian.
    DFBETAS are then those of the parameters of least length, and the classical ones
    of parameters that no dependency touches.

    A row of weight 0 has left already. Leaving it out changes nothing: leverage,
    Cook's distance, DFFITS and DFBETAS are 0, the covariance ratio is 1. Its
    residuals are those of a new row, over the standard error of its prediction.

    References
    ----------
    .. [1] Belsley, D. A., Kuh, E. and Welsch, R. E. (1980). Regression diagnostics.
    .. [2] Williams, D. A. (1987). Generalized linear model diagnostics using the
       deviance and single case deletions.
    .. [3] Pregibon, D. (1981). Logistic regression diagnostics.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.inspection import diagnostics
    >>> X, y = load_diabetes(return_X_y=True)
    >>> table = diagnostics(InfluenceRanker(Ridge(alpha=0.1)).fit(X, y), dfbetas=False)
    >>> list(table.columns[:4])
    ['leverage', 'residual', 'internally_studentized', 'externally_studentized']
    >>> int(table["cooks_distance"].idxmax())
    123
    >>> model = Ridge(alpha=0.1).fit(X, y)
    >>> bool(diagnostics(model, X, y, dfbetas=False).equals(table))
    True
    """
    pd = check_pandas_support("diagnostics")

    ranker = _ranker_of(ranker, X, y, sample_weight)
    if ranker.damping:
        raise ValueError(
            "diagnostics are of the estimator's own objective, which damping changes: "
            "set damping=0."
        )
    fitted = ranker.reading_.fitted
    fitted.refuse_approximate_rows("diagnostics need")
    removal = ranker.reading_.removal
    columns = {}
    with on_threads(ranker.n_jobs):
        found = row_diagnostics(fitted, removal)
    for name, values in found.items():
        values = values.reshape(len(values), -1)
        for suffix, column in zip(_parts(ranker, values), values.T, strict=True):
            columns[name + suffix] = column
    if dfbetas:
        changes = scaled_parameter_changes(fitted, removal)
        outputs = _parts(ranker, changes[:, :, 0])
        for k, output in enumerate(outputs):
            for j, parameter in enumerate(_parameters(ranker)):
                columns[f"dfbetas{output}_{parameter}"] = changes[:, k, j]
    return pd.DataFrame(columns, index=ranker.reading_.index)


def _ranker_of(model, X, y, sample_weight):
    """The ranker itself, or one that reads a fitted estimator."""
    check_is_fitted(model)
    name, given = type(model).__name__, X is not None or y is not None
    if isinstance(model, InfluenceRanker):
        if given or sample_weight is not None:
            raise TypeError(
                f"diagnostics of a fitted {name} are of the rows it was fitted on: "
                "leave X, y and sample_weight out."
            )
        return model
    if isinstance(model, BaseRanker):
        raise TypeError(
            "diagnostics takes an InfluenceRanker, or a fitted estimator with X and y; "
            f"got {name}."
        )
    if X is None or y is None:
        raise TypeError(
            f"diagnostics of a fitted {name} need the X and y that it was fitted on: "
            "diagnostics(estimator, X, y)."
        )
    frozen = FrozenEstimator(model)
    return InfluenceRanker(frozen).fit(X, y, sample_weight=sample_weight)


def _parts(ranker, values):
    """What tells the columns of one diagnostic apart: nothing, or the output."""
    n_parts = values.shape[1]
    if n_parts == 1:
        return [""]
    names = getattr(ranker, "classes_", np.arange(n_parts))
    return [f"_{name}" for name in names[-n_parts:]]


def _parameters(ranker):
    """Names of the parameters of one output."""
    objective = ranker.reading_.fitted.objective
    # An l1 head's design keeps only the columns in use.
    whole = objective.whole
    n_embedding = objective.design.X.shape[1]
    columns = np.arange(n_embedding) if whole is None else whole.columns
    n_all = n_embedding if whole is None else whole.design.X.shape[1]
    names = _embedding_names(ranker)
    if len(names) != n_all:
        names = [f"x{j}" for j in range(n_all)]
    names = [names[column] for column in columns]
    return names + ["intercept"] * bool(objective.design.fit_intercept)


def _embedding_names(ranker):
    """Names of the embedding's columns where the estimator knows them, else none."""
    estimator = ranker.estimator_
    given = getattr(ranker, "feature_names_in_", None)
    if isinstance(estimator, Pipeline):
        try:
            # Without a step before the head these are the names that it is given.
            given = estimator[:-1].get_feature_names_out(given)
        except (AttributeError, ValueError):
            # Steps that name no columns, or do not know how many there are.
            return ()
    return () if given is None else given
