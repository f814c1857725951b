"""Fitted rankers and filters asked from two threads, what they compute lazily included.

The oracle is one thread alone, on a copy whose caches are as empty.
"""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier, current_thread

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from sklinfluence.curvature._hessian import Hessian
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics

MAKE = {
    "cholesky": lambda: InfluenceRanker(),
    "few rows": lambda: InfluenceRanker(solver="cholesky"),
    "newton": lambda: InfluenceRanker(method="newton", normalize="theta"),
    "cg": lambda: InfluenceRanker(LogisticRegression(C=0.1), solver="cg"),
    "refined": lambda: InfluenceRanker(solver="cg", refine=1e-6, normalize="cosine"),
    "l2": lambda: RepresenterRanker(LogisticRegression()),
    "lje": lambda: RepresenterRanker(LogisticRegression(), method="lje"),
    "filter": lambda: MislabelFilter(random_state=0),
    "filter of a ranker": lambda: MislabelFilter(InfluenceRanker(), label_score="loss"),
}
ASKED = {
    "self_influence_": lambda ranker, X, y: ranker.self_influence_,
    "influence": lambda ranker, X, y: ranker.influence(X, y),
    "mean_influence": lambda ranker, X, y: ranker.mean_influence(X, y),
    "score_samples": lambda ranker, X, y: ranker.score_samples(X, y),
    "group_influence": lambda ranker, X, y: ranker.group_influence([[0, 1]], X, y),
    "most_damaging": lambda ranker, X, y: ranker.most_damaging(X[:1]),
    "loo_score_": lambda ranker, X, y: ranker.loo_score_,
    "leverage_": lambda ranker, X, y: ranker.leverage_,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAKE)
def test_two_threads_get_what_one_gets(name):
    # Outputs that do not interact are factored over the rows, where these are fewer.
    n_features, n_classes = (90, 2) if name == "few rows" else (6, 3)
    X, y = make_classification(
        n_samples=60,
        n_features=n_features,
        n_classes=n_classes,
        n_informative=4,
        random_state=0,
    )
    fitted = pickle.dumps(MAKE[name]().fit(X, y))
    alone, shared = pickle.loads(fitted), pickle.loads(fitted)
    names = [name for name in ASKED if hasattr(alone, name)]
    of_fit = set(vars(shared))
    expected = {name: ASKED[name](alone, X[:9], y[:9]) for name in names}
    together = Barrier(2)

    def ask(names):
        together.wait()
        return {name: ASKED[name](shared, X[:9], y[:9]) for name in names}

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(ask, [names, names]))
    finally:
        sys.setswitchinterval(usual)
    # An attribute that came with a question could come while the other thread walks
    # over them, as scikit-learn's check_is_fitted does.
    assert set(vars(shared)) == of_fit
    for answer in answers:
        for name in names:
            # Bit by bit: it is the same arithmetic.
            np.testing.assert_array_equal(answer[name], expected[name], err_msg=name)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(n_classes):
    X, y = make_classification(
        n_samples=3000, n_informative=5, n_classes=n_classes, random_state=0
    )
    found = []
    # With more threads of BLAS the estimator and the factor are others: rounding.
    with threadpool_limits(1, "blas"):
        for n_jobs in (1, 2, 5):
            answers = []
            for method in ("influence", "newton"):
                ranker = InfluenceRanker(method=method, n_jobs=n_jobs, normalize="loss")
                answers += [ranker.fit(X, y).self_influence_, ranker.loo_proba_]
                answers += [ranker.influence(X[:20], y[:20]), ranker.leverage_]
                answers += [ranker.mean_influence(X, y), ranker.loo_error_bound_]
                answers += [ranker.score_samples(X), ranker.label_scores("cook")]
                answers += [ranker.label_scores("cook", X[:20], y[:20])]
                answers += [diagnostics(ranker, dfbetas=False).to_numpy()]
            found.append(answers)
    for answers in found[1:]:
        for ours, truth in zip(answers, found[0], strict=True):
            np.testing.assert_array_equal(ours, truth)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_hessian_is_summed_on_as_many_threads_as_were_asked_for(
    n_jobs, monkeypatch
):
    """As many meet at a barrier, which fewer could not pass."""
    X, y = make_classification(3500, n_informative=5, n_classes=3, random_state=0)
    together, arrivals = Barrier(n_jobs, timeout=30), count()
    own, are_own, update = current_thread(), set(), Hessian._update

    def met(self, *arguments):
        are_own.add(current_thread() is own)
        if next(arrivals) < n_jobs:
            together.wait()
        return update(self, *arguments)

    model = FrozenEstimator(LogisticRegression().fit(X, y))
    monkeypatch.setattr(Hessian, "_update", met)
    with threadpool_limits(2 if n_jobs == 1 else 1, "blas"):
        InfluenceRanker(model, n_jobs=n_jobs).fit(X, y)
    assert are_own == {n_jobs == 1}
