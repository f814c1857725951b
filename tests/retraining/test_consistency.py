"""The consistency profile against a loop over the same subsets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import check_random_state

from sklinfluence.retraining import consistency_score
from sklinfluence.retraining._units import generator
from tests.retraining.games import DIABETES, IRIS


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_loop_over_subsets(classes, n_jobs):
    X, y = IRIS if classes else DIABETES
    X, y = X[:40], y[:40]
    model = GaussianNB() if classes else Ridge(0.1)
    result = consistency_score(
        model, X, y, shares=(0.5, 0.8), n_repeats=6, n_jobs=n_jobs, random_state=0
    )
    seed = check_random_state(0).randint(np.iinfo(np.int32).max)
    profile = np.full((2, 40), np.nan)
    for at, size in enumerate((20, 32)):
        scores = [[] for _ in y]
        for repeat in range(6):
            order = generator(seed, 6 * at + repeat).permutation(40)
            said = model.fit(X[order[:size]], y[order[:size]]).predict(X)
            for row in order[size:]:
                right = said[row] == y[row]
                scores[row].append(right if classes else -((said[row] - y[row]) ** 2))
        profile[at] = [np.mean(of_row) if of_row else np.nan for of_row in scores]
    # Models of rows in another order: rounding of the fit.
    assert_allclose(result.profile, profile, rtol=1e-8)
    assert_allclose(result.score, profile.mean(axis=0), rtol=1e-8)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.001, "half"])
def test_shares_that_leave_nothing_are_named(share):
    with pytest.raises(ValueError, match="shares"):
        consistency_score(None, *IRIS, shares=(0.5, share))
