"""The default on data that is small, odd or large."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier, MislabelFilter, MislabelSampler

ODD = [
    "ten classes",
    "one column",
    "constant columns",
    "five rows",
    "one row",
    "hundred",
]


def odd_data(name):
    rng = np.random.default_rng(0)
    X, y = load_iris(return_X_y=True)
    if name == "ten classes":
        return make_classification(
            300, 20, n_informative=12, n_classes=10, n_clusters_per_class=1,
            class_sep=2.0, random_state=0,
        )  # fmt: skip
    if name == "one column":
        return X[:, [2]], y
    if name == "constant columns":
        return np.hstack([np.ones((150, 2)), X, np.zeros((150, 1))]), y
    if name == "five rows":
        return X[:105], y[:105]
    if name == "one row":
        return X[:101], y[:101]
    centres = 20 * rng.standard_normal((100, 8))
    y = np.arange(1500) % 100
    return centres[y] + rng.standard_normal((1500, 8)), y


@pytest.mark.parametrize("name", ODD)
def test_every_door_survives(name):
    X, y = odd_data(name)
    labels = np.array([f"class {code:02d}" for code in y])
    given, is_flipped = flip_labels(labels, 0.1, random_state=0)
    present = np.unique(given)
    detector = MislabelFilter(random_state=0)
    assert detector.fit_transform(X, given).shape == X.shape
    kept = detector.get_support()
    np.testing.assert_array_equal(np.unique(given[kept]), present)
    np.testing.assert_array_equal(given[detector.sample_indices_], given)
    assert np.isin(detector.suggested_labels_, present).all()
    assert np.isfinite(detector.score_samples(X, given)).all()
    # Chance is .1; a wrong row is found among easy ones and among hard ones.
    assert average_precision_score(is_flipped, detector.scores_) > 0.3
    _, relabelled = MislabelSampler(action="relabel", random_state=0).fit_resample(
        X, given
    )
    assert np.isin(relabelled, present).all()
    tree = DecisionTreeClassifier(random_state=0)
    assert set(FilteredClassifier(tree).fit(X, given).classes_) == set(present)


def test_columns_without_information_flag_next_to_nothing():
    y = np.arange(60) % 3
    detector = MislabelFilter(random_state=0).fit(np.ones((60, 2)), y)
    assert np.isfinite(detector.scores_).all()
    assert np.ptp(detector.scores_) < 0.1


# Not getrusage's peak: a child starts with that of the process it came from.
LARGE = """
import time
import numpy as np
from sklearn.datasets import make_classification
from sklinfluence.filtering import MislabelFilter
X, y = make_classification(
    15000, 50, n_informative=20, n_classes=7, n_clusters_per_class=2, random_state=0
)
wrong = np.random.default_rng(0).random(15000) < 0.1
y[wrong] = (y[wrong] + 1) % 7
start = time.process_time()
detector = MislabelFilter(random_state=0).fit(X, y)
seconds = time.process_time() - start
flagged = ~detector.get_support()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(status["VmHWM"].split()[0]) / 1024
print(seconds, peak, flagged[wrong].mean(), wrong[flagged].mean())
"""


@pytest.mark.slow
def test_fifteen_thousand_rows_take_a_minute_and_a_gigabyte():
    answer = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, check=True
    )
    seconds, peak, recall, precision = map(float, answer.stdout.split())
    print(answer.stdout)
    # CPU seconds: a machine that others use too must not fail this.
    assert seconds < 60
    assert peak < 1024
    assert recall > 0.5
    assert precision > 0.5
