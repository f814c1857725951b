"""Memorization by density models, against the mean log densities of their subsets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from sklinfluence.retraining import DownsamplingRanker

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(11, 2)), [[6.0, 6.0]]])
X_VAL = RNG.normal(size=(9, 2))
N_SETS = 30


def drawn_sets(n_rows, size, seed):
    """The sets of the ranker's own draws."""
    orders = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
        for k in range(N_SETS)
    )
    held = np.zeros((N_SETS, n_rows), dtype=bool)
    for row, order in zip(held, orders, strict=True):
        row[order.permutation(n_rows)[:size]] = True
    return held


@pytest.mark.parametrize(
    "model", [KernelDensity(bandwidth=0.7), GaussianMixture(2, random_state=0)], ids=str
)
def test_log_densities_of_subsets(model):
    ranker = DownsamplingRanker(
        model, share=0.7, max_evaluations=N_SETS, random_state=5
    ).fit(X, X_val=X_VAL)
    held = drawn_sets(12, 8, 5)
    models = [type(model)(**model.get_params()).fit(X[rows]) for rows in held]
    densities = np.array([each.score_samples(X_VAL) for each in models])
    own = np.array([each.score_samples(X) for each in models])
    for row, chosen in enumerate(held.T):
        # Sums of thirty log densities of some tens of nats.
        rise = densities[chosen].mean(axis=0) - densities[~chosen].mean(axis=0)
        assert_allclose(ranker.values_[row], rise.mean(), rtol=1e-9, atol=1e-11)
        influence = ranker.influence(X_VAL)[:, row]
        assert_allclose(influence, rise, rtol=1e-9, atol=1e-11)
        memorized = own[chosen, row].mean() - own[~chosen, row].mean()
        assert_allclose(ranker.self_influence_[row], memorized, rtol=1e-9)
    # What lies alone is remembered, and of no use to others.
    assert ranker.self_influence_.argmax() == 11
    assert type(ranker.estimator_) is type(model)


def test_folds_need_no_targets_either():
    ranker = DownsamplingRanker(KernelDensity(), max_evaluations=40, random_state=0)
    assert np.isfinite(ranker.fit(X).values_).all()
    assert not hasattr(ranker, "classes_")


def test_what_predicts_needs_its_targets():
    with pytest.raises(ValueError, match="requires y to be passed"):
        DownsamplingRanker().fit(X)
