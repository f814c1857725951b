"""Label flips: uniform, by class, and by how ambiguous a row is."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length, check_random_state

from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import Interval, StrOptions, validate_params
from sklinfluence._typing import RandomState, Rows
from sklinfluence.datasets._rows import check_labels, take_labels

# Entries up to which sparse features are made dense: 80 MB.
_MAX_DENSE = 10**7


@validate_params(
    {
        "y": ["array-like"],
        "rate": [Interval(Real, 0, 1, closed="left"), None],
        "kind": [StrOptions({"uniform", "class", "instance"})],
        "X": ["array-like", "sparse matrix", None],
        "transition": ["array-like", None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def flip_labels(
    y: ArrayLike,
    rate: float | None = None,
    *,
    kind: Any = "uniform",
    X: Rows | None = None,
    transition: ArrayLike | None = None,
    random_state: RandomState = None,
) -> tuple[Any, NDArray]:
    """Give some rows a wrong label and say which.

    A flipped row never keeps its label, and every label it may get stands in `y`
    already. How many rows are flipped is exact and does not vary with the seed;
    which ones, and to what, does.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels of any kind, taken to be right.

    rate : float in [0, 1), default=None
        Share of rows to flip. Needed unless `transition` is given.

    kind : {'uniform', 'class', 'instance'}, default='uniform'
        What decides which rows are flipped:

        - 'uniform': nothing does. ``round(rate * n_samples)`` rows, any row as likely
          as any other, to any other class with equal chance.
        - 'class': the row's class. Of every class ``round(rate * n_rows_of_it)`` rows
          go to the class that follows in sorted order (the last to the first), or
          wherever `transition` sends them.
        - 'instance': how ambiguous the row is. ``round(rate * n_samples)`` rows are
          drawn with chances proportional to the probability that a
          cross-validated logistic regression on `X` gives to all other classes; the
          new label is drawn by those probabilities. Errors then gather at the
          decision boundary, as human errors do.

    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Numeric features, for ``kind='instance'`` only. A sparse matrix of more than
        ten million entries, zeros counted, is not centred: the optimum is the same,
        but where the fit stops is not, and a flip or two may differ from those of its
        dense form.

    transition : array-like of shape (n_classes, n_classes), default=None
        For ``kind='class'``: the probability of every given label (column) for each
        true label (row), classes in sorted order, rows summing to 1. The diagonal is
        the share that stays, so `rate` must be left out. Counts follow the matrix as
        closely as whole rows can.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    y_noisy : array-like of shape (n_samples,)
        The labels after the flips, in the container of `y` (a pandas Series keeps its
        index, name and dtype).

    is_flipped : ndarray of shape (n_samples,), dtype=bool
        Which rows are mislabelled now.

    See Also
    --------
    corrupt_targets : The same for real targets.
    add_backdoor : Wrong labels that come with a mark on the row.

    Examples
    --------
    >>> from sklinfluence.datasets import flip_labels
    >>> y = ["cat", "dog", "owl"] * 4
    >>> y_noisy, is_flipped = flip_labels(y, 0.25, random_state=0)
    >>> is_flipped.sum()
    np.int64(3)
    >>> [(y[i], y_noisy[i]) for i in is_flipped.nonzero()[0]]
    [('dog', 'owl'), ('cat', 'dog'), ('owl', 'cat')]
    """
    labels = check_labels(y)
    classes, codes = np.unique(labels, return_inverse=True)
    _check_request(classes, rate, kind, X, transition)
    rng = check_random_state(random_state)
    if kind == "uniform":
        new_codes = _flip_uniform(codes, len(classes), rate, rng)
    elif kind == "class":
        if transition is None:
            transition = _to_next_class(len(classes), rate)
        transition = _check_transition(transition, len(classes))
        new_codes = _flip_by_class(codes, transition, rng)
    else:
        X = _check_features(X)
        check_consistent_length(X, labels)
        new_codes = _flip_by_ambiguity(X, codes, rate, rng)
    is_flipped = new_codes != codes
    first_row = np.unique(codes, return_index=True)[1]
    source = np.where(is_flipped, first_row[new_codes], np.arange(len(codes)))
    return take_labels(y, source), is_flipped


def _check_request(classes, rate, kind, X, transition):
    """Refuse what cannot be done, and arguments that would have no effect."""
    if len(classes) < 2:
        raise ValueError(
            "flip_labels needs at least two classes to flip between; y has only "
            f"{shown(classes)}."
        )
    if transition is not None and kind != "class":
        raise ValueError(
            f"transition is used by kind='class' only, and kind is {kind!r}."
        )
    if transition is not None and rate is not None:
        raise ValueError(
            "Give either rate or transition: the diagonal of transition already says "
            "what share of each class stays."
        )
    if transition is None and rate is None:
        raise ValueError(
            "rate is missing: the share of rows to flip, a number in [0, 1)."
        )
    if kind == "instance" and X is None:
        raise ValueError("kind='instance' needs X, by which rows are ambiguous or not.")
    if kind != "instance" and X is not None:
        raise ValueError(f"X is used by kind='instance' only, and kind is {kind!r}.")


def _check_features(X):
    """Finite numbers, in units whose squares are numbers too."""
    X = check_array(X, accept_sparse="csr", dtype=np.float64, input_name="X")
    if sparse.issparse(X) and X.shape[0] * X.shape[1] <= _MAX_DENSE:
        X = X.toarray()
    largest = abs(X).max(axis=0)
    largest = np.ravel(largest.toarray() if sparse.issparse(largest) else largest)
    beyond = (largest > 1e100) | ((largest < 1e-100) & (largest > 0))
    if not beyond.any():
        return X
    unit = np.where(beyond, largest, 1.0)
    # Two steps, since the inverse of the smallest numbers is none.
    root = sparse.diags_array(1.0 / np.sqrt(unit))
    scaled = X @ root @ root
    return scaled.tocsr() if sparse.issparse(scaled) else scaled


def _check_transition(transition, n_classes):
    try:
        transition = np.asarray(transition, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"transition must be a matrix of numbers: {error}.") from error
    if transition.shape != (n_classes, n_classes):
        raise ValueError(
            f"transition must have shape ({n_classes}, {n_classes}), a row and a "
            f"column for every class of y; got {transition.shape}."
        )
    # Written so that NaN fails too. 1e-8: probabilities typed in or normalised once.
    is_share = (transition >= 0) & (transition <= 1 + 1e-8)
    if not (is_share.all() and np.allclose(transition.sum(1), 1, atol=1e-8)):
        raise ValueError(
            "Every row of transition must be a distribution: no negative entries, sum "
            f"1. transition is {transition.tolist()}."
        )
    return transition


def _to_next_class(n_classes, rate):
    stays = np.eye(n_classes)
    return (1 - rate) * stays + rate * np.roll(stays, 1, axis=1)


def _flip_uniform(codes, n_classes, rate, rng):
    rows = rng.choice(len(codes), size=round(rate * len(codes)), replace=False)
    new_codes = codes.copy()
    # A step of 1 to n_classes - 1 around the circle reaches every class but the own.
    steps = rng.randint(1, n_classes, size=len(rows))
    new_codes[rows] = (codes[rows] + steps) % n_classes
    return new_codes


def _flip_by_class(codes, transition, rng):
    new_codes = codes.copy()
    for code, shares in enumerate(transition):
        rows = rng.permutation(np.flatnonzero(codes == code))
        counts = _apportion(len(rows), shares, keep=code)
        new_codes[rows] = np.repeat(np.arange(len(shares)), counts)
    return new_codes


def _apportion(total, shares, keep):
    """Split ``total`` into whole counts by the shares; ``keep`` is the class's own.

    How many leave is rounded first, so that the count flipped is the nearest to the
    rate; then they are dealt out by the largest remainder.
    """
    leaving = shares.copy()
    leaving[keep] = 0.0
    n_leaving = round(total * leaving.sum())
    counts = np.zeros(len(shares), dtype=int)
    if n_leaving:
        quotas = n_leaving * leaving / leaving.sum()
        counts = np.floor(quotas).astype(int)
        largest = np.argsort(counts - quotas, kind="stable")
        counts[largest[: n_leaving - counts.sum()]] += 1
    counts[keep] = total - n_leaving
    return counts


def _flip_by_ambiguity(X, codes, rate, rng):
    log_proba = _cross_validated_log_proba(X, codes, rng)
    # Wrong classes only; the floor keeps rows the model is certain of drawable, last.
    log_proba = np.maximum(log_proba, np.log(np.finfo(np.float64).tiny))
    log_proba[np.arange(len(codes)), codes] = -np.inf
    # Adding Gumbel noise to log weights and taking the largest draws by the weights:
    # the top k draws k rows without replacement, the top one draws one class.
    noisy = np.logaddexp.reduce(log_proba, axis=1) + rng.gumbel(size=len(codes))
    rows = np.argsort(-noisy, kind="stable")[: round(rate * len(codes))]
    noise = rng.gumbel(size=(len(rows), log_proba.shape[1]))
    new_codes = codes.copy()
    new_codes[rows] = np.argmax(log_proba[rows] + noise, axis=1)
    return new_codes


def _cross_validated_log_proba(X, codes, rng):
    smallest = np.bincount(codes).min()
    if smallest < 2:
        raise ValueError(
            "kind='instance' scores every row by a model fitted without it and needs "
            "two rows of each class; the smallest class has one."
        )
    # Centring would make a sparse matrix dense; the intercept takes the means up.
    scaler = StandardScaler(with_mean=not sparse.issparse(X))
    model = make_pipeline(scaler, LogisticRegression(max_iter=1000))
    # Five folds, as scikit-learn's default, or as many as the smallest class fills.
    cv = StratifiedKFold(min(5, smallest), shuffle=True, random_state=rng)
    # A probability of zero is as it should be: its logarithm gets a floor.
    with np.errstate(divide="ignore"):
        return cross_val_predict(model, X, codes, cv=cv, method="predict_log_proba")
