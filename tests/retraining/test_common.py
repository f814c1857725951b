"""scikit-learn's own checks of what retrains."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)

_PLAYERS = "a row repeated is two players, a row of weight 2 is one"
_EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": _PLAYERS,
    "check_sample_weight_equivalence_on_sparse_data": _PLAYERS,
}
TREE = DecisionTreeClassifier(max_depth=2, random_state=0)
FEW = {"cv": 2, "random_state": 0}
ESTIMATORS = [
    ShapleyRanker(TREE, max_evaluations=4, **FEW),
    BanzhafRanker(TREE, max_evaluations=6, **FEW),
    AMERanker(TREE, max_evaluations=10, **FEW),
    DownsamplingRanker(TREE, max_evaluations=6, **FEW),
    LeaveOneOutRanker(TREE, **FEW),
    DataOOBRanker(RandomForestClassifier(10, random_state=0)),
]


_DRAWN = "a bootstrap of rows repeated is another than one of weighted rows"


def expected(estimator):
    if isinstance(estimator, DataOOBRanker):
        return dict.fromkeys(_EXPECTED, _DRAWN)
    # Only rankers have a transform, whose columns the checks compare.
    return _EXPECTED if hasattr(estimator, "transform") else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)
