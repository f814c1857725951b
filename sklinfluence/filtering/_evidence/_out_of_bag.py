"""Evidence from those members of a bootstrap ensemble that did not draw the row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import BaseDecisionTree

from sklinfluence._estimators import Copies, fit_weighted, takes_weights
from sklinfluence._sklearn_compat import _safe_indexing, draws_by_weight
from sklinfluence.filtering._evidence._class_columns import fit_classes
from sklinfluence.filtering._evidence._soft_labels import is_hard, repeated
from sklinfluence.filtering._evidence._steps import (
    see_targets,
    split_steps,
    transformed,
)
from sklinfluence.filtering._noise import LOG_TINY
from sklinfluence.filtering._votes import ForestVote, LeafMeans

# Members that must not have drawn a row, for their mean to speak of it.
MIN_OUT_OF_BAG = 10
# Others that have the attribute may draw rows that it does not tell of.
_ENSEMBLES = (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def out_of_bag(estimator, sample, classes=None):
    """Out-of-bag votes, where an ensemble has enough of them for every row.

    Parameters
    ----------
    estimator : estimator
    sample : Sample
    classes : ndarray of shape (K,) or None
        None: real targets.

    Returns
    -------
    votes : evidence or None
        None: it is no such ensemble, fewer than 10 members have drawn neither some
        row nor any of its copies, or its rows were made with y.
    """
    steps, last = split_steps(estimator)
    if type(last) not in _ENSEMBLES or not _may_suffice(last):
        return None
    if see_targets(steps, sample.X, sample.y):
        return None
    model = fit_weighted(clone(estimator), sample.X, sample.y, sample.sample_weight)
    steps, ensemble = split_steps(model)
    bag = Bag(steps, ensemble, draws(ensemble, len(sample)), sample.copies)
    if np.count_nonzero(bag.is_out, axis=1).min() < MIN_OUT_OF_BAG:
        return None
    if classes is None:
        return OutOfBagTargets(estimator, sample, model, bag)
    if all(isinstance(tree, BaseDecisionTree) for tree in ensemble.estimators_):
        return OutOfBagLeaves(sample, model, bag)
    return OutOfBagMembers(sample, model, bag, len(classes))


def _may_suffice(ensemble):
    """Whether there may be members enough, before any is fitted."""
    is_whole = not ensemble.bootstrap and getattr(ensemble, "max_samples", 1.0) in (
        None,
        1.0,
    )
    return ensemble.n_estimators >= MIN_OUT_OF_BAG and not is_whole


def draws(ensemble, n_rows):
    """How often every member drew every row, (n_rows, n_members)."""
    # Once: the attribute draws all samples anew whenever it is read.
    samples = ensemble.estimators_samples_
    counts = [np.bincount(drawn, minlength=n_rows) for drawn in samples]
    return np.array(counts, dtype=np.int32).T


@dataclass(frozen=True)
class Bag:
    """A fitted ensemble, and which member drew which row.

    Attributes
    ----------
    steps : list of fitted transformers
        What rows pass before they reach it.
    ensemble : estimator
    counts : ndarray of shape (n, n_members), int
    copies : Copies or None
    """

    steps: list
    ensemble: object
    counts: np.ndarray
    copies: Copies | None = None

    @cached_property
    def is_out(self):
        """Members that drew neither the row nor a copy of it, (n, n_members)."""
        is_out = self.counts == 0
        return is_out if self.copies is None else self.copies.all_of(is_out)

    def members(self, X):
        """Each member, its row counts, and the rows as it reads them."""
        X = transformed(self.steps, X)
        # Members read arrays, whatever the ensemble was given.
        X = X if sparse.issparse(X) else np.asarray(X)
        members = self.ensemble.estimators_
        columns = getattr(self.ensemble, "estimators_features_", [None] * len(members))
        for member, counts, at in zip(members, self.counts.T, columns, strict=True):
            yield member, counts, X if at is None else X[:, at]

    def leaves(self, X):
        """The leaf in which every tree puts every row, (n_rows, n_members)."""
        return np.column_stack([tree.apply(rows) for tree, _, rows in self.members(X)])


class OutOfBagLeaves(ForestVote):
    """Votes of trees that did not draw the row: means of labels in their leaves.

    Parameters
    ----------
    sample : Sample
    model : estimator
        Fitted: what ends in the ensemble.
    bag : Bag
        Of trees.
    """

    evidence = "out-of-bag"
    takes_soft = True

    def __init__(self, sample, model, bag):
        self.model = model
        self.unheard = np.zeros(len(sample), dtype=bool)
        # Of a newer scikit-learn the draws have the weights in them.
        weight = None if draws_by_weight(bag.ensemble) else sample.sample_weight
        leaves = bag.leaves(sample.X)
        means = LeafMeans(leaves, bag.counts, bag.is_out, weight)
        super().__init__(bag.leaves, means)


class OutOfBagMembers:
    """Votes of members of any kind that did not draw the row.

    For soft labels each is fitted again, on the rows that it drew, if it takes weights.
    """

    evidence = "out-of-bag"

    def __init__(self, sample, model, bag, n_classes):
        self.sample = sample
        self.model = model
        self.bag = bag
        self.n_classes = n_classes
        self.unheard = np.zeros(len(sample), dtype=bool)
        self.takes_soft = all(map(takes_weights, bag.ensemble.estimators_))
        self._said = None

    def refit(self, targets):
        """Fit the members to class memberships (n, K).

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        model : MemberModel
        """
        if self._said is not None and not self.takes_soft:
            return self._said
        total, n_out = np.zeros(targets.shape), np.zeros(len(targets))
        fitted = []
        for (member, counts, rows), is_out in zip(
            self.bag.members(self.sample.X), self.bag.is_out.T, strict=True
        ):
            model = self._fitted(member, rows, counts, targets)
            out = np.flatnonzero(is_out)
            total[out] += np.exp(model.predict_log_proba(_safe_indexing(rows, out)))
            n_out[out] += 1
            fitted.append(model)
        said = _log(total / n_out[:, np.newaxis])
        self._said = said, MemberModel(self.bag, fitted)
        return self._said

    def _fitted(self, member, X, counts, targets):
        drawn = np.flatnonzero(counts)
        labels, weight = targets[drawn], counts[drawn].astype(np.float64)
        if not self.takes_soft:
            drawn = np.repeat(drawn, counts[drawn])
            labels, weight = targets[drawn], None
        classes = np.arange(self.n_classes)
        if is_hard(labels):
            rows, codes = drawn, labels.argmax(axis=1)
        else:
            rows, codes, weight = repeated(labels, weight)
            rows = drawn[rows]
        return fit_classes(member, _safe_indexing(X, rows), codes, classes, weight)


@dataclass(frozen=True)
class MemberModel:
    """The mean of all members."""

    bag: Bag
    models: list

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K)."""
        said = [
            np.exp(model.predict_log_proba(rows))
            for model, (_, _, rows) in zip(
                self.models, self.bag.members(X), strict=True
            )
        ]
        return _log(np.mean(said, axis=0))


class OutOfBagTargets:
    """Mean prediction of real targets by the members that did not draw the row."""

    evidence = "out-of-bag"

    def __init__(self, estimator, sample, model, bag):
        self.estimator = estimator
        self.sample = sample
        self.model = model
        self.bag = bag

    def refit(self, kept):
        """Fit on some of the rows; the others count as drawn by nobody.

        Returns
        -------
        prediction : ndarray of shape (n,)
        model : estimator
        """
        model, bag = self.model, self.bag
        if not kept.all():
            rows = np.flatnonzero(kept)
            X, weight = self.sample.rows(rows)
            model = fit_weighted(clone(self.estimator), X, self.sample.y[rows], weight)
            steps, ensemble = split_steps(model)
            counts = np.zeros_like(bag.counts)
            counts[rows] = draws(ensemble, len(rows))
            bag = Bag(steps, ensemble, counts, bag.copies)
        total, n_out = np.zeros(len(kept)), np.zeros(len(kept))
        for (member, _, rows), is_out in zip(
            bag.members(self.sample.X), bag.is_out.T, strict=True
        ):
            out = np.flatnonzero(is_out)
            total[out] += member.predict(_safe_indexing(rows, out))
            n_out[out] += 1
        with np.errstate(invalid="ignore"):
            return total / n_out, model


def _log(proba):
    return np.maximum(np.log(np.maximum(proba, 1e-300)), LOG_TINY)
