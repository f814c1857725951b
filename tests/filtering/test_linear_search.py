import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import scale

from sklinfluence.filtering._votes import _linear_search
from sklinfluence.filtering._votes._linear_search import tune_linear_surrogate


def noisy(loader):
    X, y = loader(return_X_y=True)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.1, (y + 1) % 3, y)
    return scale(X), y, np.eye(3)[y]


@pytest.mark.parametrize("loader", [load_iris, load_wine])
def test_search_lands_where_cross_validation_lands(loader):
    X, y, targets = noisy(loader)
    _, C = tune_linear_surrogate(X, targets, np.ones(len(X)))
    grid = np.logspace(-4, 3, 8)
    search = LogisticRegressionCV(
        Cs=grid,
        cv=10,
        scoring="neg_log_loss",
        max_iter=5000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(X, y)
    # Neighbouring decades differ by less than the folds' noise.
    assert abs(np.log10(C) - np.log10(search.C_)) <= 1.0 + 1e-9


def test_a_first_guess_that_is_off_is_left(monkeypatch):
    X, _, targets = noisy(load_iris)
    _, found = tune_linear_surrogate(X, targets, np.ones(len(X)))
    ridge_start = _linear_search.ridge_start
    for shift in (-2, 2):

        def shifted(smoother, targets, shift=shift):
            decade, theta, curvature = ridge_start(smoother, targets)
            return decade + shift, theta, curvature

        monkeypatch.setattr(_linear_search, "ridge_start", shifted)
        _, again = tune_linear_surrogate(X, targets, np.ones(len(X)))
        assert again == pytest.approx(found)
