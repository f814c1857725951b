"""scikit-learn's own checks on what wraps a net, with a net that keeps its manners.

Those checks compare at 1e-7 what another order or another block of rows leaves equal
but for rounding. float32 rounds by 6e-8: whether a net in it passes is decided by the
processor's instructions. The nets here compute in float64.
"""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _check_sample_weight, validate_data

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402
from skorch.helper import SliceDict  # noqa: E402
from skorch.utils import is_dataset  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import DeepInfluenceRanker, SkorchEmbedding  # noqa: E402
from sklinfluence.filtering import MislabelFilter  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.LazyLinear(4, dtype=torch.float64)
        self.last = nn.LazyLinear(1, dtype=torch.float64)

    def forward(self, X):
        return self.last(torch.tanh(self.hidden(X))).squeeze(-1)


class CastingNet(NeuralNetRegressor):
    """What skorch leaves to users: validation, casting, a seed and sample weights."""

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        torch.manual_seed(0)
        return super().fit(X, np.column_stack([y, weight]))

    def get_dataset(self, X, y=None):
        if not is_dataset(X):
            X = validate_data(self, X, reset=False, dtype=np.float64)
        return super().get_dataset(X, y)

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return (y_true[:, 1] * self.criterion_(y_pred, y_true[:, 0])).mean()


def make_net():
    return CastingNet(
        Module,
        criterion__reduction="none",
        max_epochs=3,
        batch_size=-1,
        train_split=None,
        verbose=0,
    )


class Classes(nn.Module):
    """Takes its weights along with its rows, for want of another way to the loss."""

    def __init__(self, n_classes):
        super().__init__()
        self.hidden = nn.LazyLinear(4, dtype=torch.float64)
        self.last = nn.Linear(4, n_classes, dtype=torch.float64)

    def forward(self, rows, sample_weight=None):
        return self.last(torch.tanh(self.hidden(rows)))


class CastingClassifier(NeuralNetClassifier):
    """As `CastingNet`, and as many outputs as there are classes.

    Strings for labels it leaves to a LabelEncoder, as skorch does; the checks of what
    wraps a net use numbers.
    """

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=np.float64)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.n_outputs_ = int(y.max()) + 1
        torch.manual_seed(0)
        return super().fit(SliceDict(rows=X, sample_weight=weight), y.astype(np.int64))

    def get_params_for(self, prefix):
        own = {"n_classes": self.n_outputs_} if prefix == "module" else {}
        return {**super().get_params_for(prefix), **own}

    def get_dataset(self, X, y=None):
        if not is_dataset(X) and not isinstance(X, dict):
            X = validate_data(self, X, reset=False, dtype=np.float64)
        return super().get_dataset(X, y)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        losses = self.criterion_(y_pred, y_true)
        weight = X["sample_weight"] if isinstance(X, dict) else 1.0
        return (weight * losses).mean()


def make_classifier():
    return CastingClassifier(
        Classes,
        criterion=nn.CrossEntropyLoss,
        criterion__reduction="none",
        max_epochs=3,
        batch_size=-1,
        train_split=None,
        verbose=0,
    )


WEIGHTS = "three epochs of descent end elsewhere if a row of weight 0 is there"
DOUBLE = "the module computes in float64, whatever it is given"
DTYPES = "check_transformer_preserve_dtypes"
WEIGHTED = "check_sample_weight_equivalence_on_dense_data"
EPOCHS = "three epochs of descent learn little"
NUMBERS = "a net takes numbers of classes, not strings"
# Of rankers that say, as scikit-learn asks, that they predict as classifiers do.
OF_PREDICTIONS = {
    "check_classifiers_one_label": EPOCHS,
    "check_classifiers_train": EPOCHS,
    "check_regressors_train": EPOCHS,
    "check_classifiers_classes": NUMBERS,
    "check_regressors_no_decision_function": "skorch's regressors have predict_proba",
}
EXPECTED = {
    InfluenceRanker: {WEIGHTED: WEIGHTS, DTYPES: DOUBLE, **OF_PREDICTIONS},
    DeepInfluenceRanker: {WEIGHTED: WEIGHTS, **OF_PREDICTIONS},
    SkorchEmbedding: {WEIGHTED: WEIGHTS},
    MislabelFilter: {},
}
HEAD = {"refit_head": False, "damping": 0.1}


@parametrize_with_checks(
    [
        InfluenceRanker(make_net(), **HEAD),
        DeepInfluenceRanker(make_net()),
        SkorchEmbedding(make_net()),
        InfluenceRanker(make_classifier(), **HEAD),
        DeepInfluenceRanker(make_classifier()),
        SkorchEmbedding(make_classifier()),
        MislabelFilter(InfluenceRanker(make_classifier(), **HEAD)),
    ],
    expected_failed_checks=lambda estimator: EXPECTED[type(estimator)],
    xfail_strict=True,
)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)
