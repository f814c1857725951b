"""Columns of numbers from any data frame: what the filter's own models work on.

Frames of pandas and polars. Numbers and booleans stay as they are, in double precision
and with their holes. Categories, strings, dates and free text are encoded by skrub's
`TableVectorizer` (the extra ``table``): one column a category where there are few, else
the leading directions of character n-grams; dates as their parts.
"""

import numpy as np

from sklinfluence._messages import shown


def is_frame(X):
    """Whether X is a data frame of pandas or polars, or looks like one."""
    return hasattr(X, "columns") and hasattr(X, "dtypes") and hasattr(X, "shape")


def is_sparse_frame(X):
    """Whether scikit-learn makes a sparse matrix of the frame."""
    return all(type(dtype).__name__ == "SparseDtype" for dtype in X.dtypes)


def has_other_columns(X):
    """Whether a frame has columns that are no numbers, or holes."""
    X = _inferred(X)
    return not all(map(_is_number, X.dtypes)) or bool(
        np.isnan(_numbers(X, list(X.columns))).any()
    )


class TableColumns:
    """Make columns of numbers of a frame, the same for later frames.

    Parameters
    ----------
    random_state : RandomState
        Of the encoders of text.

    Attributes
    ----------
    numbers_, others_ : list of str
        Names of the columns that are numbers or booleans, and of the others.
    """

    def __init__(self, random_state):
        self.random_state = random_state

    def fit(self, X):
        """Learn the encoders of the columns that are no numbers.

        Raises
        ------
        ImportError
            If there are such columns and skrub is not installed.
        ValueError
            If two columns have one name, or one holds infinite values.
        """
        refuse_duplicates(X)
        X = _inferred(X)
        kinds = dict(zip(X.columns, map(_is_number, X.dtypes), strict=True))
        self.numbers_ = [name for name in X.columns if kinds[name]]
        self.others_ = [name for name in X.columns if not kinds[name]]
        if self.others_:
            self.encoder_ = _encoder(self.others_, self.random_state)
            self.encoder_.fit(X[self.others_])
        return self

    def transform(self, X):
        """Columns as numbers, holes as NaN, (n, n_columns)."""
        if not is_frame(X):
            raise ValueError(
                f"X is {type(X).__name__} and the fit was on a data frame with columns "
                f"that are no numbers ({shown(self.others_)}). Pass a frame with the "
                "same columns."
            )
        refuse_duplicates(X)
        numbers = _numbers(_inferred(X), self.numbers_)
        refuse_infinite(numbers, self.numbers_)
        if not self.others_:
            return numbers
        encoded = np.asarray(self.encoder_.transform(X[self.others_]).to_numpy())
        return np.hstack([numbers, encoded.astype(np.float64)])


def refuse_duplicates(X):
    """Two columns of one name could not be told apart."""
    names, counts = np.unique([str(name) for name in X.columns], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"X has more than one column named {shown(names[counts > 1])}. Rename "
            "them, or drop all but one."
        )


def refuse_infinite(numbers, names):
    """Infinite values, by the names of their columns."""
    infinite = np.isinf(numbers).any(axis=0)
    if infinite.any():
        at = [name for name, is_in in zip(names, infinite, strict=True) if is_in]
        raise ValueError(
            f"Input X contains infinity in the columns {shown(at)}. Make them large "
            "numbers, or holes (NaN)."
        )


def _inferred(X):
    """Columns of Python objects that are all numbers as numbers (pandas)."""
    return X.infer_objects() if hasattr(X, "infer_objects") else X


def _is_number(dtype):
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric() or str(dtype) == "Boolean"
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    is_category = str(dtype) == "category"
    return not is_category and (is_numeric_dtype(dtype) or is_bool_dtype(dtype))


def _numbers(X, names):
    if hasattr(X, "iloc"):
        return X[names].to_numpy(dtype=np.float64, na_value=np.nan)
    columns = [X[name].cast(float).to_numpy() for name in names]
    return np.column_stack(columns) if columns else np.empty((len(X), 0))


def _encoder(names, random_state):
    try:
        from skrub import StringEncoder, TableVectorizer
    except ImportError as error:
        raise ImportError(
            f"X has columns that are no numbers ({shown(names)}), and ranker=None "
            "encodes those with skrub, which is not installed: `pip install skrub`, or "
            "with this package, `pip install sklinfluence[table]`. Or pass a ranker "
            "whose estimator takes X as it is."
        ) from error
    seed = random_state.randint(np.iinfo(np.int32).max)
    return TableVectorizer(high_cardinality=StringEncoder(random_state=seed))
