"""Targets in the types that a net's criterion reads."""

from numbers import Real

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.helper import SliceDict

from sklinfluence._estimators import refuse_sparse
from sklinfluence._nets._forward import cast, module_dtype
from sklinfluence._nets._own_methods import overridden

NETS = (NeuralNetClassifier, NeuralNetBinaryClassifier, NeuralNetRegressor)


def net_targets(net, y):
    """y as integers for classes, else in the module's floating type.

    Parameters
    ----------
    net : NeuralNet
    y : array-like, dict of them, or None

    Raises
    ------
    ValueError
        If the targets are none that the net takes; names them.
    """
    if isinstance(y, dict):  # several targets: a loss of the user's own takes them
        return SliceDict(**y)
    if y is None or not isinstance(net, NETS):
        return y  # what other nets make of y is not known
    refuse_sparse(type(net).__name__, y)
    is_binary = isinstance(net, NeuralNetBinaryClassifier)
    y = _numbers(np.asarray(y))
    if is_binary or isinstance(net, NeuralNetClassifier):
        y = _one_column(net, y)
    if isinstance(net, NeuralNetClassifier):
        return _class_numbers(net, y)
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: y of {type(net).__name__}.")
    if y.dtype.kind not in "iufb":
        wanted = "0 and 1 as labels" if is_binary else "numbers as targets"
        advice = " Encode y with LabelEncoder first." if is_binary else ""
        raise ValueError(
            f"{type(net).__name__} takes {wanted}, got {_shown(y)}.{advice}"
        )
    if is_binary and np.any((y < 0) | (y > 1)):
        shown = ", ".join(f"{label:g}" for label in np.unique(y)[:5])
        raise ValueError(
            f"{type(net).__name__} takes 0 and 1 as labels, got y of {shown}. Encode "
            "y with LabelEncoder first."
        )
    return cast(y.astype(float), module_dtype(net))


def _numbers(y):
    """Numbers that came as objects, as those of nullable columns do, as numbers."""
    if y.dtype.kind != "O" or not all(isinstance(v, Real) for v in y.ravel()):
        return y
    return np.array(y.tolist())


def _one_column(net, y):
    if y.ndim == 1 or overridden(net, ["get_loss"]):
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        return column_or_1d(y, warn=True)
    raise ValueError(
        f"y has shape {y.shape}: {type(net).__name__} takes one label a row. Fit one "
        "ranker for each output, y[:, k]."
    )


def _class_numbers(net, labels):
    type_of_target(labels, input_name="y", raise_unknown=True)
    if labels.dtype.kind not in "iufb":
        raise _no_class_numbers(net, _shown(labels))
    if np.any(labels != np.floor(labels)):
        raise _no_class_numbers(net, f"continuous values {_shown(labels)}")
    if labels.size and labels.min() < 0:
        raise _no_class_numbers(net, f"{labels.min():g}")
    return labels.astype(np.int64)


def _no_class_numbers(net, got):
    return ValueError(
        f"{type(net).__name__} takes the numbers of classes, 0, 1, ..., as labels, "
        f"got {got}. Encode y with LabelEncoder first."
    )


def _shown(y):
    return ", ".join(map(repr, list(dict.fromkeys(y.ravel().tolist()))[:5]))
