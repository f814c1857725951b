"""The models that ``--model`` names, and what they see of a table."""

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import MislabelFilter

MODELS = ("linear", "forest", "boosting")
_SEED = 0
_FOREST = {"n_estimators": 200, "min_samples_leaf": 3, "random_state": _SEED}


def fit_filter(frame, target, model):
    """A filter fitted to a table, and what it took for X.

    Parameters
    ----------
    frame : DataFrame
    target : Target
    model : {"linear", "forest", "boosting"} or None
        None: the filter's own, which read the table themselves for classes.

    Returns
    -------
    mislabel_filter : MislabelFilter
    X : DataFrame or ndarray
    """
    X = frame
    if model is not None or not target.is_classification:
        X = _as_numbers(frame)
    if model is None and not target.is_classification:
        X = make_pipeline(_imputer(), StandardScaler()).fit_transform(X)
        # Left to itself the filter takes few whole numbers for classes.
        model = "linear" if (target.y == np.round(target.y)).all() else None
    ranker = _ranker(model, target.is_classification)
    mislabel_filter = MislabelFilter(ranker, random_state=_SEED)
    return mislabel_filter.fit(X, target.y), X


def _ranker(model, is_classification):
    if model == "linear":
        head = LogisticRegression(max_iter=1000) if is_classification else Ridge()
        return make_pipeline(_imputer(), StandardScaler(), head)
    if model == "forest":
        kind = RandomForestClassifier if is_classification else RandomForestRegressor
        return kind(**_FOREST)
    if model == "boosting":
        kind = HistGradientBoostingClassifier
        kind = kind if is_classification else HistGradientBoostingRegressor
        return kind(random_state=_SEED)
    return None


def _imputer():
    return SimpleImputer(
        strategy="median", add_indicator=True, keep_empty_features=True
    )


def _as_numbers(frame):
    """Columns of numbers made without the target: one a category, parts of dates."""
    from skrub import StringEncoder, TableVectorizer

    encoder = StringEncoder(random_state=_SEED)
    return (
        TableVectorizer(high_cardinality=encoder)
        .fit_transform(frame)
        .astype(np.float64)
    )
