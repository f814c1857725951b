"""The filter as a sampler, for imbalanced-learn's Pipeline."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.metadata_routing import UNCHANGED

from sklinfluence._sklearn_compat import StrOptions, _safe_indexing
from sklinfluence._typing import RandomState, Rows
from sklinfluence._whole_fit import whole
from sklinfluence.filtering._detector import _LabelNoiseDetector
from sklinfluence.filtering._inputs import as_rows
from sklinfluence.filtering._relabel import relabelled, with_targets
from sklinfluence.filtering._votes import VOTES


class MislabelSampler(_LabelNoiseDetector):
    """Drop or relabel mislabelled training rows, in imbalanced-learn's Pipeline.

    A sampler changes rows and labels together (``fit_resample``), which the Pipeline
    of imbalanced-learn allows and scikit-learn's does not. New rows pass it untouched.
    imbalanced-learn itself is not needed to use the class.

    In scikit-learn's own Pipeline this class meets scikit-learn's own error::

        TypeError: All intermediate steps should be transformers and implement fit and
        transform or be the string 'passthrough' 'MislabelSampler()' (type <class
        'sklinfluence.filtering._sampler.MislabelSampler'>) doesn't

    There, use ``FilteredClassifier(estimator, filter=MislabelSampler())`` as the last
    step (:class:`FilteredRegressor` for real targets), or :class:`MislabelFilter`.

    Read more in the :ref:`User Guide <mislabel_filter>`.

    Parameters
    ----------
    ranker : ranker, estimator or "precomputed", default=None
        Judges the labels, as for :class:`MislabelFilter`.

    action : {"drop", "relabel"}, default="drop"
        What happens to flagged rows. "relabel" keeps them with their suggested label
        (real targets: the value that the model that never saw them predicts).

    label_score : str, default="auto"
        Name of the score, as for :class:`MislabelFilter`.

    noise : {"class", "uniform"} or None, default="class"
        What the noise model may learn, as for :class:`MislabelFilter`.

    n_rounds : int, default=3
        Rounds of expectation-maximisation, as for :class:`MislabelFilter`.

    threshold : float, "auto" or "fdr", default="auto"
        Which rows are flagged, as for :class:`MislabelFilter`.

    fdr : float, default=0.05
        The false-discovery rate, as for :class:`MislabelFilter`.

    contamination : float, default=None
        Flag this share of the rows instead, the worst first.

    cv : int, splitter, iterable or None, default=None
        None scores rows by the leave-one-out answers of one fit; otherwise by rankers
        fitted without the row's fold, as for :class:`MislabelFilter`. (Around a
        sampler, GridSearchCV and cross_validate need ``StratifiedKFold``: it is no
        classifier, and an integer there does not stratify.)

    duplicates : float or None, default=0.0
        As in :class:`MislabelFilter`.

    classes : array-like of shape (n_classes,), default=None
        For ``ranker="precomputed"``: the label that each column of X is about, as for
        :class:`MislabelFilter`.

    pool : sequence of str, default=("linear", "kernel", "forest")
        The votes of ``ranker=None`` with ``label_score="auto"``: a linear head, an RBF
        ridge, and a forest by its out-of-bag trees (for real targets ridge regression
        in the first one's place). On many columns that are nearly all zeros (terms of
        texts) the forest votes only where nothing else does.

    min_per_class : int, default=1
        Rows of every class that are kept whatever their scores (real targets: of all
        rows), so that no class is ever emptied.

    max_share : float, default=0.5
        Largest share of the rows of one given class (real targets: of all rows) that
        may be flagged, the worst first.

    n_jobs : int, default=None
        Folds of an estimator that are fitted at a time, or threads that grow the
        forest; None is one.

    random_state : int, RandomState instance or None, default=None
        Draws the landmarks of the RBF ridge and the forest, shuffles the folds of an
        estimator and seeds what it leaves open.

    Attributes
    ----------
    ranker_ : ranker or estimator
        Fitted on all rows, as for :class:`MislabelFilter`.

    evidence_ : {"leave-one-out", "out-of-bag", "cross-fitted", "pooled", \
            "precomputed"} or None
        How rows were held out of the models that judge them.

    scores_ : ndarray of shape (n_samples,)
        Higher is likelier mislabelled.

    threshold_ : float
        The given threshold; else the lowest score among flagged rows (infinite when
        there is none).

    label_quality_ : ndarray of shape (n_samples,)
        Out-of-sample probability of the given label; for real targets the two-sided
        p-value of the residual by the law of honest ones (with a ranker, of the deleted
        studentised residual), NaN where the ranker has no
        leave-one-out predictions of them.

    suggested_labels_ : ndarray of shape (n_samples,)
        What each row should be called, as for :class:`MislabelFilter`.

    sample_indices_ : ndarray of shape (n_resampled,)
        Training rows that `fit_resample` returns.

    n_features_in_ : int
        Number of features seen during `fit`, when X is a table.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`, when X has names that are all strings.

    See Also
    --------
    MislabelFilter : A step in the middle of scikit-learn's Pipeline.
    FilteredClassifier : Drops flagged rows inside `fit`, as the last step.

    Notes
    -----
    imbalanced-learn's Pipeline does not resample metadata: ``sample_weight`` routed
    both to a sampler and to a later step has the wrong length there.
    :class:`FilteredClassifier` drops weights with their rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.filtering import MislabelSampler
    >>> X, y = load_iris(return_X_y=True)
    >>> y[[3, 60]] = 2, 0
    >>> sampler = MislabelSampler(contamination=2 / 150)
    >>> X_kept, y_kept = sampler.fit_resample(X, y)
    >>> X_kept.shape, y_kept.shape
    ((148, 4), (148,))
    >>> sampler.set_params(action="relabel").fit_resample(X, y)[1][[3, 60]]
    array([0, 1])
    """

    _parameter_constraints: dict = {
        **_LabelNoiseDetector._parameter_constraints,
        "action": [StrOptions({"drop", "relabel"})],
    }

    def __init__(
        self,
        ranker: Any = None,
        *,
        action: Literal["drop", "relabel"] = "drop",
        label_score: str = "auto",
        noise: Literal["class", "uniform"] | None = "class",
        n_rounds: int = 3,
        threshold: Literal["auto", "fdr"] | float = "auto",
        fdr: float = 0.05,
        contamination: float | None = None,
        cv: Any = None,
        duplicates: float | None = 0.0,
        classes: ArrayLike | None = None,
        pool: Sequence[str] = VOTES,
        min_per_class: int = 1,
        max_share: float = 0.5,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(
            ranker,
            label_score=label_score,
            noise=noise,
            n_rounds=n_rounds,
            threshold=threshold,
            fdr=fdr,
            contamination=contamination,
            cv=cv,
            duplicates=duplicates,
            classes=classes,
            pool=pool,
            min_per_class=min_per_class,
            max_share=max_share,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.action = action

    @whole
    def fit(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Score every row and decide which ones to flag.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows: whatever the ranker's estimator takes, text included.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the ranker's fit.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that folds keep together, as for :class:`MislabelFilter`.

        Returns
        -------
        self : object
            The fitted sampler.
        """
        super().fit(X, y, sample_weight, groups)
        relabel = self.action == "relabel"
        self.sample_indices_ = np.flatnonzero(self._support | relabel)
        return self

    def set_fit_resample_request(
        self,
        *,
        sample_weight: ArrayLike | None = UNCHANGED,
        groups: str | None = UNCHANGED,
    ) -> Self:
        """Set what `fit_resample` is routed, which is what `fit` is.

        The same as `set_fit_request`: both methods fit the same filter.

        Parameters
        ----------
        sample_weight : str, True, False or None, default='$UNCHANGED$'
            Whether `sample_weight` is asked for, or by which name.

        groups : str, True, False or None, default='$UNCHANGED$'
            Whether `groups` are asked for, or by which name.

        Returns
        -------
        self : object
            The sampler.
        """
        return self.set_fit_request(sample_weight=sample_weight, groups=groups)

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRequest
            What is asked for under `fit`, and the same under `fit_resample`.
        """
        requests = super().get_metadata_routing()
        for param, alias in requests.fit.requests.items():
            requests.fit_resample.add_request(param=param, alias=alias)
        return requests

    def fit_resample(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> tuple[Any, Any]:
        """Fit, and return the rows without the flagged ones, or all rows relabelled.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the ranker's fit.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that folds keep together, as for :class:`MislabelFilter`.

        Returns
        -------
        X_resampled : {array-like, sparse matrix} of shape (n_resampled, n_features)
            Rows of X, in the container that X came in.

        y_resampled : array-like of shape (n_resampled,)
            Their labels or targets, in the container that y came in.
        """
        self.fit(X, y, sample_weight, groups)
        X_resampled, y_resampled, _ = self._take_action(X, y)
        return X_resampled, y_resampled

    def _take_action(self, X, y):
        if self.action == "relabel":
            flagged = np.flatnonzero(~self._support)
            suggested = self.suggested_labels_[flagged]
            if self._classes is not None:
                y = relabelled(y, self._given_labels, flagged, suggested)
            else:
                y = with_targets(y, flagged, suggested)
        rows = self.sample_indices_
        y_left = _safe_indexing(y, rows)
        y_left = tuple(y_left) if isinstance(y, tuple) else y_left
        return _safe_indexing(as_rows(self, X), rows), y_left, rows
