"""Folds by groups, which copies of rows join."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklinfluence._estimators import find_copies
from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._evidence._folds import joined, splits, training_folds

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = np.arange(40) % 2
groups = np.repeat(list("abcdefgh"), 5)
# A row of a stands in b too, and one of b in c: these three leave together.
X[5], X[10] = X[0], X[6]
COPIES = find_copies(X)


def test_groups_that_share_a_copy_are_one():
    found = joined(groups, COPIES)
    assert len(set(found)) == 6
    assert len(set(found[:15])) == 1
    assert not np.isin(found[15:], found[0]).any()
    assert joined(groups, None) is groups
    assert joined(None, COPIES) is None


def test_no_fold_parts_groups_or_copies():
    used = np.ones(40, dtype=bool)
    parts = None, X, y, groups, used, np.random.RandomState(0)
    pairs = training_folds(*parts, is_classification=True, copies=COPIES)
    seen = []
    for train, test in pairs:
        assert not np.isin(groups[train], groups[test]).any()
        together = np.isin(np.arange(15), test)
        assert together.all() or not together.any()
        assert len(train) + len(test) == 40
        seen.extend(test)
    assert sorted(seen) == list(range(40))


def test_folds_of_the_users_own_keep_their_shape_and_lose_copies():
    plain = list(GroupKFold(3).split(X, y, groups))
    for (rest, held_out), (train, test) in zip(
        plain, splits(GroupKFold(3), X, y, groups, True, COPIES), strict=True
    ):
        np.testing.assert_array_equal(test, held_out)
        assert not np.isin(COPIES.of_rows[train], COPIES.of_rows[test]).any()
        assert set(train) <= set(rest)


def test_groups_that_copies_join_into_one_are_refused():
    model = make_pipeline(FunctionTransformer(), LogisticRegression())
    two = np.repeat([0, 1], 20)
    copied = X.copy()
    copied[20] = copied[0]
    with pytest.raises(ValueError, match="copies of rows join them all"):
        MislabelFilter(model).fit(copied, y, groups=two)
