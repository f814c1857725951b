"""scikit-learn's own checks of the rankers of neighbours."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.neighbors import KNNLeaveOneOutRanker, KNNShapleyRanker

_COLUMNS = "one column a training row: removed and repeated rows change the shape"
_TARGETS = "real targets are taken too"
_EXPECTED = {
    "check_classifiers_regression_target": _TARGETS,
    "check_sample_weight_equivalence_on_dense_data": _COLUMNS,
    "check_sample_weight_equivalence_on_sparse_data": _COLUMNS,
}
RANKERS = [
    KNNShapleyRanker(n_neighbors=3),
    KNNShapleyRanker(utility="hard", tol=0.01),
    KNNShapleyRanker(utility="threshold", radius=2.0),
    KNNLeaveOneOutRanker(),
    KNNLeaveOneOutRanker(utility="threshold", radius=2.0, n_influences=3),
]


@parametrize_with_checks(RANKERS, expected_failed_checks=lambda _: _EXPECTED)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)
