"""Folds that hold every row out once, where the user's splitter says no other."""

import warnings
from functools import partial
from numbers import Integral

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, check_cv

from sklinfluence._estimators import check_folds

N_FOLDS = 5


def training_folds(
    cv, X, y, groups, in_use, random_state, *, is_classification, copies=None
):
    """Pairs of training and test rows, among the rows in use.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        None: five shuffled folds, stratified for classes; of whole groups where those
        are given.
    X : rows
        All of them, as splitters see them.
    y : ndarray of shape (n_samples,)
    groups : array-like of shape (n_samples,) or None
    in_use : ndarray of shape (n_samples,), dtype=bool
    random_state : RandomState
    is_classification : bool
    copies : Copies, default=None
        Rows that no fold parts.

    Returns
    -------
    folds : list of (train, test)
        Numbers among the rows in use. A fold that lacks one or the other is left out.
    """
    used = np.flatnonzero(in_use)
    place = np.full(len(y), -1)
    place[used] = np.arange(len(used))
    if cv is None and groups is None:
        among = None if copies is None else copies.take(used)
        own = partial(_own_folds, random_state, is_classification)
        return own(y[used]) if among is None else list(_of_groups(own, y[used], among))
    if cv is None:
        groups = joined(groups, copies)
        cv = GroupKFold(min(N_FOLDS, _n_groups(groups, copies)))
    pairs = splits(cv, X, y, groups, is_classification, copies)
    folds = [tuple(_placed(place, part) for part in pair) for pair in pairs]
    folds = [(train, test) for train, test in folds if len(train) and len(test)]
    if not folds:
        raise ValueError(
            f"No fold of cv={cv!r} leaves rows of positive weight on both of its sides "
            f"(there are {len(used)}). Use folds of other rows, or more rows."
        )
    return folds


def splits(cv, X, y, groups, is_classification, copies=None):
    """The pairs of a splitter, a number of folds, or an iterable of pairs.

    A number means so many folds of distinct rows, each with its copies. Folds of the
    user's own stay as they are, and what is trained on loses the copies.
    """
    if copies is not None and isinstance(cv, Integral):
        return _of_groups(partial(_even, cv, is_classification), y, copies)
    pairs = check_folds(cv, y, is_classification).split(X, y, groups)
    if copies is None:
        return pairs
    return ((copies.apart(train, test), test) for train, test in pairs)


def joined(groups, copies):
    """Groups of rows that leave together: those that share a copy are one.

    Parameters
    ----------
    groups : array-like of shape (n_rows,) or None
    copies : Copies or None

    Returns
    -------
    groups : array of shape (n_rows,) or None
        As they came, where either is None.
    """
    if groups is None or copies is None:
        return groups
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    n_groups, n_rows = codes.max() + 1, len(codes)
    n_nodes = n_groups + copies.of_rows.max() + 1
    ends = codes, n_groups + copies.of_rows
    graph = sparse.coo_array((np.ones(n_rows), ends), shape=(n_nodes, n_nodes))
    return connected_components(graph, directed=False)[1][codes]


def _of_groups(fold, y, copies):
    """Folds of one row for each group of copies, the first, as folds of all rows."""
    group = copies.of_rows
    for pair in fold(y[np.unique(group, return_index=True)[1]]):
        yield tuple(np.flatnonzero(np.isin(group, part)) for part in pair)


def _even(n_folds, is_classification, y):
    if len(y) < n_folds:
        raise ValueError(
            f"cv={n_folds} needs as many rows that are no copies of one another, and "
            f"there are {len(y)}. Use fewer folds, or duplicates=None if equal rows "
            "are cases of their own."
        )
    return check_cv(n_folds, y, classifier=is_classification).split(y, y)


def _own_folds(random_state, is_classification, y):
    if len(y) < 2:
        raise ValueError(
            f"Rows are held out by folds, and there is {len(y)} row of positive "
            "weight (n_samples=1). Two are the least."
        )
    n_folds = min(N_FOLDS, len(y))
    if not is_classification:
        return list(KFold(n_folds, shuffle=True, random_state=random_state).split(y))
    n_rows = np.unique(y, return_counts=True)[1]
    # Fewer folds than the largest class has rows: scikit-learn could not stratify.
    n_folds = max(2, min(n_folds, n_rows.max()))
    if n_folds > n_rows.max():  # every class has one row
        return list(KFold(2, shuffle=True, random_state=random_state).split(y))
    return list(_stratified(y, n_folds, random_state))


def _stratified(y, n_folds, random_state):
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    # Of classes of fewer rows than folds it warns; some folds hold none of them.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        yield from splitter.split(y, y)


def _placed(place, part):
    part = np.asarray(part)
    rows = np.flatnonzero(part) if part.dtype == bool else part
    return place[rows][place[rows] >= 0]


def _n_groups(groups, copies):
    n_groups = len(np.unique(np.asarray(groups)))
    if n_groups < 2 and copies is not None:
        raise ValueError(
            "groups holds one group, or copies of rows join them all: no model can be "
            "fitted without it. Rows are held out by whole groups, of which two are "
            "the least. Set duplicates=None if equal rows are cases of their own."
        )
    if n_groups < 2:
        raise ValueError(
            "groups holds one group: no model can be fitted without it. Rows are held "
            "out by whole groups, of which two are the least."
        )
    return n_groups
