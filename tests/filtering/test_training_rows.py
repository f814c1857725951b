"""Rows are checked once; what comes out has one shape whatever went in."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.linear_model import Ridge

from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._training_rows import TrainingRows, check_training_rows
from sklinfluence.gradient import InfluenceRanker

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
CONTAINERS = {
    "lists": lambda X: X.tolist(),
    "array": np.array,
    "frame": lambda X: pd.DataFrame(X, columns=["a", "b"], index=list("uvwxyz")),
    "sparse": sparse.csc_matrix,
}


def plain(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_are_taken_with_all_that_is_theirs(container):
    detector = MislabelFilter(InfluenceRanker(Ridge()))
    weight = np.array([0.0, 1, 2, 0, 1, 1])
    given = CONTAINERS[container](X)
    rows = check_training_rows(detector, given, list(Y), weight, list("aabbcc"))
    assert len(rows) == 6 and detector.n_features_in_ == 2
    assert_array_equal(rows.in_use, weight > 0)
    assert_array_equal(rows.targets, Y)
    index = np.array([4, 1])
    part = rows.take(index)
    assert type(part.X) is type(rows.X)
    assert_array_equal(plain(part.X), X[index])
    assert_array_equal(part.y, Y[index])
    assert_array_equal(part.sample_weight, weight[index])


def test_targets_stand_in_a_column_where_the_net_compares_them_so():
    rows = TrainingRows(X, Y, in_column=True)
    assert_array_equal(rows.targets, Y[:, None])
    assert_array_equal(rows.take([2, 0]).targets, Y[[2, 0], None])
    assert rows.in_use.all() and rows.take([2, 0]).sample_weight is None


def test_columns_of_an_earlier_table_are_forgotten():
    detector = MislabelFilter()
    check_training_rows(detector, CONTAINERS["frame"](X), Y, None, None)
    assert list(detector.feature_names_in_) == ["a", "b"]
    rows = check_training_rows(detector, ["some", "text"], [0, 1], None, None)
    assert not hasattr(detector, "n_features_in_")
    assert not hasattr(detector, "feature_names_in_")
    assert list(rows.X) == ["some", "text"]
