"""Warnings point at the line of the user's that led to them, however deep they are."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB

import sklinfluence
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import flip_detection_scorer
from sklinfluence.retraining import BanzhafRanker, DownsamplingRanker

ROOT = Path(sklinfluence.__file__).parent
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = (X[:, 0] + RNG.normal(size=30) > 0).astype(int)
FAR = LogisticRegression(max_iter=1)
RANKER = InfluenceRanker(LogisticRegression()).fit(X, Y)
FEW = DownsamplingRanker(GaussianNB(), max_evaluations=2, random_state=0)


def far_from_the_optimum():
    return InfluenceRanker(FAR).fit(X, Y)


def offset_columns():
    return InfluenceRanker(Ridge()).fit(X + 1e6, X[:, 0])


def rows_that_were_never_measured():
    return BanzhafRanker(GaussianNB(), max_evaluations=1).fit(X, Y, X_val=X, y_val=Y)


def rows_in_every_set():
    return FEW.fit(X, Y, X_val=X, y_val=Y).influence(X, Y)


def copies():
    return MislabelFilter(pool=["linear"]).fit(np.tile(X, (2, 1)), np.tile(Y, 2))


def rows_of_classes_that_are_new():
    y = np.where(np.arange(30) < 3, 2, Y)
    return flip_detection_scorer()(RANKER, X, y)


def an_optimum_that_is_none():
    model = LogisticRegression().fit(X, Y)
    model.coef_ = model.coef_ + 1.0
    return InfluenceRanker(FrozenEstimator(model)).fit(X, Y)


WARNED = [
    far_from_the_optimum,
    offset_columns,
    rows_that_were_never_measured,
    rows_in_every_set,
    copies,
    rows_of_classes_that_are_new,
    an_optimum_that_is_none,
]


@pytest.mark.parametrize("call", WARNED)
def test_warnings_point_at_the_users_line(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    ours = [w for w in caught if "sklearn" not in w.filename]
    assert ours
    for warning in ours:
        assert Path(warning.filename) == Path(__file__), warning.message


def test_warnings_are_given_in_one_place():
    """A fixed stacklevel counts frames that a decorator more would shift."""
    for file in ROOT.rglob("*.py"):
        if file.name != "_warn.py":
            assert not re.search(r"warnings\.warn\(|stacklevel", file.read_text()), file
