"""The training objective of rows that are reached block by block, wherever they lie.

Nothing here has a row: raw predictions, linear in the parameters, stand for the
parameters that they are of (`RawAt`) and are computed anew where the rows are. One pass
gives value, gradient and extremes at given parameters; it is kept until another is
asked for, since a line search ends where the next step begins.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from sklinfluence._source import largest, sums
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._hessian import Hessian
from sklinfluence.curvature._objective import Objective


class RawAt:
    """Raw predictions of all rows, known by the parameters that they are of.

    Attributes
    ----------
    theta : ndarray of shape (n_outputs, n_columns)
    """

    # Numbers of numpy's leave products with it to this class.
    __array_ufunc__ = None

    def __init__(self, theta):
        self.theta = theta

    def __add__(self, other):
        return RawAt(self.theta + other.theta)

    def __sub__(self, other):
        return RawAt(self.theta - other.theta)

    def __rmul__(self, factor):
        return RawAt(factor * self.theta)


class Elsewhere:
    """Stands for numbers along rows that are not here: what asks for them is told."""

    __array_ufunc__ = None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_):
        raise ValueError(
            "This needs the training rows in memory, and the ranker was fitted on a "
            "dask array, whose rows stay where they are. Fit it on an array of the "
            "rows in question."
        )

    __array__ = __len__ = __iter__ = __getitem__ = _refuse
    __mul__ = __rmul__ = __matmul__ = __rmatmul__ = __gt__ = __eq__ = _refuse
    __sub__ = __rsub__ = __add__ = __radd__ = _refuse
    __hash__ = object.__hash__


class ObjectiveRows:
    """Blocks of rows as objectives, with the losses of these rows and no penalty.

    Parameters
    ----------
    source : source of blocks
        As :mod:`sklinfluence._source` has it.
    recipe : callable
        A block to an `Objective` of its rows. It must pickle.
    """

    def __init__(self, source, recipe):
        self.source, self.recipe = source, recipe
        self.shared = source.share(recipe)

    def reduce(self, function, combine, *args, **sizes):
        """``combine`` of ``function(objective, *args)`` of all blocks."""
        return self.source.reduce(
            _OfBlock(function), combine, self.shared, *args, **sizes
        )

    def map(self, function, *args, outputs):
        """``function(objective, *args)``, a tuple of arrays, along all rows."""
        return self.source.map(_OfBlock(function), self.shared, *args, outputs=outputs)

    def top(self, function, n, *args, by="largest"):
        """The strongest of scores ``function(objective, *args)``, (m, n_block)."""
        return self.source.top(_OfBlock(function), n, self.shared, *args, by=by)

    def take(self, rows):
        """The objective of a few rows."""
        return self.recipe(self.source.take(rows))

    def share(self, thing):
        return self.source.share(thing)


class _OfBlock:
    """A function of a block's objective as one of the block."""

    def __init__(self, function):
        self.function = function

    @property
    def __name__(self):
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, block, recipe, *args):
        return self.function(recipe(block), *args)


@dataclass(frozen=True)
class ReducedObjective(Objective):
    """Objective of all rows of a source.

    ``targets`` and ``weights`` are where the rows are: `Elsewhere`.

    Attributes
    ----------
    rows : ObjectiveRows
    whole_loss : loss object
        Of all outputs, whatever ``loss`` sees of them.
    surveyed : dict
        What functions of all rows gave in the first pass, by the function.
    totals : dict
        ``weights``: sum of the row weights; ``targets``: their sum by output, each
        times the row's weight; ``n_weighted``: rows with a weight, of each block.
    """

    rows: object = None
    whole_loss: object = None
    surveyed: dict = field(default_factory=dict, repr=False, compare=False)
    totals: dict = field(default_factory=dict)
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    rows_at_hand = False

    def raw(self, theta):
        return RawAt(theta)

    def residual(self, raw):
        return Elsewhere()

    def turned(self, raw, change):
        return RawAt(change(raw.theta))

    def weight_sum(self):
        return self.totals["weights"]

    def target_sums(self):
        return self.totals["targets"]

    def reduced(self, function, combine, *args):
        if function in self.surveyed:
            return self.surveyed[function]
        return self.rows.reduce(function, combine, *args)

    def some_weighted(self, n):
        counts = self.totals["n_weighted"]
        n_weighted = int(counts.sum())
        n = min(n, n_weighted)
        wanted = np.linspace(0, n_weighted - 1, n).astype(int)
        before = np.append(0, np.cumsum(counts))
        held = np.searchsorted(before, wanted, side="right") - 1
        picked = self.rows.source.reduce(
            _pick_weighted, sums, self.rows.shared, wanted, counts, only=set(held)
        )
        return _together(self, picked)

    def taken(self, index):
        return self.rows.take(index)

    def value(self, theta, raw=None):
        value = self._pass_at(theta)["sums"]["value"] + 0.5 * np.sum(
            self.penalty * theta**2
        )
        if self.proximal:
            value += 0.5 * self.proximal * np.sum((theta - self.center) ** 2)
        return value

    def gradient(self, theta, raw=None):
        rows = self._pass_at(theta)["sums"]["gradient"]
        return rows + self.penalty_gradient(theta)

    def largest(self, *raws):
        """Largest magnitude in each of some raw predictions, of rows in force."""
        known = [self._known(raw.theta) for raw in raws]
        if all(found is not None for found in known):
            return [found["largest"]["raw"] for found in known]
        thetas = np.stack([raw.theta for raw in raws])
        found = self.rows.reduce(_largest_raws, largest, thetas)
        return [float(value) for value in found]

    def relative_move(self, raw, shift):
        # At the end of the whole step, which the line search asks about first.
        end = self._pass_at(raw.theta + shift.theta, shift.theta)
        size = self._pass_at(raw.theta)["largest"]["raw"]
        return end["largest"]["shift"] / max(1.0, size)

    def ranges(self, raw):
        found = self._pass_at(raw.theta)["largest"]
        return [
            max(found[f"high_{of}"] + found[f"low_{of}"], 0.0)
            for of in ("raw", "target")
        ]

    def _known(self, theta):
        return self._kept.get(theta.tobytes())

    def _pass_at(self, theta, shift=None):
        """Sums and extremes of all rows at some parameters, kept for two of them."""
        found = self._known(theta)
        if found is not None and (shift is None or found["largest"]["shift"] > 0):
            return found
        shift = np.zeros_like(theta) if shift is None else shift
        found = self.rows.reduce(
            _sums_and_extremes, _join_pass, theta, shift, work=6 * theta.size
        )
        while len(self._kept) > 1:
            del self._kept[next(iter(self._kept))]
        self._kept[theta.tobytes()] = found
        return found

    def summed(self, function, operator, *args):
        """The sum over all blocks of what a function says of their Hessians."""
        if function in _IN_PASS and self.loss is self.whole_loss:
            return self._pass_at(operator.raw.theta)["sums"][_IN_PASS[function]]
        terms = (function, operator.objective.loss, operator.raw.theta)
        n_bytes, work = self._sizes(function, args)
        return self.rows.reduce(
            _of_block_hessian, sums, terms, *args, work=work, n_bytes=n_bytes
        )

    def _sizes(self, function, args):
        """Bytes of a sum, and operations a row."""
        K, q = self.shape
        if function is Hessian._pairs_of_rows:
            return 8 * q * q * len(args[0]), q * (q + 1) * len(args[0])
        n_right = args[-1].shape[-1] if args and np.ndim(args[-1]) == 2 else q
        return 8 * max(K, q) * n_right, 4 * K * q * n_right

    def gram(self, columns):
        q = len(columns)
        return self.rows.reduce(
            Objective.gram, sums, columns, work=2 * q * q, n_bytes=8 * q * q
        )

    def reweighted(self, weights):
        raise ValueError("Rows on a cluster cannot be given other weights.")


# What a pass gives of the Hessian beside value and gradient.
_IN_PASS = {
    Hessian._trace_of_rows: "trace",
    Hessian._output_curvature_of_rows: "output_curvature",
}


def _largest_raws(objective, thetas):
    design = objective.design
    raws = design.dot(thetas.reshape(-1, design.n_columns).T)
    raws = np.abs(objective.in_force(raws)).max(axis=0, initial=0.0)
    return raws.reshape(len(thetas), -1).max(axis=1)


def _sums_and_extremes(objective, theta, shift):
    """What a block gives to value and gradient, and its largest numbers."""
    raw = objective.raw(theta)
    there, targets = objective.in_force(raw), objective.in_force(objective.targets)
    moved = objective.raw(shift) if shift.any() else np.zeros((0, len(theta)))
    hessian = objective.hessian(raw)
    in_pass = {"trace": Hessian._trace_of_rows(hessian)}
    if not hessian.is_block_diagonal:
        in_pass["output_curvature"] = Hessian._output_curvature_of_rows(hessian)
    return {
        "sums": {
            "value": objective.value(theta, raw),
            "gradient": objective.gradient(theta, raw),
            **in_pass,
        },
        "largest": {
            "raw": np.max(np.abs(there), initial=0.0),
            "shift": np.max(np.abs(objective.in_force(moved)), initial=0.0)
            if len(moved)
            else 0.0,
            "high_raw": np.max(there, initial=-np.inf),
            "low_raw": np.max(-there, initial=-np.inf),
            "high_target": np.max(targets, initial=-np.inf),
            "low_target": np.max(-targets, initial=-np.inf),
        },
    }


def _pick_weighted(block, recipe, wanted, counts):
    """Which of a block's rows are among the wanted of all rows of weight.

    Of each wanted row its place, and what an objective has of it: zeros elsewhere.
    """
    objective, before = recipe(block), counts[: block.number].sum()
    is_here = (wanted >= before) & (wanted < before + counts[block.number])
    own = np.flatnonzero(objective.weights)[wanted[is_here] - before]
    n, design = len(wanted), objective.design
    found = []
    for values in (
        design.rows(own)[:, : design.X.shape[1]],
        objective.targets[own],
        objective.weights[own],
    ):
        place = np.zeros((n, *values.shape[1:]))
        place[is_here] = values
        found.append(place)
    return tuple(found)


def _together(objective, picked):
    X, targets, weights = picked
    design = Design(X, objective.design.fit_intercept)
    penalty = objective.penalty
    return Objective(design, objective.loss, targets, weights, penalty)


def _join_pass(parts):
    return {
        "sums": sums([part["sums"] for part in parts]),
        "largest": largest([part["largest"] for part in parts]),
    }


def _of_block_hessian(objective, terms, *args):
    """A function of the Hessian of a block's rows, without a penalty."""
    function, loss, theta = terms
    objective = replace(objective, loss=loss, penalty=np.zeros_like(theta))
    return function(Hessian(objective, objective.design.dot(theta.T)), *args)
