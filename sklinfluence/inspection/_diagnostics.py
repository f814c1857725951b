"""The classical regression diagnostics of a ranker's head, as a table."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.gradient._diagnostics import (
    row_diagnostics,
    scaled_parameter_changes,
)


def diagnostics(ranker, *, dfbetas=True):
    """Classical diagnostics of every training row.

    For least squares, logistic and softmax heads, penalised and weighted ones
    included: what statistics packages give for unpenalised models, on scikit-learn's
    own objective. Read more in the :ref:`User Guide <groups_and_bounds>`.

    Parameters
    ----------
    ranker : InfluenceRanker
        Fitted, with damping 0.
    dfbetas : bool, default=True
        Whether the table has the DFBETAS, a column for each parameter.

    Returns
    -------
    table : DataFrame of shape (n_train, n_columns)
        A row for each training row, in order, and the columns:

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
    ValueError
        If the ranker's damping is above 0, or its solver approximates.

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
    """
    import pandas as pd

    check_is_fitted(ranker)
    if not isinstance(ranker, InfluenceRanker):
        raise TypeError(
            f"diagnostics takes an InfluenceRanker, got {type(ranker).__name__}."
        )
    if ranker.damping:
        raise ValueError(
            "diagnostics are of the estimator's own objective, which damping changes: "
            "set damping=0."
        )
    fitted = ranker._fitted
    if not (fitted.is_exact and fitted.has_exact_rows):
        raise ValueError(
            f"diagnostics need the inverse Hessian itself, and "
            f"{fitted.solver!r} approximates it, for rows at least: use "
            "solver='cholesky'."
        )
    removal = ranker._leave_each_out()
    columns = {}
    for name, values in row_diagnostics(fitted, removal).items():
        values = values.reshape(len(values), -1)
        for suffix, column in zip(_parts(ranker, values), values.T, strict=True):
            columns[name + suffix] = column
    if dfbetas:
        changes = scaled_parameter_changes(fitted, removal)
        outputs = _parts(ranker, changes[:, :, 0])
        for k, output in enumerate(outputs):
            for j, parameter in enumerate(_parameters(ranker)):
                columns[f"dfbetas{output}_{parameter}"] = changes[:, k, j]
    return pd.DataFrame(columns)


def _parts(ranker, values):
    """What tells the columns of one diagnostic apart: nothing, or the output."""
    n_parts = values.shape[1]
    if n_parts == 1:
        return [""]
    names = getattr(ranker, "classes_", np.arange(n_parts))
    return [f"_{name}" for name in names[-n_parts:]]


def _parameters(ranker):
    """Names of the parameters of one output."""
    objective = ranker._fitted.objective
    # An l1 head's design keeps only the columns in use.
    whole = getattr(objective, "whole", None)
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
