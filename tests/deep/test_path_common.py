"""scikit-learn's own checks, on rankers of a net that takes what those checks give.

A bare skorch net neither validates nor casts its inputs: lists, strings as labels,
NaN, integers, one feature too many. The net below does, as a user would write it once.
It computes in float64: the checks compare at 1e-7 what another order of rows leaves
equal but for rounding, and float32 rounds by 6e-8, more or less of it as the
processor's instructions have it.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.utils.estimator_checks import (  # noqa: E402
    check_estimator,
    parametrize_with_checks,
)
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import validate_data  # noqa: E402
from skorch import NeuralNet, NeuralNetClassifier  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    HydraRanker,
    SGDInfluenceRanker,
    TracInAnomalyDetector,
    TracInRanker,
)
from sklinfluence.retraining import ExpectedRanker  # noqa: E402


class CastingNet(NeuralNetClassifier):
    """A net that validates X, casts it and codes the labels."""

    def fit(self, X, y, **params):
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_inferred_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError("The targets hold one class only.")
        self.set_params(
            module__in_features=X.shape[1], module__out_features=len(self.classes_)
        )
        return super().fit(X, y, **params)

    def check_data(self, X, y):
        """Leave ``classes_`` as `fit` found them."""

    def get_dataset(self, X, y=None):
        X = validate_data(self, X, dtype=np.float64, reset=False)
        y = None if y is None else np.searchsorted(self.classes_, y)
        return super().get_dataset(X, y)

    def predict_proba(self, X):
        self.check_is_fitted()
        return super().predict_proba(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


class Autoencoder(NeuralNet):
    """A net without targets: rows through one hidden unit and back."""

    def fit(self, X, y=None, **params):
        X = validate_data(self, X, dtype=np.float64)
        self.set_params(module__n_features=X.shape[1])
        return super().fit(X, None, **params)

    def get_dataset(self, X, y=None):
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return super().get_dataset(X, None)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return ((y_pred - X) ** 2).mean()


class Narrow(torch.nn.Sequential):
    def __init__(self, n_features):
        linear = torch.nn.Linear
        super().__init__(
            linear(n_features, 1, dtype=torch.float64),
            linear(1, n_features, dtype=torch.float64),
        )


SETTINGS = {
    "lr": 0.1,
    "max_epochs": 1,
    "batch_size": 16,
    "train_split": None,
    "verbose": 0,
}


def classifier():
    loss = torch.nn.CrossEntropyLoss
    own = {"criterion": loss, "module__dtype": torch.float64}
    return CastingNet(torch.nn.Linear, **own, **SETTINGS)


def autoencoder():
    settings = {**SETTINGS, "lr": 1e-6}  # the checks have rows of length 100
    return Autoencoder(Narrow, criterion=torch.nn.MSELoss, **settings)


RANKERS = [
    TracInRanker(classifier(), method="replay", projection=3, random_state=0),
    HydraRanker(classifier(), random_state=0),
    ExpectedRanker(TracInRanker(classifier()), n_estimators=2, random_state=0),
    TracInAnomalyDetector(TracInRanker(autoencoder(), random_state=0)),
]
NO_WEIGHTS = (
    "sample_weight of a ranker along a training path is None: the steps of a net's "
    "training have no weights of rows"
)
NO_STRINGS = "skorch's nets take the numbers of classes, and strings are named"
WEIGHT_CHECKS = [
    "check_sample_weights_pandas_series",
    "check_sample_weights_not_an_array",
    "check_sample_weights_list",
    "check_all_zero_sample_weights_error",
    "check_sample_weights_shape",
    "check_sample_weights_not_overwritten",
    "check_sample_weight_equivalence_on_dense_data",
]


def expected_failures(estimator):
    expected = dict.fromkeys(WEIGHT_CHECKS, NO_WEIGHTS)
    if not isinstance(estimator, TracInAnomalyDetector):
        expected["check_classifiers_classes"] = NO_STRINGS
    return expected


@parametrize_with_checks(
    RANKERS, expected_failed_checks=expected_failures, xfail_strict=True
)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow  # beside HydraRanker's, these checks meet little code of their own
def test_sgd_influence_ranker_is_compatible():
    ranker = SGDInfluenceRanker(classifier(), random_state=0)
    check_estimator(ranker, expected_failed_checks=expected_failures(ranker))
