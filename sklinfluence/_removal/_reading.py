"""A fitted head as influence is read off it: a frozen value with lazy parts."""

from dataclasses import dataclass, field, replace
from functools import update_wrapper
from threading import RLock
from typing import NamedTuple

import numpy as np

from sklinfluence._progress import untracked
from sklinfluence._removal._active_set import changes_of_active_set
from sklinfluence._removal._embedding import check_embedding
from sklinfluence._removal._error_bound import newton_error_bound
from sklinfluence._removal._fitted_head import FittedHead
from sklinfluence._removal._normalize import train_scale
from sklinfluence._removal._one_row import Removal, remove_each
from sklinfluence._removal._queries import Queries
from sklinfluence._removal._refine import Refined, refine
from sklinfluence._removal._together import remove_together
from sklinfluence._top_n import strongest_columns
from sklinfluence._valuer import ranks


class computed_once:
    """A property that is computed when first asked for, once, and kept.

    `functools.cached_property` has no lock since Python 3.12, and before it has one
    for all values of a class. This one takes the lock of the value, ``_lock``: two
    threads that ask one value compute once, and two values do not wait for each other.
    Reentrant, since parts are computed from parts.
    """

    def __init__(self, compute):
        self.compute = compute
        update_wrapper(self, compute)

    def __get__(self, value, owner=None):
        if value is None:
            return self
        name, kept = self.compute.__name__, vars(value)
        with value._lock:
            # What is kept stands before this descriptor from then on, without a lock.
            if name not in kept:
                kept[name] = self.compute(value)
            return kept[name]


class LeftOut(NamedTuple):
    """What leaving out each training row gave, and further steps for some of them."""

    removal: Removal
    refined: Refined


def leave_each_out(fitted, tol=None, n_jobs=None, each=untracked):
    """The pass over all rows, and the refinement where it is asked for.

    Parameters
    ----------
    fitted : FittedHead
    tol : float, default=None
        As in `refine`; None for one step a row.
    n_jobs : int, default=None
        Threads that share the rows.
    each : callable, default=untracked
        Reports progress: `FitTracker.each`.

    Returns
    -------
    left_out : LeftOut
    """
    return refined_from(fitted, remove_each(fitted, n_jobs, each), tol, n_jobs, each)


def refined_from(fitted, removal, tol=None, n_jobs=None, each=untracked):
    """`leave_each_out` where the pass is done."""
    if tol is None:
        return LeftOut(removal, Refined())
    return LeftOut(removal, refine(fitted, removal, tol, n_jobs, each))


def leave_together(reading, copies):
    """The reading in which training rows leave with their copies, in one step each.

    Parameters
    ----------
    reading : HeadReading
    copies : Copies

    Returns
    -------
    reading : HeadReading
    """
    removal = remove_together(reading.fitted, reading.removal, copies)
    given = LeftOut(removal, Refined())
    return replace(reading, given=given, method="influence", normalize=None)


@dataclass(frozen=True, eq=False)
class HeadReading:
    """A linear head factored at its optimum, and how influence is read off it.

    Every answer of a ranker is a function of this value and of queries. Nothing in it
    changes once it is there: another damping is another reading, made by
    :func:`dataclasses.replace`.

    Attributes
    ----------
    fitted : FittedHead
        The head at its optimum on the training rows, its Hessian factored there.
    head : LinearHead
        The head with these parameters: how rows are embedded and targets encoded.
    method : {"influence", "newton", "grad_dot"}
    normalize : {"theta", "loss", "gradient", "cosine"} or None
    refine : float or None
        In nats, where rows are taken to their optimum by further steps.
    dtype : dtype
        Of the training embedding, and so of what is said about training rows.
    sample_weight : ndarray of shape (n_train,) or None
        As `fit` was given them: weights of classes are not among them.
    index : pandas.Index or None
        What the training rows were called.
    n_jobs : int or None
        Threads that share the training rows.
    given : LeftOut or None
        What `left_out` is, where that is known already.
    scale : ndarray of shape (n_train,) or None
        What each row's influence is multiplied by; None for no normalisation.
    """

    fitted: FittedHead
    head: object
    method: str = "influence"
    normalize: str | None = None
    refine: float | None = None
    dtype: object = np.float64
    sample_weight: np.ndarray | None = None
    index: object = None
    n_jobs: int | None = None
    given: LeftOut | None = field(default=None, repr=False)
    scale: np.ndarray | None = field(default=None, init=False, repr=False)
    _lock: object = field(default_factory=RLock, init=False, repr=False)

    def __post_init__(self):
        vars(self)["scale"] = train_scale(self)

    def __getstate__(self):
        # A lock is of this process.
        with self._lock:
            return {name: part for name, part in vars(self).items() if name != "_lock"}

    def __setstate__(self, state):
        vars(self).update(state, _lock=RLock())

    @property
    def uses_curvature(self):
        return self.method != "grad_dot"

    @property
    def n_rows(self):
        return self.fitted.n_rows

    @property
    def values_per_query(self):
        """Numbers that a query takes while it is worked on."""
        return 4 * self.n_rows

    def without_rows(self):
        """The reading as queries need it, to be sent to where they are."""
        parts = (self.fitted.without_rows(), self.head, self.method, self.normalize)
        return ReadingWithoutRows(*parts, self.dtype)

    def refuse_blocks(self, what):
        """All training rows are at hand: nothing is refused."""

    def by_row(self, function, *args, output=None):
        """``function(reading, *args)``: numbers along the training rows.

        Here the reading is of all of them; of rows on a cluster each block has one.
        """
        return function(self, *args)

    def answer(self, function, together):
        """``function(reading)``, one of those that are had in one pass."""
        return function(self)

    def strongest(self, function, n, by, *args):
        """The n strongest of scores ``function(reading, *args)``, (m, n_rows).

        Returns
        -------
        values, rows : ndarray of shape (m, n)
        """
        return strongest_columns(function(self, *args), n, by)

    def weighted_mean(self, function):
        """Mean of ``function(reading)`` over the rows that have a weight, and a value.

        Weighted by ``sample_weight``.
        """
        values, weights = function(self), self.sample_weight
        weights = np.ones(len(values)) if weights is None else weights
        known = ~np.isnan(values) & (weights > 0)
        if not known.any():
            return np.nan
        # Of extreme weights the sum may overflow where their mean does not.
        weights = weights[known] / np.max(weights[known])
        return float(np.average(values[known], weights=weights))

    def ranked(self, values):
        """Rank of each row, 1 for the largest value; what is NaN comes first."""
        return ranks(-np.nan_to_num(values, nan=np.inf))

    @computed_once
    def left_out(self):
        """`LeftOut`; a solver without a factor pays a solve a row for it."""
        if self.given is not None:
            return self.given
        return leave_each_out(self.fitted, self.refine, self.n_jobs)

    @property
    def removal(self):
        """Leave-one-out quantities of all rows, by one step or, refined, exact."""
        return self.left_out.removal

    @property
    def refined(self):
        """Rows whose optimum without them was found."""
        return self.left_out.refined

    @property
    def leaving(self):
        """c_i, where row i's leaving moves the parameters by H^+ (c_i (x) x_i)."""
        return self.fitted.objective.weights[:, None] * self.removal.residual

    @computed_once
    def active_set_changes(self):
        """Whether a row's leaving changes the active set of an l1 head, (n_train,)."""
        if self.head.l1 is None:
            return np.zeros(len(self.fitted.raw), dtype=bool)
        return changes_of_active_set(self.fitted, self.leaving)

    @computed_once
    def error_bound(self):
        """What one step may leave of each row's leave-one-out logits, (n_train,)."""
        bound = newton_error_bound(self.fitted, self.removal, self.n_jobs)
        # One Newton step on the active set says nothing of rows that change it.
        bound[self.active_set_changes] = np.inf
        return bound

    def queries(self, X, y=None):
        """Rows that are asked about; without y, of the model's own prediction."""
        targets = None if y is None else self.head.encode(y)
        return Queries.at(self.fitted, check_embedding(self.head.embed(X)), targets)


@dataclass
class ReadingWithoutRows:
    """A reading as it is sent: to be put on rows, or asked about queries.

    Attributes
    ----------
    fitted : FittedHead
        Without rows.
    head, method, normalize, dtype
        As `HeadReading` has them.
    """

    fitted: FittedHead
    head: object
    method: str
    normalize: str | None
    dtype: object

    n_jobs = 1  # Who it is sent to has others beside it.
    uses_curvature = HeadReading.uses_curvature
    queries = HeadReading.queries
