"""A fitted head as influence is read off it where its rows lie: block by block.

Every answer about training rows is a function of a `HeadReading` to numbers along its
rows. Put on a block, the head is such a reading, so that the same functions answer for
all rows of a source, and their answers are as lazy as the source's.
"""

from dataclasses import dataclass, field
from threading import RLock

import numpy as np

from sklinfluence._removal._fitted_head import FittedHead
from sklinfluence._removal._one_row import remove_each
from sklinfluence._removal._reading import HeadReading, LeftOut, computed_once
from sklinfluence._removal._refine import Refined
from sklinfluence._source import ONE_NUMBER, sums


class _OnBlock(HeadReading):
    """A reading on a block of rows; where it runs nobody reads warnings."""

    @computed_once
    def left_out(self):
        return LeftOut(remove_each(self.fitted, quiet=True), Refined())


def _on(template, objective):
    """The reading of a template on a block's rows."""
    template.fitted.state.prepare()
    return _OnBlock(
        template.fitted.on(objective),
        template.head,
        template.method,
        template.normalize,
        dtype=template.dtype,
        sample_weight=objective.sample_weight,
        n_jobs=1,
    )


@dataclass(frozen=True, eq=False)
class BlockReading:
    """A linear head factored at its optimum on the rows of a source.

    Attributes
    ----------
    fitted : FittedHead
        Its objective is a `ReducedObjective`: no row is in it.
    head, method, normalize, dtype
        As `HeadReading` has them.
    """

    fitted: FittedHead
    head: object
    method: str = "influence"
    normalize: str | None = None
    dtype: object = np.float64
    _kept: dict = field(default_factory=dict, init=False, repr=False)
    _lock: object = field(default_factory=RLock, init=False, repr=False)

    refine = index = n_jobs = None

    def __getattr__(self, name):
        # What a reading of rows at hand has, and this one is asked for.
        if name.startswith("_") or not (
            hasattr(HeadReading, name) or name in HeadReading.__dataclass_fields__
        ):
            raise AttributeError(name)
        self.refuse_blocks(f"What each row is without, reading_.{name},")

    def __getstate__(self):
        return {name: part for name, part in vars(self).items() if name != "_lock"}

    def __setstate__(self, state):
        vars(self).update(state, _lock=RLock())

    @property
    def rows(self):
        return self.fitted.objective.rows

    @property
    def n_rows(self):
        return self.fitted.n_rows

    @property
    def uses_curvature(self):
        return self.method != "grad_dot"

    @property
    def values_per_query(self):
        """Numbers that a query takes while it is worked on: of the largest block."""
        return 4 * max(max(self.rows.source.sizes), self.fitted.theta.size)

    def refuse_blocks(self, what):
        """A ValueError: what is asked needs all training rows in memory."""
        raise ValueError(
            f"{what} needs the training rows in memory, and this ranker was fitted on "
            "a dask array, whose rows stay where they are. Fit it on an array of the "
            "rows in question."
        )

    @computed_once
    def template(self):
        """What every block needs to be read, shared with all workers."""
        return self.rows.share(self.without_rows())

    without_rows = HeadReading.without_rows
    queries = HeadReading.queries

    def by_row(self, function, *args, output=None):
        """``function(reading, *args)`` along all rows, lazy."""
        (lazy,) = self._map((function,), args, (output or ONE_NUMBER,))
        return lazy

    def answer(self, function, together):
        """``function(reading)`` along all rows, lazy, in one pass with others.

        Parameters
        ----------
        function : callable
        together : dict
            Functions to their `Output`, this one among them.
        """
        self.fitted.refuse_without_blocks(f"{function.__name__.strip('_')}")
        functions = tuple(together)
        with self._lock:
            if functions not in self._kept:
                outputs = tuple(together.values())
                self._kept[functions] = self._map(functions, (), outputs)
            return self._kept[functions][functions.index(function)]

    def _map(self, functions, args, outputs):
        return self.rows.map(_Answers(functions), self.template, *args, outputs=outputs)

    def strongest(self, function, n, by, *args):
        """The n strongest of scores ``function(reading, *args)``, (m, n_rows)."""
        return self.rows.top(_Answer(function), n, self.template, *args, by=by)

    def weighted_mean(self, function):
        """As `HeadReading.weighted_mean`, evaluated."""
        self.fitted.refuse_without_blocks("leave-one-out")
        parts = self.rows.reduce(_Answer(_weighted_sum), sums, self.template, function)
        total, weight = parts
        return total / weight if weight > 0 else np.nan

    def ranked(self, values):
        """As `HeadReading.ranked`, along all rows."""
        return self.rows.source.ranked(values)


def _weighted_sum(reading, function):
    """Sums of weight times value, and of weights, of rows that have a value."""
    values, weights = function(reading), reading.sample_weight
    weights = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & (weights > 0)
    return float(weights[known] @ values[known]), float(weights[known].sum())


class _Answers:
    """Functions of a reading as one of a block's objective."""

    def __init__(self, functions):
        self.functions = functions
        self.__name__ = functions[0].__name__.strip("_")

    def __call__(self, objective, template, *args):
        reading = _on(template, objective)
        return tuple(function(reading, *args) for function in self.functions)


class _Answer(_Answers):
    def __init__(self, function):
        super().__init__((function,))

    def __call__(self, *given):
        return super().__call__(*given)[0]
