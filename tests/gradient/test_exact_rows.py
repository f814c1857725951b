"""What needs exact rows of H^-1 has them from another solver, or refuses by name."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sklinfluence.curvature import EKFAC, Arnoldi, LiSSA, Nystrom
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import diagnostics

# Nothing else makes a linear combination of rows' gradients look like this.
APPROXIMATE = {
    "ekfac": EKFAC(),
    "arnoldi": Arnoldi(rank=10),
    "nystrom": Nystrom(rank=10),
    "lissa": LiSSA(depth=50, random_state=0),
}
TIGHT = {"tol": 1e-10, "max_iter": 5000}


@pytest.fixture(scope="module")
def wide():
    """Many classes and columns for the rows: leverages are large."""
    X, y = make_classification(
        80, 40, n_informative=6, n_redundant=0, n_classes=3, random_state=0
    )
    return X, y


@pytest.fixture(scope="module")
def rankers(wide):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: InfluenceRanker(LogisticRegression(**TIGHT), solver=solver).fit(*wide)
            for name, solver in {**APPROXIMATE, "exact": "cholesky"}.items()
        }


@pytest.mark.parametrize("solver", APPROXIMATE)
def test_a_group_leaves_by_an_exact_step_whatever_the_solver(wide, rankers, solver):
    X, y = wide
    groups = [[i] for i in range(0, 80, 7)] + [list(range(5)), list(range(50))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no false "no unique optimum"
        step = rankers[solver].group_influence(groups, X[:6], y[:6])
    exact = InfluenceRanker(LogisticRegression(**TIGHT), method="newton").fit(X, y)
    one_by_one = exact.influence(X[:6], y[:6])[:, ::7]
    scale = np.max(np.abs(one_by_one))
    # The group of one row is that row; both were polished to 1e-11.
    np.testing.assert_allclose(step[:, :12], one_by_one, rtol=0, atol=1e-7 * scale)
    same = rankers["exact"].group_influence(groups, X[:6], y[:6])
    np.testing.assert_allclose(step, same, rtol=0, atol=1e-7 * np.max(np.abs(same)))


@pytest.mark.parametrize("solver", APPROXIMATE)
def test_certificates_and_flips_have_a_factor_of_their_own(wide, rankers, solver):
    X, y = wide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = rankers[solver].certify([0, 5, 12], X[:6], y[:6])
        rows = rankers[solver].most_damaging(X[:3], n=5)
    for bound, expected in zip(
        ours, rankers["exact"].certify([0, 5, 12], X[:6], y[:6]), strict=True
    ):
        assert np.array_equal(np.isfinite(bound), np.isfinite(expected))
        known = np.isfinite(expected)
        np.testing.assert_allclose(bound[known], expected[known], rtol=1e-5)
    for found, expected in zip(
        rows, rankers["exact"].most_damaging(X[:3], n=5), strict=True
    ):
        assert (found is None) == (expected is None)
        assert found is None or np.array_equal(found, expected)


@pytest.mark.parametrize("solver", APPROXIMATE)
def test_what_cannot_take_another_refuses_by_name(wide, rankers, solver):
    name = type(APPROXIMATE[solver]).__name__
    ranker = rankers[solver]
    refine = InfluenceRanker(solver=APPROXIMATE[solver], refine=1e-3)
    for ask in (
        lambda: ranker.loo_error_bound_,
        lambda: diagnostics(ranker),
        lambda: refine.fit(*wide),
    ):
        with (
            warnings.catch_warnings(),
            pytest.raises(ValueError, match=rf"{name}.* approximates it"),
        ):
            warnings.simplefilter("ignore")
            ask()


@pytest.mark.parametrize("solver", [EKFAC(), Nystrom(rank=20), Arnoldi(rank=3)])
def test_a_poor_residual_is_warned_about_whoever_leaves_it(solver):
    X, y = make_classification(
        150, 60, n_informative=30, n_classes=5, n_clusters_per_class=1, random_state=3
    )
    ranker = InfluenceRanker(LogisticRegression(C=100, max_iter=2000), solver=solver)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranker.fit(X * np.logspace(-1, 1, 60), y)
    named = any(
        issubclass(w.category, ConvergenceWarning) and "no useful" in str(w.message)
        for w in caught
    )
    # The rule itself: worse than the solution 0, of which the residual is 1.
    assert named == (np.median(ranker.solver_info_["residual"]) > 1.0)
    if isinstance(solver, EKFAC):
        assert named
