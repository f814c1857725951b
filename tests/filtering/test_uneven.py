"""One warning where flags fall on one class."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier, MislabelFilter, MislabelSampler
from sklinfluence.filtering._uneven import warn_about_classes

NAMES = ["zero", "one", "two"]


def overlapping(n_rows=2000):
    """A rare class among a common one; every label is right."""
    rng = np.random.default_rng(0)
    is_rare = np.arange(n_rows) % 5 == 0
    X = rng.standard_normal((n_rows, 3)) + 1.2 * is_rare[:, None]
    return X, np.where(is_rare, "rare\n", "common")


def uneven(record):
    return [str(w.message) for w in record if "flags are uneven" in str(w.message)]


@pytest.mark.parametrize(
    "detector",
    [
        MislabelFilter(random_state=0),
        MislabelSampler(random_state=0),
        MislabelFilter(contamination=0.1, random_state=0),
        FilteredClassifier(DecisionTreeClassifier()),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_honest_rows_of_a_rare_class_are_named_once(detector):
    X, y = overlapping()
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        detector.fit(X, y)
    (message,) = uneven(record)
    found = getattr(detector, "filter_", detector)
    lost = 1 - found.get_support()[y == "rare\n"].mean()
    others = 1 - found.get_support()[y == "common"].mean()
    assert lost > 0.1 and lost > 2 * others
    assert f"class rare\\n loses {lost:.0%} of its rows (the others {others:.1%})" in (
        message
    )


def test_the_warning_points_at_the_line_that_called_fit():
    X, y = overlapping()
    with pytest.warns(UserWarning, match="flags are uneven") as record:
        MislabelFilter(random_state=0).fit(X, y)
    assert record[0].filename == __file__


@pytest.mark.parametrize("load", [load_iris, load_digits])
@pytest.mark.parametrize("kind", ["uniform", "class"])
@pytest.mark.parametrize("seed", range(3))
def test_flips_on_balanced_classes_pass(load, kind, seed):
    X, y = load(return_X_y=True)
    X, y = X[:500], y[:500]
    given, _ = flip_labels(y, 0.2, kind=kind, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The flags are uneven")
        MislabelFilter(random_state=0).fit(X, given)


@pytest.mark.parametrize(
    ("n_rows", "n_flagged", "hit"),
    [
        ((1000, 1000), (110, 50), [0]),
        ((1000, 1000), (95, 20), []),  # under a tenth
        ((1000, 1000), (150, 80), []),  # under twice the others
        ((20, 40), (3, 2), []),  # as chance has it
        ((1000, 1000, 4000), (300, 300, 40), [0, 1]),
        ((5000, 100), (0, 60), [1]),
    ],
)
def test_a_tenth_and_twice_the_others_and_no_chance(n_rows, n_flagged, hit):
    given = np.repeat(np.arange(len(n_rows)), n_rows)
    flags = np.concatenate(
        [np.arange(n) < k for n, k in zip(n_rows, n_flagged, strict=True)]
    )
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        warn_about_classes(
            flags, given, np.array(["zero", "one", "two"])[: len(n_rows)]
        )
    assert len(record) == bool(hit)
    for code, name in enumerate(NAMES):
        assert (code in hit) == any(f"{name} loses" in str(w.message) for w in record)
