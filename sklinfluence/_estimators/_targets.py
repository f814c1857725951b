"""Coding of targets and resolution of weights.

The coders are module-level functions whose parameters are bound with
``functools.partial``, so that heads pickle.
"""

from functools import partial

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, column_or_1d

from sklinfluence._estimators._ranges import check_values, check_weight_range
from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import _check_sample_weight


def class_coder(classes, *, one_column, negative=0.0):
    """The function that codes labels, for ``len(classes)`` or one output.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels.

    one_column : bool
        Whether two classes are coded as one output, the second one positive.

    negative : float, default=0.0
        The code of "another class"; that of "this class" is 1.

    Returns
    -------
    encode : callable
        ``encode(y)`` of shape (n_rows, n_outputs).
    """
    if len(classes) < 2:
        raise ValueError(
            "The linear head of a classifier needs at least two classes; the model "
            f"was fitted on one class, {shown(classes)}."
        )
    codes = np.where(np.eye(len(classes), dtype=bool), 1.0, negative)
    if one_column and len(classes) == 2:
        codes = codes[:, 1:]
    return partial(encode_labels, classes=classes, codes=codes)


def value_coder(n_outputs):
    """The function that turns real targets into shape (n_rows, n_outputs)."""
    return partial(encode_values, n_outputs=n_outputs)


def encode_labels(y, classes, codes):
    return codes[label_index(y, classes)]


def encode_values(y, n_outputs):
    _refuse_none(y)
    values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_values(values, "y", "Divide y by its standard deviation.")
    values = values.reshape(len(values), -1)
    if values.shape[1] != n_outputs:
        raise ValueError(
            f"y has {values.shape[1]} column(s), but the model was fitted on "
            f"{n_outputs} target(s)."
        )
    return values


def label_index(y, classes):
    """The place of every label in ``classes``; one that is not there is an error."""
    # A dictionary and not searchsorted: labels of mixed or object type need no
    # order, and a label of another type (1 and "1") is unknown, not a TypeError.
    place = {label: index for index, label in enumerate(classes.tolist())}
    labels = _label_column(y).tolist()
    index = [place.get(label, -1) for label in labels]
    index = np.array(index, dtype=np.intp)
    if np.any(index < 0):
        unseen = list(dict.fromkeys(labels[row] for row in np.flatnonzero(index < 0)))
        raise ValueError(
            f"y contains labels that the model was not fitted on: {shown(unseen)}. "
            f"It knows {shown(classes.tolist())}."
        )
    return index


def refuse_named_targets(name, y):
    """Name a dict of targets, of which a ranker takes one."""
    if isinstance(y, dict):
        raise TypeError(
            f"y of {name} is a dict of targets, {', '.join(map(repr, y))}, and the "
            "criterion's loss is of one array. Pass one of them, or use TracInRanker, "
            "HydraRanker or SGDInfluenceRanker, which take what get_loss makes of all."
        )


def target_array(y):
    """Targets as an array, whatever holds them; nested lists of unlike lengths named.

    A sparse matrix, which NumPy would take for one object, is for others to refuse.
    """
    if sparse.issparse(y):
        return y
    try:
        return np.asarray(y)
    except ValueError as error:
        raise ValueError(
            "y is no array of targets: its rows are not all of one length. Pass one "
            "label or target for each row."
        ) from error


def refuse_missing_labels(y):
    """Name the rows of y that hold None, NaN or NA in place of a label."""
    values = target_array(y)
    if values.dtype.kind != "O" or sparse.issparse(values):
        return
    rows = [row for row, label in enumerate(values.ravel()) if _is_missing(label)]
    if rows:
        raise ValueError(
            f"Input y contains NaN, None or NA in row(s) {shown(rows)}: they have no "
            "label. Drop these rows, or give them one."
        )
    refuse_unlike_labels(values)


def refuse_unlike_labels(labels):
    """Name the types of labels of which some are texts and some not: none sorts them.

    Parameters
    ----------
    labels : ndarray
    """
    if labels.dtype.kind != "O":
        return
    kinds = {type(v) for v in labels.ravel().tolist() if not _is_missing(v)}
    if len({issubclass(kind, str) for kind in kinds}) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"y holds labels of several types, {names}, which have no order among "
            "them. Make them one: [str(label) for label in y]."
        )


def refuse_sparse(name, y):
    """Name sparse targets, which NumPy would take for one object."""
    if sparse.issparse(y):
        raise ValueError(
            f"y is a sparse matrix, and {name} takes dense targets: y.toarray()."
        )


def _is_missing(label):
    # NA compares to NA, which is neither true nor false; arrays compare by entries.
    is_same = label == label
    differs = isinstance(is_same, bool | np.bool_) and not is_same
    return label is None or type(is_same).__name__ == "NAType" or differs


def row_weights(sample_weight, targets):
    """Sample weights as a float64 array of shape (n_rows,), ones when None."""
    weights = _check_sample_weight(sample_weight, targets, dtype=np.float64, copy=True)
    check_weight_range(weights)
    return weights


def _label_column(y):
    _refuse_none(y)
    n_columns = 1
    if sparse.issparse(y) or np.ndim(y) == 2:
        n_columns = np.shape(y)[1]
    if n_columns != 1 or sparse.issparse(y):
        raise ValueError(
            "Multilabel and multiclass-multioutput targets are not supported: y must "
            f"hold one label a row, got shape {np.shape(y)}. Fit and examine one model "
            "for each column."
        )
    return column_or_1d(y)


def _refuse_none(y):
    if y is None:
        raise ValueError("y must be given: the head needs targets, got y=None.")
