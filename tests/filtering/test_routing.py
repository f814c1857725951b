"""Weights and groups reach every door by routing, whatever was imported first."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import FilteredRegressor, MislabelFilter
from sklinfluence.gradient import InfluenceRanker

SCENARIO = """
import numpy as np
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
import sklinfluence
from sklinfluence.filtering import *

sklearn.set_config(enable_metadata_routing=True)
X, y = (rows[::3] for rows in load_iris(return_X_y=True))
params = {"sample_weight": np.linspace(0.1, 3, 50), "groups": np.arange(50) % 7}
asked = {"sample_weight": True, "groups": True}
folds = GroupKFold(3)
quick = {"cv": folds, "pool": ["linear"], "n_rounds": 1}
unaware = MislabelFilter(**quick)
unaware = unaware.fit(X, y, groups=params["groups"]).scores_
expected = MislabelFilter(**quick).fit(X, y, **params).scores_
assert not np.allclose(unaware, expected)
early = [
    MislabelSampler(**quick).set_fit_request(**asked),
    MislabelSampler(**quick).set_fit_resample_request(**asked),
]
in_the_middle = MislabelFilter(**quick).set_fit_request(**asked)

from imblearn.pipeline import make_pipeline as make_imblearn_pipeline

late = MislabelSampler(**quick).set_fit_resample_request(**asked)
last = LogisticRegression().set_fit_request(sample_weight=False)
scoring = make_scorer(accuracy_score).set_score_request(sample_weight=False)
doors = [make_pipeline(in_the_middle, last)]
for detector in [*early, late]:
    doors.append(make_imblearn_pipeline(detector, last))
for detector in [*early, late, in_the_middle]:
    doors.append(FilteredClassifier(last, detector))
for door in doors:
    shared = dict(cv=GroupKFold(2), scoring=scoring, error_score="raise")
    search = GridSearchCV(door, {}, **shared)
    for model in [door.fit(X, y, **params), search.fit(X, y, **params)]:
        model = getattr(model, "best_estimator_", model)
        found = model.filter_ if hasattr(model, "filter_") else model[0]
        np.testing.assert_allclose(found.scores_, expected)
    cross_validate(door, X, y, params=params, **shared)
"""


@pytest.mark.parametrize("first", ["sklearn", "imblearn", "imblearn.pipeline"])
def test_whatever_was_imported_first(first):
    pytest.importorskip("imblearn")
    code = f"import {first}\n{SCENARIO}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_weights_that_nobody_gave_are_nobodys_to_request(noisy_line):
    # Gross errors are trimmed by weights of the filter's own making.
    X, y, _ = noisy_line
    pipe = make_pipeline(StandardScaler(), Ridge())
    detector = MislabelFilter(InfluenceRanker(pipe))
    expected = detector.fit(X, y).scores_
    with config_context(enable_metadata_routing=True):
        assert_allclose(detector.fit(X, y).scores_, expected)
        model = FilteredRegressor(pipe, detector).fit(X, y)
    assert np.array_equal(model.sample_indices_, detector.get_support(indices=True))
