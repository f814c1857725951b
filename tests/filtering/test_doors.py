"""All three doors, on the digits with a fifth of the (string) labels flipped."""

import pytest
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import FilteredClassifier, MislabelFilter, MislabelSampler


def make_tree():
    return DecisionTreeClassifier(random_state=0)


DOORS = {
    "FilteredClassifier": lambda: make_pipeline(
        StandardScaler(), FilteredClassifier(make_tree())
    ),
    "FilteredClassifier, relabel": lambda: make_pipeline(
        StandardScaler(),
        FilteredClassifier(make_tree(), MislabelSampler(action="relabel")),
    ),
    "MislabelFilter": lambda: make_pipeline(
        StandardScaler(), MislabelFilter(random_state=0), make_tree()
    ),
    "MislabelSampler": lambda: make_imblearn_pipeline(
        StandardScaler(), MislabelSampler(), make_tree()
    ),
    "MislabelSampler, relabel": lambda: make_imblearn_pipeline(
        StandardScaler(), MislabelSampler(action="relabel"), make_tree()
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("door", DOORS)
def test_every_door_lifts_a_tree(noisy_digits, door):
    X, y, _, X_test, y_test = noisy_digits
    unfiltered = make_tree().fit(X, y).score(X_test, y_test)
    assert DOORS[door]().fit(X, y).score(X_test, y_test) > unfiltered + 0.05


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_flipped_digits_are_found(noisy_digits):
    X, y, flipped, _, _ = noisy_digits
    detector = MislabelFilter().fit(StandardScaler().fit_transform(X), y)
    flagged = ~detector.get_support()
    assert flagged[flipped].mean() > 0.9
    assert average_precision_score(flipped, detector.scores_) > 0.7
