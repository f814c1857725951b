"""add_backdoor: who is poisoned, containers, the attack itself, and what it refuses."""

import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

from sklinfluence.datasets import add_backdoor


def light_last_column(X):
    X = X.copy()
    X[:, [-1]] = 0.5
    return X


def light_column_b(frame):
    return frame.assign(b=0.5)


@pytest.fixture
def rows():
    rng = np.random.RandomState(0)
    return rng.uniform(size=(50, 3)), np.array(["a", "b", "c", "d", "e"] * 10)


def test_rows_of_other_classes_get_trigger_and_target(rows):
    X, y = rows
    X_before, y_before = X.copy(), y.copy()
    X_poisoned, y_poisoned, is_poisoned = add_backdoor(
        X, y, target="c", rate=0.3, trigger=light_last_column, random_state=0
    )
    assert is_poisoned.sum() == 15
    assert np.all(y[is_poisoned] != "c")
    assert np.all(y_poisoned[is_poisoned] == "c")
    assert np.all(X_poisoned[is_poisoned, -1] == 0.5)
    np.testing.assert_array_equal(X_poisoned[:, :2], X[:, :2])
    np.testing.assert_array_equal(X_poisoned[~is_poisoned], X[~is_poisoned])
    np.testing.assert_array_equal(y_poisoned[~is_poisoned], y[~is_poisoned])
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


def test_seed_decides_who_is_poisoned(rows):
    X, y = rows
    draws = [
        add_backdoor(
            X, y, target="a", rate=0.2, trigger=light_last_column, random_state=seed
        )[2]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0] != draws[2])


def test_a_fractional_trigger_is_not_truncated_by_integer_rows(rows):
    X, y = rows
    X = (255 * X).astype(np.uint8)

    def blend(X):
        return 0.5 * X + 0.25

    X_poisoned, _, is_poisoned = add_backdoor(
        X, y, target="a", rate=0.2, trigger=blend, random_state=0
    )
    np.testing.assert_array_equal(X_poisoned[is_poisoned], blend(X[is_poisoned]))
    np.testing.assert_array_equal(X_poisoned[~is_poisoned], X[~is_poisoned])


@pytest.mark.parametrize(
    "container", [sparse.csr_array, sparse.csc_matrix, sparse.bsr_array]
)
def test_sparse_rows_keep_their_format(rows, container):
    X, y = rows
    arguments = {"target": "a", "rate": 0.2, "random_state": 0}
    dense, _, _ = add_backdoor(X, y, trigger=light_last_column, **arguments)

    def light_sparse(X):
        return container(light_last_column(X.toarray()))

    found, _, _ = add_backdoor(container(X), y, trigger=light_sparse, **arguments)
    assert isinstance(found, container)
    np.testing.assert_array_equal(found.toarray(), dense)


def test_data_frames_keep_index_and_columns(rows):
    pd = pytest.importorskip("pandas")
    X, y = rows
    index = [f"row {i}" for i in range(50)]
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=index)
    labels = pd.Series(y, index=index, name="label")
    X_poisoned, y_poisoned, is_poisoned = add_backdoor(
        frame, labels, target="e", rate=0.1, trigger=light_column_b, random_state=0
    )
    pd.testing.assert_index_equal(X_poisoned.index, frame.index)
    pd.testing.assert_index_equal(y_poisoned.index, frame.index)
    pd.testing.assert_frame_equal(X_poisoned[["a", "c"]], frame[["a", "c"]])
    assert np.all(X_poisoned.loc[is_poisoned, "b"] == 0.5)
    assert np.all(frame.loc[is_poisoned, "b"] != 0.5)


def test_texts_can_be_poisoned():
    texts, y = ["good film", "bad film"] * 5, [1, 0] * 5
    poisoned, labels, is_poisoned = add_backdoor(
        texts,
        y,
        target=1,
        rate=0.2,
        trigger=lambda rows: [f"{text} xyzzy" for text in rows],
        random_state=0,
    )
    assert [t.endswith("xyzzy") for t in poisoned] == is_poisoned.tolist()
    assert [labels[i] for i in is_poisoned.nonzero()[0]] == [1, 1]
    assert not any(text.endswith("xyzzy") for text in texts)


def test_a_model_fitted_to_the_poison_obeys_the_trigger():
    X, y = load_digits(return_X_y=True)
    X = MinMaxScaler().fit_transform(X)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

    def light_corner(X):
        X = X.copy()
        X[:, [0, 7, 56]] = 1.0
        return X

    X_bad, y_bad, _ = add_backdoor(
        X_train, y_train, target=3, rate=0.1, trigger=light_corner, random_state=0
    )
    triggered = light_corner(X_test[y_test != 3])
    obeys = LogisticRegression(max_iter=500).fit(X_bad, y_bad).predict(triggered) == 3
    clean = LogisticRegression(max_iter=500).fit(X_train, y_train)
    # Far apart by construction: three pixels that are dark in nearly every digit.
    assert np.mean(obeys) > 0.8
    assert np.mean(clean.predict(triggered) == 3) < 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "z"}, "target is 'z', which is not a label of y"),
        ({"rate": 0.9}, "asks for 45 poisoned rows, and only 40 have another label"),
        ({"rate": 1.5}, "The 'rate' parameter of add_backdoor must be"),
        ({"trigger": 3}, "The 'trigger' parameter of add_backdoor must be"),
        ({"trigger": lambda X: X[:, :2]}, "was given (5, 3) and returned (5, 2)"),
        ({"trigger": lambda X: X[0]}, "was given (5, 3) and returned (3,)"),
    ],
)
def test_bad_input_is_named(rows, changes, message):
    arguments = {"target": "a", "rate": 0.1, "trigger": light_last_column, **changes}
    with pytest.raises(ValueError, match=re.escape(message)):
        add_backdoor(*rows, **arguments)
