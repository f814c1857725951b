"""Bad input: one clear error each."""

import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB

from sklinfluence.base import BaseRanker
from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker

X = np.random.default_rng(0).normal(size=(20, 2))
y = np.arange(20) % 2


class LengthRanker(BaseRanker):
    """A ranker without leave-one-out predictions: far rows are influential."""

    def fit(self, X, y, sample_weight=None):
        self.estimator_ = GaussianNB().fit(X, y)
        self._begin(len(X), self.estimator_)
        self.lengths_ = self.score_samples(X)
        return self

    def _self_influence(self):
        return self.lengths_

    def _influence_block(self, X, y):
        raise NotImplementedError

    def score_samples(self, X, y=None):
        return np.linalg.norm(X, axis=1)


@pytest.mark.parametrize("detector_class", [MislabelFilter, MislabelSampler])
@pytest.mark.parametrize(
    ("parameters", "data", "message"),
    [
        (
            {"label_score": "best"},
            {},
            "label_score='best' is not one that InfluenceRanker gives",
        ),
        (
            {"threshold": 1.0, "contamination": 0.1},
            {},
            "threshold=1.0 and contamination=0.1 both say which rows to flag",
        ),
        (
            {"contamination": 0.6},
            {},
            "contamination=0.6 asks for more rows to be flagged than max_share=0.5",
        ),
        ({}, {"groups": y}, "groups were given, but cv=None .* GroupKFold"),
        ({"min_per_class": 0}, {}, "'min_per_class' parameter of Mislabel"),
        ({"max_share": 0.0}, {}, "'max_share' parameter of Mislabel"),
        ({"threshold": "median"}, {}, "'threshold' parameter of Mislabel"),
        ({"ranker": "Ridge"}, {}, "'ranker' parameter of Mislabel"),
        ({}, {"y": None}, "requires y to be passed, but the target y is None"),
        ({}, {"y": y[:-1]}, r"inconsistent numbers of samples: \[20, 19\]"),
        ({}, {"y": np.zeros(20, dtype=int)}, "at least two classes"),
        ({}, {"y": np.eye(20)[:, :3]}, "y has 3 columns: multilabel"),
        ({}, {"y": np.where(y > 0, np.nan, 1.5)}, "Input y contains NaN"),
        ({}, {"X": np.where(X > 1, np.inf, X)}, "Input X contains infinity"),
        ({}, {"sample_weight": np.ones(3)}, r"sample_weight.shape == \(3,\)"),
        ({"ranker": InfluenceRanker(GaussianNB())}, {}, "GaussianNB"),
        (
            {"ranker": LengthRanker(), "label_score": "self_influence"},
            {},
            "LengthRanker has no leave-one-out predictions. Set cv",
        ),
    ],
)
def test_errors_of_fit(detector_class, parameters, data, message):
    with pytest.raises((ValueError, TypeError), match=message):
        detector_class(**parameters).fit(**{"X": X, "y": y, **data})


def test_regression_has_no_fit_transform():
    target = X @ [1.0, 2.0]
    message = (
        r"FilteredRegressor\(estimator, filter=MislabelFilter\(\)\) as the last step, "
        "or MislabelSampler in an imblearn.pipeline.Pipeline"
    )
    with pytest.raises(ValueError, match=message):
        MislabelFilter().fit_transform(X, target)
    assert MislabelFilter().fit(X, target).get_support().shape == (20,)


def test_labels_that_training_lacked():
    detector = MislabelFilter().fit(X, y)
    with pytest.raises(ValueError, match="7"):
        detector.score_samples(X[:2], [0, 7])


def test_new_rows_are_checked():
    detector = MislabelFilter().fit(X, y)
    for bad, message in [
        (X[:, :1], "X has 1 features, but MislabelFilter is expecting 2"),
        (X[0], "Reshape your data"),
        (np.full((1, 2), np.inf), "Input X contains infinity"),
    ]:
        with pytest.raises(ValueError, match=message):
            detector.transform(bad)
        with pytest.raises(ValueError, match=message):
            detector.score_samples(bad)


def test_rankers_without_leave_one_out_work_with_folds_or_a_share():
    for settings in [{"contamination": 0.2}, {"threshold": 2.0}, {"cv": 4}]:
        detector = MislabelFilter(
            LengthRanker(), label_score="self_influence", **settings
        )
        detector.fit(X, y)
        np.testing.assert_allclose(detector.scores_, np.linalg.norm(X, axis=1))
    share = MislabelFilter(
        LengthRanker(), label_score="self_influence", contamination=0.2
    ).fit(X, y)
    farthest = np.argsort(-np.linalg.norm(X, axis=1))[:4]
    assert set(np.flatnonzero(~share.get_support())) == set(farthest)


def test_two_rows_are_enough():
    detector = MislabelFilter(InfluenceRanker(LogisticRegression()))
    detector.fit([[0.0], [1.0]], ["a", "b"])
    assert detector.get_support().all()


HOLES = np.where(np.arange(40).reshape(20, 2) == 5, np.nan, X)
WORDS = [f"word{i % 7}" for i in range(20)]
STRINGS = np.c_[X.astype(object), WORDS]
ADVICE = {
    "text": (WORDS, "text", r"make_pipeline\(TfidfVectorizer\(\), "),
    "table of strings": (STRINGS, "columns of strings", "OneHotEncoder"),
}


@pytest.mark.parametrize("name", ADVICE)
@pytest.mark.parametrize("door", [MislabelFilter, MislabelSampler])
@pytest.mark.parametrize(
    ("target", "model"), [(y, r"LogisticRegression\(\)"), (X[:, 0], r"Ridge\(\)")]
)
def test_advice_of_the_default_models_fits_what_came(name, door, target, model):
    table, what, steps = ADVICE[name]
    with pytest.raises(ValueError, match=f"X holds {what}.*ranker=None") as error:
        door().fit(table, target)
    assert re.search(f"InfluenceRanker.*{steps}.*{model}", str(error.value))
    for other in ("TfidfVectorizer", "SimpleImputer", "OneHotEncoder"):
        assert (other in str(error.value)) == (other in steps)


def test_other_scores_of_real_targets_take_holes_and_name_infinity():
    detector = MislabelFilter(label_score="cook", contamination=0.1)
    assert np.isfinite(detector.fit(HOLES, X[:, 0]).scores_).all()
    with pytest.raises(ValueError, match="contains infinity"):
        detector.fit(np.where(X == X[0], np.inf, X), X[:, 0])


@pytest.mark.parametrize("door", [MislabelFilter, MislabelSampler])
@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (("linear", "forrest"), "names 'forrest'; there are 'linear', 'kernel'"),
        ((), "at least one vote, each once"),
        (("forest", "forest"), "at least one vote, each once"),
        ("forest", "The 'pool' parameter"),
    ],
)
def test_pools_that_are_none(door, pool, message):
    with pytest.raises(ValueError, match=message):
        door(pool=pool).fit(X, y)


def test_many_flags_are_warned_about():
    # Two classes that overlap for the most part: a third contradicts any model.
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    columns = rng.standard_normal((400, 2)) + 0.5 * labels[:, None]
    with pytest.warns(UserWarning, match="of the rows are flagged"):
        MislabelFilter(random_state=0).fit(columns, labels)


def test_a_regression_without_degrees_of_freedom_is_warned_about():
    rng = np.random.default_rng(0)
    columns, target = rng.standard_normal((10, 20)), rng.standard_normal(10)
    with pytest.warns(UserWarning, match="no degrees of freedom"):
        detector = MislabelFilter(InfluenceRanker(Ridge(1e-8))).fit(columns, target)
    assert detector.get_support().all()


@pytest.mark.parametrize("cv", [None, 3])
def test_real_targets_by_a_ranker_without_studentized_residuals(cv):
    """Its own score ranks rows; the rule on residuals, which it lacks, is refused."""
    target = X @ [1.0, 2.0] + np.where(np.arange(20) == 7, 30.0, 0.0)
    ranker = RepresenterRanker(Ridge())
    with pytest.raises(ValueError, match="RepresenterRanker gives no 'studentized'"):
        MislabelFilter(ranker, cv=cv).fit(X, target)
    detector = MislabelFilter(ranker, contamination=0.05, cv=cv).fit(X, target)
    assert np.flatnonzero(~detector.get_support()) == [7]
    assert np.isnan(detector.label_quality_).all()
    if cv is None:
        own = clone(ranker).fit(X, target).self_influence_
        np.testing.assert_allclose(detector.scores_, own)
