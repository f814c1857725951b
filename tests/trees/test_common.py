"""scikit-learn's own checks of what stands on trees."""

from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.trees import ForestRanker, LeafEmbedding, TrexRanker

_COLUMNS = "one column a training row: removed and repeated rows change the shape"
_WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
_SPARSE = "check_sample_weight_equivalence_on_sparse_data"
FEW = HistGradientBoostingClassifier(max_iter=3, random_state=0)
ESTIMATORS = [
    ForestRanker(RandomForestClassifier(5, random_state=0)),
    ForestRanker(ExtraTreesRegressor(5, min_samples_leaf=2, random_state=0)),
    LeafEmbedding(FEW, power=0.5),
    TrexRanker(FEW),
]


def expected(estimator):
    if isinstance(estimator, LeafEmbedding):
        return {}
    return {_WEIGHTS: _COLUMNS, _SPARSE: _COLUMNS}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected, xfail_strict=True)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)


def test_defaults_take_classes_and_real_targets(data):
    for kind in (ForestRanker, LeafEmbedding, TrexRanker):
        of_classes = kind(random_state=0).fit(data.X[:60], data.two[:60])
        of_values = kind(random_state=0).fit(data.X[:60], data.real[:60])
        assert type(of_classes.estimator_).__name__.endswith("Classifier")
        assert type(of_values.estimator_).__name__.endswith("Regressor")
