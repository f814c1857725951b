"""Steps before a head that are made with the labels: noticed, and named."""

import warnings

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._evidence._steps import supervised_step
from sklinfluence.gradient import InfluenceRanker

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 12))
y = (X[:, 0] + rng.standard_normal(60) > 0).astype(int)


def test_the_first_supervised_step_is_found():
    select = SelectKBest(k=3)
    assert supervised_step([StandardScaler()], X, y) is None
    assert supervised_step([StandardScaler(), select], X, y) is select


@pytest.mark.parametrize(
    ("ranker", "target"),
    [
        (make_pipeline(StandardScaler(), SelectKBest(k=3), LogisticRegression()), y),
        (make_pipeline(SelectKBest(f_regression, k=3), Ridge()), X[:, 0] + y),
    ],
)
def test_a_given_ranker_with_a_supervised_step_is_named(ranker, target):
    with pytest.warns(UserWarning, match="SelectKBest, a step before the linear head"):
        MislabelFilter(InfluenceRanker(ranker)).fit(X, target)
    # Fitted without the row's fold, all of it is honest.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*a step before")
        MislabelFilter(InfluenceRanker(ranker), cv=3).fit(X, target)


def test_steps_made_without_labels_pass_in_silence():
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MislabelFilter(InfluenceRanker(plain), contamination=0.05).fit(X, y)
