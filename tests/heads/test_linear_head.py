"""What every head keeps, whatever the estimator: the contract of LinearHead."""

import copy
import pickle
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import (
    Lars,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC

from sklinfluence.curvature._losses import SquaredLoss
from sklinfluence.heads import LinearHead, linear_head

ESTIMATORS = [
    LogisticRegression(),
    LogisticRegressionCV(Cs=2, cv=2, l1_ratios=(0,), use_legacy_attributes=False),
    RidgeClassifier(),
    RidgeClassifierCV(),
    SGDClassifier(loss="log_loss", random_state=0),
    MLPClassifier((3,), max_iter=2, random_state=0),
    LinearRegression(),
    Ridge(),
    RidgeCV(),
    SGDRegressor(eta0=1e-4, random_state=0),
    MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0),
]
each_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__
)


@pytest.fixture
def fitted(make_data):
    def fit(estimator, container=np.asarray):
        if is_classifier(estimator):
            X, y, _ = make_data("classes", 3)
        else:
            X, y, _ = make_data("values", 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence, announced deprecations
            return clone(estimator).fit(container(X), y), container(X), y

    return fit


@each_estimator
def test_pickles_and_copies(estimator, fitted):
    model, X, y = fitted(estimator)
    head = linear_head(model, y)
    for twin in (pickle.loads(pickle.dumps(head)), copy.deepcopy(head)):
        np.testing.assert_array_equal(twin.embed(X), head.embed(X))
        np.testing.assert_array_equal(twin.encode(y), head.targets)
        for name in ("coef", "intercept", "penalty", "targets", "weights"):
            np.testing.assert_array_equal(getattr(twin, name), getattr(head, name))


@each_estimator
def test_estimator_is_unchanged(estimator, fitted):
    model, X, y = fitted(estimator)
    before = pickle.dumps(model.__dict__)
    head = linear_head(model, y, np.ones(len(y)))
    head.embed(X)
    # The head owns its arrays: whoever polishes them does not touch the model.
    head.coef[:] = 0
    head.intercept[:] = 0
    assert pickle.dumps(model.__dict__) == before


@each_estimator
def test_given_weights_are_unchanged(estimator, fitted):
    model, _, y = fitted(estimator)
    weight = np.full(len(y), 2.0)
    head = linear_head(model, y, weight)
    head.weights[:] = 0
    np.testing.assert_array_equal(weight, 2.0)


@each_estimator
def test_arrays_are_float64_of_the_promised_shapes(estimator, fitted):
    model, X, y = fitted(estimator)
    head = linear_head(model, y)
    n_outputs, n_embedding = head.coef.shape
    assert head.embed(X).shape == (len(X), n_embedding)
    assert head.penalty.shape == (n_outputs, n_embedding + 1)
    assert head.targets.shape == (len(X), n_outputs)
    for name in ("coef", "intercept", "penalty", "targets", "weights"):
        assert getattr(head, name).dtype == np.float64
    if is_classifier(model):
        np.testing.assert_array_equal(head.classes, ["ant", "bee", "cat"])
        np.testing.assert_array_equal(
            head.targets.argmax(1), (y[:, None] > head.classes).sum(1)
        )
    else:
        assert head.classes is None
        np.testing.assert_array_equal(head.targets[:, 0], y)


@each_estimator
def test_embedding_is_validated_by_the_estimator(estimator, fitted):
    pandas = pytest.importorskip("pandas")

    def frame(X):
        return pandas.DataFrame(X, columns=list("abcd"))

    model, X, y = fitted(estimator, container=frame)
    embed = linear_head(model, y).embed
    name = type(estimator).__name__
    with pytest.raises(ValueError, match="feature names should match"):
        embed(X.rename(columns={"a": "z"}))
    broken = X.copy()
    broken.iloc[3, 1] = np.nan
    with pytest.raises(ValueError, match=f"contains NaN[\\s\\S]*{name}"):
        embed(broken)
    model, X, y = fitted(estimator)
    embed = linear_head(model, y).embed
    with pytest.raises(ValueError, match=f"2 features, but {name} is expecting 4"):
        embed(X[:, :2])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        embed(X[0])


@each_estimator
def test_unfitted(estimator, make_data):
    _, y, _ = make_data("values", 1)
    with pytest.raises(NotFittedError, match=type(estimator).__name__):
        linear_head(clone(estimator), y)


@each_estimator
def test_wrong_targets_and_weights(estimator, fitted):
    model, _, y = fitted(estimator)
    with pytest.raises(ValueError, match="y must be given"):
        linear_head(model, None)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected"):
        linear_head(model, y, np.ones(3))
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        linear_head(model, y, np.full(len(y), np.nan))
    if is_classifier(model):
        message = r"not fitted on: \['dog'\]. It knows \['ant', 'bee', 'cat'\]"
        with pytest.raises(ValueError, match=message):
            linear_head(model, y).encode(["ant", "dog", "dog"])
        with pytest.raises(ValueError, match="Multilabel and multiclass-multioutput"):
            linear_head(model, np.column_stack([y, y]))
    else:
        with pytest.raises(ValueError, match="y contains NaN"):
            linear_head(model, np.full(len(y), np.nan))
        with pytest.raises(ValueError, match=r"y has 2 column\(s\)"):
            linear_head(model, np.column_stack([y, y]))


@pytest.mark.parametrize(
    "labels",
    [[3, 7], [False, True], [0.0, 1.0], ["a", "b"], [-1, 1]],
    ids=lambda labels: type(labels[0]).__name__ + str(labels[0]),
)
def test_labels_of_any_type(labels, make_data):
    X, y, _ = make_data("classes", 2)
    y = np.array(labels)[(y == "bee").astype(int)]
    head = linear_head(LogisticRegression().fit(X, y), y)
    for given in (y, y.tolist(), y.astype(object), y[:, None]):
        np.testing.assert_array_equal(head.encode(given)[:, 0], y == labels[1])


def test_labels_in_a_pandas_series(make_data):
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_data("classes", 3)
    series = pandas.Series(y, index=np.arange(len(y))[::-1], dtype="category")
    model = LogisticRegression().fit(X, series)
    np.testing.assert_array_equal(
        linear_head(model, series).targets, linear_head(model, y).targets
    )


def test_many_unknown_labels_are_cut_short(make_data):
    X, y, _ = make_data("classes", 2)
    head = linear_head(LogisticRegression().fit(X, y), y)
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\]"):
        head.encode(range(50))


def test_one_class_is_refused(make_data):
    X, y, _ = make_data("classes", 2)
    y[:] = "ant"
    with pytest.raises(ValueError, match=r"at least two classes.*one class, \['ant'\]"):
        linear_head(RidgeClassifier().fit(X, y), y)


@pytest.mark.parametrize("estimator", [Lars(), LinearSVC(), "a string", None])
def test_unknown_estimator_lists_the_known_ones(estimator):
    with pytest.raises(TypeError) as error:
        linear_head(estimator, [0, 1])
    message = str(error.value)
    assert f"No linear head is known for {type(estimator).__name__}." in message
    for known in ESTIMATORS:
        assert type(known).__name__ in message
    for known in ("Pipeline", "FrozenEstimator", "GridSearchCV", "RandomizedSearchCV"):
        assert known in message
    assert f"@linear_head.register({type(estimator).__name__})" in message


class Constant(ClassifierMixin, BaseEstimator):
    """An estimator that the package has never heard of."""


def test_registering_ones_own(make_data):
    X, y, _ = make_data("values", 1)
    expected = linear_head(Ridge().fit(X, y), y)

    @linear_head.register(Constant)
    def constant_head(estimator, y, sample_weight=None):
        return expected

    assert linear_head(Constant(), y) is expected
    with pytest.raises(TypeError, match="Constant, "):  # the list is the registry's
        linear_head(None, y)


def test_subclasses_are_known(make_data):
    class MyRidge(Ridge):
        pass

    X, y, _ = make_data("values", 1)
    assert isinstance(linear_head(MyRidge().fit(X, y), y), LinearHead)


def test_head_is_frozen_checked_and_brief(make_data):
    X, y, _ = make_data("values", 3)
    head = linear_head(Ridge().fit(X, y), y)
    with pytest.raises(FrozenInstanceError):
        head.coef = None
    assert (
        repr(head) == "LinearHead(SquaredLoss, n_outputs=3, n_embedding=4, n_rows=90)"
    )
    with pytest.raises(
        ValueError, match=r"penalty .* must have shape \(3, 5\).*\(1,\)"
    ):
        replace(head, penalty=np.ones(1))
    with pytest.raises(ValueError, match=r"weights .* must have shape \(90,\)"):
        replace(head, weights=np.ones((90, 1)))
    with pytest.raises(ValueError, match=r"coef .* must have shape \(n_outputs"):
        replace(head, coef=np.ones(4))
    assert isinstance(replace(head, loss=SquaredLoss()), LinearHead)
