"""A label score: the Brier score of a row by the model that never saw it.

A ranker names the label scores that it gives, and gives them, higher where a label is
likelier wrong. Here the class is a ranker that exists, with one score more; a filter
takes it by name.
"""

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker


class BrierRanker(InfluenceRanker):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.given_ = np.asarray(y)
        return self

    def _known_label_scores(self):
        return (*super()._known_label_scores(), "loo_brier")

    def _label_scores(self, score, X, y):
        if score != "loo_brier":
            return super()._label_scores(score, X, y)
        # Rows of training by the fit without them, new rows by the fit.
        proba = self.loo_proba_ if X is None else self.predict_proba(X)
        given = self.given_ if X is None else np.asarray(y)
        is_given = given[:, None] == self.classes_
        return np.sum((proba - is_given) ** 2, axis=1)


X, y = load_breast_cancer(return_X_y=True)
X, (y, is_flipped) = X[:200], flip_labels(y[:200], 0.1, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
found = MislabelFilter(BrierRanker(model), label_score="loo_brier", contamination=0.1)
found.fit(X, y)
assert average_precision_score(is_flipped, found.scores_) > 0.9

# The truth: the score of row 3 by the head fitted without it, columns scaled with it.
Z = StandardScaler().fit_transform(X)
kept = np.arange(200) != 3
head = clone(model[-1]).set_params(tol=1e-10).fit(Z[kept], y[kept])
truth = np.sum((head.predict_proba(Z[3:4])[0] - (y[3] == head.classes_)) ** 2)
# One Newton step away from the refit.
np.testing.assert_allclose(found.scores_[3], truth, rtol=0.01)
