"""The filter as a transformer, for the middle of a scikit-learn Pipeline."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence._typing import RandomState, Rows
from sklinfluence._whole_fit import whole
from sklinfluence.filtering._detector import _LabelNoiseDetector
from sklinfluence.filtering._donors import assign_donors
from sklinfluence.filtering._inputs import as_rows, check_new_rows
from sklinfluence.filtering._votes import VOTES


class MislabelFilter(OneToOneFeatureMixin, TransformerMixin, _LabelNoiseDetector):
    """Find mislabelled training rows and keep them from the steps that follow.

    Every row is scored by how badly its label agrees with models that never saw the
    row, at the price of one fit: the row-wise counterpart of
    :class:`~sklearn.feature_selection.SelectFromModel`.

    .. warning::
        Every step beside it must see the same rows. As one branch of a
        :class:`~sklearn.compose.ColumnTransformer` or a
        :class:`~sklearn.pipeline.FeatureUnion` it replaces rows in its own columns
        alone, and the result mixes halves of two rows. Put it before or after these.

    A scikit-learn Pipeline carries y past its steps unchanged, so no step can drop a
    row. As a step in mid-Pipeline (classification), this transformer puts a kept row
    *of the same given label* in each flagged row's place: the next step trains as if
    flagged rows had been dropped and their classes resampled to size. Class shares
    stay those of the given labels, sample weights and groups stay with the slot, and
    an inner validation split of a later step sees copies. Two other doors drop rows
    truly: :class:`FilteredClassifier` and :class:`FilteredRegressor` as the last step
    of any Pipeline, and :class:`MislabelSampler` in imbalanced-learn's.

    .. note::
        ``fit_transform(X, y)`` differs from ``fit(X, y).transform(X)``: the first is
        for training and replaces flagged rows; the second is for new rows and returns
        them untouched.

    Read more in the :ref:`User Guide <mislabel_filter>`.

    Parameters
    ----------
    ranker : ranker, estimator or "precomputed", default=None
        What judges the labels; integer targets are classes unless it is a regressor
        or wraps one.

        - a ranker, an :class:`~sklinfluence.gradient.InfluenceRanker` or any other
          estimator with `label_scores`, is used as it is;
        - any classifier or regressor is asked by the cheapest evidence that is honest
          (`evidence_` says which): leave-one-out for linear heads after steps that
          were made without y and for nearest neighbours; out-of-bag where at least ten
          members of a bagging ensemble or forest drew no row; else, and where `cv` or
          groups are given, clones fitted without the row's fold. Under a noise model
          it is fitted again to soft labels, rows repeated once a class, if it takes
          weights. Real targets are judged by the residuals that it leaves;
        - "precomputed": X holds out-of-sample probabilities, a column for each class,
          or (one-dimensional, or one column) out-of-sample predictions of real
          targets. A noise model is used only where it makes the given labels likelier
          on rows that it was not fitted on;
        - None: for ``label_score="auto"``, models of its own (`pool`): of classes
          pooled by their likelihood out of sample, of real targets by least squares;
          else ``InfluenceRanker()``. X may be any data frame of pandas or polars
          (categories, strings, dates and free text by the extra ``table``), and have
          holes. The linear head and the RBF ridge see standardised columns, holes
          filled with medians and told by columns of their own, outliers held at the
          nearest value that is none; many columns that are nearly all zeros (terms of
          texts) keep their own scales. The forest sees columns as they are. A weight
          of 2 is a row twice.

    label_score : str, default="auto"
        "auto", classes: the log odds that the given label is wrong, under a
        label-noise model fitted by expectation-maximisation on leave-one-out
        predictions. "auto", real targets: the absolute residual from what models that
        never saw the row predict, over the scale of honest rows' residuals (with a
        ranker "studentized", the absolute deleted studentised residual). Otherwise the
        name of one of the ranker's ``label_scores``; of `InfluenceRanker`: "loo_loss",
        "loss", "self_influence", "cook", "gradient_norm", and for classes "loo_margin",
        "margin", "agra".

    noise : {"class", "uniform"} or None, default="class"
        What the noise model of ``label_score="auto"`` may learn: how often each class
        is labelled as each other one, one rate for all, or nothing (the leave-one-out
        odds as they are). Its rates rank rows; they are no estimates of the truth.

    n_rounds : int, default=3
        Rounds of expectation-maximisation whose log odds are averaged.

    threshold : float, "auto" or "fdr", default="auto"
        Which rows are flagged. "auto", classes: those predicted as another class by
        the model that never saw them, with log odds above log 0.1 that their label is
        wrong. "auto", real targets: those whose residuals are gross errors by a law of
        residuals with heavy tails [1]_ (see :ref:`wrong_targets`), gross errors being
        taken out of the fit until nothing changes. "fdr", classes: the likeliest wrong
        ones, as many as keep the mean posterior probability that a flagged label is
        right below `fdr`; real targets: as "auto". A number flags the scores at or
        above it.

    fdr : float, default=0.05
        The share of right labels among the flagged ones that is allowed. Classes: by
        ``threshold="fdr"`` alone, as far as the evidence is calibrated (see
        :ref:`how_sure`). Real targets: by "auto" too, the mean probability of being
        honest among the flagged rows.

    contamination : float, default=None
        Flag this share of the rows instead, the worst first. A row counts by its
        weight.

    cv : int, splitter, iterable or None, default=None
        None scores rows by the leave-one-out answers of one fit; an estimator that has
        none by five shuffled folds (stratified for classes), or five of whole groups
        where groups are given. Otherwise every row is scored by a clone of the ranker
        fitted without the row's fold (an int means stratified folds for classes). A
        row whose class the rest of the data lacks, or that no fold holds out, takes
        its leave-one-out score; of an estimator, the lowest score.
        (An integer ``cv`` of *GridSearchCV or cross_validate around* a filter does not
        stratify: a filter predicts nothing and is no classifier. Pass
        ``StratifiedKFold`` there.)

    duplicates : float or None, default=0.0
        Copies leave together: a row is judged by models that saw no row of equal X,
        whatever its label, neither in leave-one-out nor in the folds of ``cv``. Above
        0, rows whose every column differs by no more than this are copies too, columns
        in units of their standard deviation; copies of copies are copies. A warning
        says how many rows have some. None: every row leaves alone. See
        :ref:`copies_of_rows`.

    classes : array-like of shape (n_classes,), default=None
        For ``ranker="precomputed"``: the label that each column of X is about. None:
        the names of a frame's columns, where these are the labels; else the sorted
        labels of y.

    pool : sequence of str, default=("linear", "kernel", "forest")
        The votes of ``ranker=None`` with ``label_score="auto"``: a linear head, an RBF
        ridge, and a forest by its out-of-bag trees (for real targets ridge regression
        in the first one's place). On many columns that are nearly all zeros (terms of
        texts) the forest votes only where nothing else does.

    min_per_class : int, default=1
        Rows of every class that are kept whatever their scores (real targets: of all
        rows), so that no class is ever emptied. A row of weight 2 counts as two;
        weights that are far from one are taken relative to their mean.

    max_share : float, default=0.5
        Largest share of the rows of one given class (real targets: of all rows) that
        may be flagged, the worst first. A row counts by its weight, and is not flagged
        where only a part of it may be.

    n_jobs : int, default=None
        Folds of an estimator that are fitted at a time, or threads that grow the
        forest; None is one.

    random_state : int, RandomState instance or None, default=None
        Draws the landmarks of the RBF ridge and the forest, shuffles the folds of an
        estimator and seeds what it leaves open, and shuffles the
        kept rows that take the place of flagged ones in `fit_transform`.

    Attributes
    ----------
    ranker_ : ranker or estimator
        Fitted on all rows: the given one, or the pooled votes. A classifier with
        a linear head is in an InfluenceRanker; one that refuses labels for not being
        0 to K - 1 is fitted to their numbers in sorted order.

    evidence_ : {"leave-one-out", "out-of-bag", "cross-fitted", "pooled", \
            "precomputed"} or None
        How rows were held out of the models that judge them; "pooled" is the
        mixture, by likelihood out of sample, of the filter's own models. None: a ranker
        has no answer but of models that saw the row.

    scores_ : ndarray of shape (n_samples,)
        Higher is likelier mislabelled. A row that cannot be left out (leverage 1) gets
        the lowest score.

    threshold_ : float
        The given threshold; else the lowest score among flagged rows (infinite when
        there is none). With ``threshold="auto"`` a row above it may be unflagged, since
        the rule looks at its predicted class too.

    label_quality_ : ndarray of shape (n_samples,)
        Out-of-sample probability of the given label; for real targets the two-sided
        p-value of the residual by the law of honest ones (with a ranker, of the deleted
        studentised residual), NaN where the ranker has no
        leave-one-out predictions of them. A ranker of least squares on
        classes has no probabilities; the posterior under unit normal errors around its
        -1/+1 codes stands in.

    suggested_labels_ : ndarray of shape (n_samples,)
        What each row should be called: the likeliest class, what the given label
        mostly stands for known too; else what the model that never saw it predicts.

    sample_indices_ : ndarray of shape (n_samples,)
        Row that `fit_transform` puts in each row's place: itself when kept, else a
        kept row of the same given label. Classification only.

    n_features_in_ : int
        Number of features seen during `fit`, when X is a table.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`, when X has names that are all strings.

    See Also
    --------
    FilteredClassifier : Drops flagged rows inside `fit`, as the last step.
    FilteredRegressor : The same for real targets.
    MislabelSampler : Drops or relabels rows in imbalanced-learn's Pipeline.

    References
    ----------
    .. [1] Efron, B. (2008). Microarrays, empirical Bayes and the two-groups model.
       Statistical Science 23, 1-22.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.filtering import MislabelFilter
    >>> X, y = load_iris(return_X_y=True)
    >>> y[[3, 60]] = 2, 0
    >>> mislabel_filter = MislabelFilter(contamination=2 / 150, random_state=0)
    >>> X_kept = mislabel_filter.fit_transform(X, y)
    >>> np.flatnonzero(~mislabel_filter.get_support())
    array([ 3, 60])
    >>> y[[3, 60]], mislabel_filter.suggested_labels_[[3, 60]]
    (array([2, 0]), array([0, 1]))
    >>> bool(np.all(y[mislabel_filter.sample_indices_] == y))
    True
    """

    _takes_dask = frozenset({"fit"})

    # Said here too: an unknown argument is refused in the name of this class.
    def __init__(
        self,
        ranker: Any = None,
        *,
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
        X : {array-like, sparse matrix, dask array} of shape (n_samples, n_features)
            Training rows: whatever the ranker's estimator takes, text included. A
            dask array is judged where its chunks lie, by the votes "linear" and
            "kernel" of the filter's own pool.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the ranker's fit.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that folds keep together: those of `cv`, or the five that
            an estimator in the ranker's place is fitted without.

        Returns
        -------
        self : object
            The fitted filter.
        """
        super().fit(X, y, sample_weight, groups)
        vars(self).pop("sample_indices_", None)
        if self._classes is not None and self._along is None:
            self.sample_indices_ = assign_donors(
                self._support, self._given_labels, self.random_state, self._in_use
            )
        return self

    def fit_transform(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Any:
        """Fit, and put a kept row of the same label in each flagged row's place.

        Differs from ``fit(X, y).transform(X)`` wherever a row is flagged.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,)
            Given labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the ranker's fit.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that folds keep together: those of `cv`, or the five that
            an estimator in the ranker's place is fitted without.

        Returns
        -------
        X_filtered : {array-like, sparse matrix} of shape (n_samples, n_features)
            Row i is ``X[sample_indices_[i]]``, in the container that X came in. A
            pandas table keeps its index, which is that of y.
        """
        self.fit(X, y, sample_weight, groups)
        if self._classes is None:
            raise ValueError(
                "MislabelFilter.fit_transform is for classification: a transformer "
                "cannot change y, so a wrong real target would stay in its place. Use "
                "FilteredRegressor(estimator, filter=MislabelFilter()) as the last "
                "step, or MislabelSampler in an imblearn.pipeline.Pipeline."
            )
        X_filtered = _safe_indexing(as_rows(self, X), self.sample_indices_)
        if hasattr(X, "iloc"):
            # Donors take the slot they fill, and y and its index stay with the slots.
            X_filtered.index = X.index
        return X_filtered

    def transform(self, X: Rows) -> Any:
        """Return new rows untouched.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows that were not trained on.

        Returns
        -------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            The same rows.
        """
        check_is_fitted(self)
        X = check_new_rows(self, X, self._model)
        if not hasattr(X, "columns"):
            return X
        # Later steps that were fitted on an array get arrays. Tables are copied (their
        # columns are shared), since set_output renames what is returned here in place.
        return copy(X) if self._seen_table else np.asarray(X)
