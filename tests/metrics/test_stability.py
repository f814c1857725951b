"""Agreement of influences against scipy, query by query."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from sklinfluence.metrics import stability


@pytest.fixture
def influences():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 40))
    return a, a + rng.standard_normal((6, 40))


def test_correlations_are_scipys(influences):
    a, b = influences
    agreement = stability(a, b)
    pairs = list(zip(a, b, strict=True))
    assert agreement["pearson"] == pytest.approx(
        np.mean([pearsonr(*pair).statistic for pair in pairs])
    )
    assert agreement["spearman"] == pytest.approx(
        np.mean([spearmanr(*pair).statistic for pair in pairs])
    )


def test_overlap_counts_the_most_influential(influences):
    a, b = influences
    shares = [
        len(set(np.argsort(-x)[:4]) & set(np.argsort(-z)[:4])) / 4
        for x, z in zip(a, b, strict=True)
    ]
    assert stability(a, b)["overlap"] == pytest.approx(np.mean(shares))
    half = [
        len(set(np.argsort(-x)[:20]) & set(np.argsort(-z)[:20])) / 20
        for x, z in zip(a, b, strict=True)
    ]
    assert stability(a, b, percentile=50)["overlap"] == pytest.approx(np.mean(half))


def test_overlap_is_of_the_larger_set_where_ties_make_one_larger():
    """Most rows of most queries have no influence at all: they tie."""
    distinct = np.arange(20.0)[None]
    tied = np.where(distinct >= 13, 1.0, 0.0)
    # The top fifth: the last four of one, all seven that tie of the other.
    for pair in ((distinct, tied), (tied, distinct)):
        assert stability(*pair, percentile=80)["overlap"] == pytest.approx(4 / 7)


def test_limits(influences):
    a, _ = influences
    assert stability(a, 3 * a + 1) == pytest.approx(
        {"pearson": 1.0, "spearman": 1.0, "overlap": 1.0}
    )
    assert stability(a, -a)["pearson"] == pytest.approx(-1.0)
    assert stability(a, -a)["overlap"] == 0.0
    # A matrix that says nothing agrees with nothing.
    assert stability(a, np.zeros_like(a))["pearson"] == 0.0


def test_other_rows_are_refused(influences):
    a, b = influences
    with pytest.raises(ValueError, match="same queries"):
        stability(a, b[:, :30])
