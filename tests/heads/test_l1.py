"""Lasso and ElasticNet heads: the subgradient conditions of scikit-learn's fits."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import ElasticNet, ElasticNetCV, Lasso, LassoCV

from sklinfluence.heads import linear_head
from sklinfluence.heads._l1 import on_active_columns

TIGHT = {"tol": 1e-12, "max_iter": 100_000}
MODELS = {
    "lasso": Lasso(alpha=0.3, **TIGHT),
    "elastic net": ElasticNet(alpha=0.3, l1_ratio=0.4, **TIGHT),
    "no intercept": ElasticNet(alpha=0.3, fit_intercept=False, **TIGHT),
    "lasso by cv": LassoCV(alphas=5, **TIGHT),
    "elastic net by cv": ElasticNetCV(alphas=5, l1_ratio=[0.5, 0.9], **TIGHT),
}


def rows(n_targets=1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)) + 0.5
    Y = X[:, :3] @ rng.normal(size=(3, n_targets)) + rng.normal(size=(80, n_targets))
    return X, Y[:, 0] if n_targets == 1 else Y


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_subgradient_conditions(name, weighted):
    X, y = rows()
    weight = np.random.default_rng(1).uniform(0.3, 3, 80) if weighted else None
    model = MODELS[name].fit(X, y, sample_weight=weight)
    head = linear_head(model, y, weight)
    raw = head.embed(X) @ head.coef.T + head.intercept
    residual = head.weights[:, None] * (raw - head.targets)
    slope = (X.T @ residual).T + head.penalty[:, :6] * head.coef
    used, l1 = head.coef != 0, head.l1[:, :6]
    # Coordinate descent's duality gap of 1e-12, on sums of eighty terms.
    assert_allclose(slope[used], (-np.sign(head.coef) * l1)[used], rtol=1e-4)
    assert np.all(np.abs(slope[~used]) <= l1[~used] * (1 + 1e-4))
    if head.fit_intercept:
        assert abs(residual.sum()) < 1e-6
        assert head.l1[0, -1] == head.penalty[0, -1] == 0


def test_several_targets_are_one_problem_each():
    X, Y = rows(2)
    head = linear_head(Lasso(alpha=0.3, **TIGHT).fit(X, Y), Y)
    assert head.coef.shape == (2, 6) and head.l1.shape == (2, 7)


def test_no_l1_share_is_no_l1_part():
    X, y = rows()
    model = ElasticNet(alpha=0.1, l1_ratio=0.0).fit(X, y)
    head = linear_head(model, y)
    assert head.l1 is None
    assert_allclose(head.penalty[0, :6], 0.1 * 80)


def test_active_columns_predict_the_same_and_pickle():
    X, y = rows()
    head = linear_head(MODELS["lasso"].fit(X, y), y)
    few, columns = on_active_columns(head)
    assert few.coef.shape[1] == len(columns) < 6
    assert few.penalty.shape == few.l1.shape == (1, len(columns) + 1)
    few = pickle.loads(pickle.dumps(few))
    assert_allclose(few.embed(X) @ few.coef.T, head.embed(X) @ head.coef.T)


def test_an_empty_model_keeps_one_column():
    X, y = rows()
    few, columns = on_active_columns(linear_head(Lasso(alpha=100).fit(X, y), y))
    assert np.array_equal(columns, [0]) and few.coef == 0


def test_positive_is_refused():
    X, y = rows()
    with pytest.raises(ValueError, match="Lasso with positive=True"):
        linear_head(Lasso(positive=True).fit(X, y), y)
