"""What `tests/fuzz.py` feeds in: rows, labels, weights and parameters, sound and not.

Everything is drawn from one generator, so that an input is a function of its numbers.
"""

from numbers import Integral

import numpy as np
from scipy import sparse

SLOTS = ["size", "values", "form", "y", "y form", "weights", "parameters", "queries"]
# Values that hardly any argument takes.
NONSENSE = [
    None,
    -1,
    0,
    1.5,
    10**30,
    float("nan"),
    float("inf"),
    -0.5,
    "nonsense",
    "",
    [],
    {},
    True,
    np.array([1.0, 2.0]),
    object(),
    b"bytes",
    int,
    (),
    1 + 2j,
]


class Draw:
    """Draws of one input, and the words that tell what was drawn."""

    def __init__(self, seed, k):
        self.rng = np.random.default_rng([seed, k])
        self.words = []
        n_odd = self.one([0, 0, 1, 1, 1, 2, 3])
        self._odd = set(self.rng.choice(SLOTS, size=n_odd, replace=False))

    def odd(self, slot):
        """Whether a slot gets what is out of the ordinary."""
        return slot in self._odd

    def one(self, options):
        options = list(options)
        return options[self.rng.integers(len(options))]

    def chance(self, share):
        return self.rng.random() < share

    def named(self, what, options):
        """One of a dict's values, its name noted."""
        name = self.one(options)
        self.note(f"{what}: {name}")
        return options[name]

    def note(self, word):
        self.words.append(word)


# --- rows -----------------------------------------------------------------------------


def _at(X, value):
    if X.size:
        X[len(X) // 2, X.shape[1] // 2] = value


def _row(X, value):
    X[len(X) // 3 : len(X) // 3 + 1] = value


def _column(X, value):
    X[:, :1] = value


def _scaled(X, value):
    X *= value


def _spread(X, power):
    X *= 10.0 ** np.linspace(-power, power, X.shape[1])


def _twins(X, _):
    X[len(X) // 2 :] = X[: len(X) - len(X) // 2]


def _whole(X, _):
    X[:] = np.round(X)


def _sparse_ones(X, _):
    X[:] = X > 1


VALUES = {
    "a NaN": (_at, np.nan),
    "an inf": (_at, np.inf),
    "a -inf": (_at, -np.inf),
    "a 1e30": (_at, 1e30),
    "a 1e300": (_at, 1e300),
    "a row of NaN": (_row, np.nan),
    "a row of 1e8": (_row, 1e8),
    "a row of -1e155": (_row, -1e155),
    "a column of NaN": (_column, np.nan),
    "a constant column": (_column, 3.0),
    "a column of 1e20": (_column, 1e20),
    "zeros": (_scaled, 0.0),
    "scale 1e-8": (_scaled, 1e-8),
    "scale 1e-160": (_scaled, 1e-160),
    "scale 1e-310": (_scaled, 1e-310),
    "scale 1e10": (_scaled, 1e10),
    "scale 1e40": (_scaled, 1e40),
    "scale 1e160": (_scaled, 1e160),
    "columns of 1e-9 to 1e9": (_spread, 9),
    "columns of 1e-100 to 1e100": (_spread, 100),
    "offset 1e8": (lambda X, by: X.__iadd__(by), 1e8),
    "rows twice": (_twins, None),
    "rows all the same": (lambda X, _: X.__setitem__(slice(None), X[:1]), None),
    "whole numbers": (_whole, None),
    "zeros and ones": (_sparse_ones, None),
    "columns twice": (lambda X, _: X.__setitem__((slice(None), -1), X[:, 0]), None),
}


def _frame(X, **kwargs):
    import pandas as pd

    names = [f"c{j}" for j in range(X.shape[1])]
    return pd.DataFrame(X, columns=names, index=np.arange(len(X)) * 3 + 7, **kwargs)


def _nullable(X, dtype="Float64", hole=False):
    frame = _frame(X).astype("Float64")
    if hole and X.size:
        import pandas as pd

        frame.iloc[0, 0] = pd.NA
    return frame if dtype == "Float64" else frame.round().astype(dtype)


def _mixed_frame(X):
    frame = _frame(X)
    frame["kind"] = np.where(np.arange(len(X)) % 2, "even", "odd")
    return frame


def _categories(X):
    return _frame(np.sign(np.nan_to_num(X))).astype("category")


def _polars(X):
    import polars as pl

    return pl.DataFrame({f"c{j}": X[:, j] for j in range(X.shape[1])})


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def _explicit_zeros(X):
    stored = sparse.csr_matrix(np.ones_like(X))
    stored.data = X.ravel().copy()
    return stored


def _long_indices(X):
    stored = sparse.csr_array(X)
    stored.indices = stored.indices.astype(np.int64)
    stored.indptr = stored.indptr.astype(np.int64)
    return stored


def _text(X):
    return [f"word{int(v > 0)} other" for v in X[:, 0]] if X.shape[1] else []


FORMS = {
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "complex": lambda X: X.astype(complex),
    "int64": lambda X: X.astype(np.int64),
    "int8": lambda X: X.astype(np.int8),
    "uint8": lambda X: np.abs(X).astype(np.uint8),
    "bool": lambda X: X > 0,
    "object": lambda X: X.astype(object),
    "strings": lambda X: X.astype(str),
    "big-endian": lambda X: X.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": _read_only,
    "masked": lambda X: np.ma.masked_array(X, mask=X > 2),
    "matrix": lambda X: np.asmatrix(X),
    "lists": lambda X: X.tolist(),
    "tuple of arrays": lambda X: tuple(X),
    "csr": sparse.csr_matrix,
    "csr float32": lambda X: sparse.csr_matrix(X.astype(np.float32)),
    "csr_array": sparse.csr_array,
    "csr with stored zeros": _explicit_zeros,
    "csr with long indices": _long_indices,
    "csc": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
    "lil": sparse.lil_matrix,
    "dok": sparse.dok_matrix,
    "dia": sparse.dia_matrix,
    "bsr": sparse.bsr_matrix,
    "csr of int": lambda X: sparse.csr_matrix(X.astype(np.int64)),
    "frame": _frame,
    "frame of float32": lambda X: _frame(X).astype(np.float32),
    "frame of nullable floats": _nullable,
    "frame of nullable ints": lambda X: _nullable(np.nan_to_num(X) % 99, "Int64"),
    "frame with NA": lambda X: _nullable(X, hole=True),
    "frame with text": _mixed_frame,
    "frame of categories": _categories,
    "frame with integer names": lambda X: _frame(X).set_axis(range(X.shape[1]), axis=1),
    "polars": _polars,
    "1-D": lambda X: X[:, 0] if X.shape[1] else X.ravel(),
    "3-D": lambda X: X[:, :, None],
    "texts": _text,
    "None": lambda X: None,
    "a number": lambda X: 3.0,
    "a dict": lambda X: {"X": X},
    "dates": lambda X: np.zeros(X.shape, dtype="datetime64[D]"),
    "a generator": lambda X: (row for row in X),
}
COMMON = ["float32", "csr", "frame", "lists", "csr_array"]


class Rows:
    """Training rows and queries, with labels or targets, of one input."""

    def __init__(self, draw, is_class=None, sizes=(20, 40), floats=np.float64):
        self.draw = draw
        self.is_class = draw.chance(0.6) if is_class is None else is_class
        n, p = int(draw.rng.integers(*sizes)), int(draw.rng.integers(1, 6))
        if draw.odd("size"):
            n, p = draw.one([(0, p), (1, p), (2, p), (3, p), (6, p), (n, 0), (n, 60)])
        self.n, self.p, self.m = n, p, 5
        base = draw.rng.normal(size=(n + self.m, p))
        self.base = base.astype(floats)
        signal = base[:, 0] if p else draw.rng.normal(size=n + self.m)
        self.signal = signal + 0.5 * draw.rng.normal(size=n + self.m)
        values = self.base.copy()
        if draw.odd("values") and p and n:
            change, by = draw.named("values", VALUES)
            change(values[:n], by)
            if draw.chance(0.5):
                change(values[n:], by)
        form = floats
        self.form = lambda X: X
        if draw.odd("form"):
            form = draw.one(FORMS)
            self.form = FORMS[form]
        elif floats is np.float64 and draw.chance(0.3):
            form = draw.one(COMMON)
            self.form = FORMS[form]
        self.values = values
        name = getattr(form, "__name__", form)
        draw.note(f"X: {name} {(n, p)}")
        self.X = self._formed(values[:n])
        self.y = self._targets()
        self.weights = self._weights()

    def _formed(self, X, form=None):
        if X.ndim != 2:
            return X
        with np.errstate(all="ignore"):
            return (form or self.form)(X.copy())

    def _targets(self):
        draw = self.draw
        self.codes, self._names = None, None
        if not self.is_class:
            return self._real_targets()
        n_classes = draw.one([2, 2, 3, 4])
        edges = np.quantile(self.signal, np.linspace(0, 1, n_classes + 1)[1:-1])
        self.codes = np.digitize(self.signal, edges)
        if draw.odd("y"):
            self.codes = draw.named("classes", CLASSES)(self.codes)
        name = draw.one(LABELS) if draw.odd("y form") else draw.one(COMMON_LABELS)
        draw.note(f"y: {name} of {len(np.unique(self.codes[: self.n]))} classes")
        self._names = LABELS[name]
        return self._named(self.codes[: self.n])

    def _real_targets(self):
        draw = self.draw
        targets = self.signal.copy()
        if draw.odd("y"):
            targets = draw.named("targets", TARGETS)(targets)
        name = draw.one(TARGET_FORMS) if draw.odd("y form") else "float64"
        draw.note(f"y: real, {name}")
        self._names, self.codes = TARGET_FORMS[name], targets
        return self._named(targets[: self.n])

    def _weights(self):
        draw = self.draw
        if draw.odd("weights"):
            return draw.named("weights", WEIGHTS)(self.n, draw.rng)
        return draw.named("weights", SOUND_WEIGHTS)(self.n, draw.rng)

    def queries(self, y_needed=False):
        """Rows to ask about and their targets, as the training rows came."""
        draw, X = self.draw, self.values[self.n :]
        without = not y_needed and draw.chance(0.3)
        targets = None if without else self._named(self.codes[self.n :])
        if not draw.odd("queries"):
            return self._formed(X), targets
        what = draw.one(QUERIES)
        draw.note(f"queries: {what}")
        X = QUERIES[what](X.copy())
        form = FORMS[draw.one(FORMS)] if what == "another form" else None
        if what.startswith("y"):
            targets = QUERY_TARGETS[what](targets)
        elif isinstance(X, np.ndarray) and targets is not None and len(X) != self.m:
            targets = targets[: len(X)] if hasattr(targets, "__getitem__") else targets
        return self._formed(X, form) if isinstance(X, np.ndarray) else X, targets

    def _named(self, codes):
        with np.errstate(all="ignore"):
            return self._names(codes)

    def training(self):
        """(X, y) as given to fit, and the weights as keyword if there are any."""
        weights = {} if self.weights is None else {"sample_weight": self.weights}
        return self.X, self.y, weights


# --- labels, targets, weights ---------------------------------------------------------


def _lone(codes):
    codes = np.minimum(codes, 1)
    codes[:] = 0
    codes[:1] = 1
    return codes


CLASSES = {
    "one class": np.zeros_like,
    "each its own": lambda codes: np.arange(len(codes)),
    "one row of a class": _lone,
    "unsorted and far apart": lambda codes: np.array([70, -3, 10**9, 5, 2])[codes % 5],
    "by chance": lambda codes: np.random.default_rng(0).integers(3, size=len(codes)),
}


def _series(values, **kwargs):
    import pandas as pd

    return pd.Series(values, index=np.arange(len(values)) * 3 + 7, name="y", **kwargs)


def _polars_series(values):
    import polars as pl

    return pl.Series("y", values)


def _words(codes):
    return np.array([f"class {code}" for code in codes], dtype="U20")


def _with_none(codes):
    labels = codes.astype(object)
    labels[:1] = None
    return labels


def _mixed(codes):
    labels = codes.astype(object)
    labels[:1] = "text"
    return labels


def _nullable_series(codes, hole=False):
    labels = _series(codes.astype(float)).astype("Int64")
    if hole and len(labels):
        import pandas as pd

        labels.iloc[0] = pd.NA
    return labels


def _float_with(value):
    def labels(codes):
        labels = codes.astype(float)
        labels[:1] = value
        return labels

    return labels


LABELS = {
    "int": np.asarray,
    "strings": _words,
    "objects": lambda codes: _words(codes).astype(object),
    "bools": lambda codes: codes > 0,
    "floats": lambda codes: codes.astype(float),
    "halves": lambda codes: codes / 2,
    "uint8": lambda codes: codes.astype(np.uint8),
    "bytes": lambda codes: _words(codes).astype("S"),
    "list": lambda codes: codes.tolist(),
    "list of strings": lambda codes: _words(codes).tolist(),
    "series": lambda codes: _series(_words(codes)),
    "series of categories": lambda codes: _series(_words(codes)).astype("category"),
    "series of nullable ints": _nullable_series,
    "series with NA": lambda codes: _nullable_series(codes, hole=True),
    "series of nullable bools": lambda codes: _series(codes > 0).astype("boolean"),
    "polars": _polars_series,
    "polars strings": lambda codes: _polars_series(_words(codes)),
    "a column": lambda codes: codes[:, None],
    "two columns": lambda codes: np.c_[codes, codes],
    "one-hot": lambda codes: (
        np.eye(int(np.max(codes, initial=0)) % 99 + 1)[codes % 99]
        if len(codes) and codes.min() >= 0 and codes.max() < 99
        else np.eye(len(codes))
    ),
    "a frame": lambda codes: _series(codes).to_frame(),
    "sparse": lambda codes: sparse.csr_matrix(codes[:, None]),
    "with None": _with_none,
    "mixed types": _mixed,
    "with NaN": _float_with(np.nan),
    "with inf": _float_with(np.inf),
    "None": lambda codes: None,
    "too few": lambda codes: codes[:-1],
    "too many": lambda codes: np.r_[codes, codes[:1]],
    "a number": lambda codes: 1,
    "empty": lambda codes: codes[:0],
    "dates": lambda codes: codes.astype("datetime64[D]"),
    "complex": lambda codes: codes.astype(complex),
    "control characters": lambda codes: np.array([f"a\n\x1b{c}" for c in codes]),
    "unlike lengths": lambda codes: [[0] * (i % 3) for i in range(len(codes))],
}
COMMON_LABELS = ["int", "int", "strings", "list", "series", "bools", "objects"]

TARGETS = {
    "constant": lambda y: np.full_like(y, 2.0),
    "zeros": np.zeros_like,
    "a 1e30": lambda y: np.r_[1e30, y[1:]],
    "a 1e300": lambda y: np.r_[1e300, y[1:]],
    "scale 1e160": lambda y: y * 1e160,
    "scale 1e-160": lambda y: y * 1e-160,
    "scale 1e-310": lambda y: y * 1e-310,
    "offset 1e12": lambda y: y + 1e12,
    "two values": np.sign,
    "a NaN": lambda y: np.r_[np.nan, y[1:]],
    "an inf": lambda y: np.r_[np.inf, y[1:]],
}
TARGET_FORMS = {
    "float64": np.asarray,
    "float32": lambda y: y.astype(np.float32),
    "float16": lambda y: y.astype(np.float16),
    "int": lambda y: np.nan_to_num(10 * y).astype(int),
    "objects": lambda y: y.astype(object),
    "strings": lambda y: y.astype(str),
    "list": lambda y: y.tolist(),
    "series": _series,
    "nullable series": lambda y: _series(y).astype("Float64"),
    "polars": _polars_series,
    "a column": lambda y: y[:, None],
    "two columns": lambda y: np.c_[y, -2 * y],
    "a frame": lambda y: _series(y).to_frame(),
    "sparse": lambda y: sparse.csr_matrix(y[:, None]),
    "None": lambda y: None,
    "too few": lambda y: y[:-1],
    "too many": lambda y: np.r_[y, y[:1]],
    "empty": lambda y: y[:0],
    "complex": lambda y: y.astype(complex),
    "bools": lambda y: y > 0,
    "3-D": lambda y: y[:, None, None],
}

SOUND_WEIGHTS = {
    "none": lambda n, rng: None,
    "none at all": lambda n, rng: None,
    "ones": lambda n, rng: np.ones(n),
    "some": lambda n, rng: rng.uniform(0.2, 2, n),
    "some 0": lambda n, rng: rng.integers(0, 3, n).astype(float),
}
WEIGHTS = {
    "ints": lambda n, rng: rng.integers(1, 4, n),
    "float32": lambda n, rng: rng.uniform(0.2, 2, n).astype(np.float32),
    "list": lambda n, rng: rng.uniform(0.2, 2, n).tolist(),
    "series": lambda n, rng: _series(rng.uniform(0.2, 2, n)),
    "polars": lambda n, rng: _polars_series(rng.uniform(0.2, 2, n)),
    "bools": lambda n, rng: rng.random(n) < 0.7,
    "all 0": lambda n, rng: np.zeros(n),
    "all 0 but one": lambda n, rng: np.eye(max(n, 1))[0, :n],
    "all 0 but two": lambda n, rng: np.r_[np.ones(min(n, 2)), np.zeros(max(n - 2, 0))],
    "a negative one": lambda n, rng: np.r_[-1.0, np.ones(max(n - 1, 0))][:n],
    "a NaN": lambda n, rng: np.r_[np.nan, np.ones(max(n - 1, 0))][:n],
    "an inf": lambda n, rng: np.r_[np.inf, np.ones(max(n - 1, 0))][:n],
    "1e-16 to 1e16": lambda n, rng: 10.0 ** rng.uniform(-16, 16, n),
    "1e-150 to 1e150": lambda n, rng: 10.0 ** rng.uniform(-150, 150, n),
    "1e300": lambda n, rng: np.full(n, 1e300),
    "1e-300": lambda n, rng: np.full(n, 1e-300),
    "1e10": lambda n, rng: np.full(n, 1e10),
    "1e-10": lambda n, rng: np.full(n, 1e-10),
    "one of 1e12": lambda n, rng: np.r_[1e12, np.ones(max(n - 1, 0))][:n],
    "too few": lambda n, rng: np.ones(max(n - 1, 0)),
    "a number": lambda n, rng: 2.0,
    "strings": lambda n, rng: np.full(n, "heavy"),
    "two columns": lambda n, rng: np.ones((n, 2)),
    "a column": lambda n, rng: np.ones((n, 1)),
}

QUERIES = {
    "another form": lambda X: X,
    "a column too many": lambda X: np.c_[X, np.ones(len(X))],
    "a column too few": lambda X: X[:, :-1],
    "no rows": lambda X: X[:0],
    "one row": lambda X: X[:1],
    "a NaN": lambda X: np.where(np.arange(X.size).reshape(X.shape) == 1, np.nan, X),
    "an inf": lambda X: np.where(np.arange(X.size).reshape(X.shape) == 1, np.inf, X),
    "1e300": lambda X: np.full_like(X, 1e300),
    "1e20": lambda X: X * 1e20,
    "1e-300": lambda X: X * 1e-300,
    "one dimension": lambda X: X.ravel(),
    "None": lambda X: None,
    "a string": lambda X: "rows",
    "y unseen": lambda X: X,
    "y too few": lambda X: X,
    "y of NaN": lambda X: X,
    "y of another type": lambda X: X,
    "y a number": lambda X: X,
    "y in columns": lambda X: X,
}
QUERY_TARGETS = {
    "y unseen": lambda y: ["never seen"] * 5,
    "y too few": lambda y: y[:2] if hasattr(y, "__getitem__") else [1],
    "y of NaN": lambda y: np.full(5, np.nan),
    "y of another type": lambda y: [object()] * 5,
    "y a number": lambda y: 7,
    "y in columns": lambda y: np.ones((5, 3)),
}


# --- parameters -----------------------------------------------------------------------


def lawful(constraint):
    """Values that one of scikit-learn's constraints allows; () where it cannot say."""
    kind = type(constraint).__name__
    if constraint is None:
        return (None,)
    if kind in ("StrOptions", "Options"):
        return tuple(sorted(constraint.options, key=repr))
    if kind == "Interval":
        return _within(constraint)
    if isinstance(constraint, str):
        return {
            "boolean": (True, False, np.bool_(True)),
            "random_state": (0, None, np.random.RandomState(1)),
        }.get(constraint, ())
    return (None, 1) if constraint is Integral else ()


def _within(interval):
    low, high = interval.left, interval.right
    if interval.type is Integral:
        start = -1 if low is None else int(low)
        found = [start, start + 1, start + 4, np.int64(start + 2)]
    elif high is None:
        low = low or 0
        found = [low, low + 1e-3, low + 1, np.float32(low + 0.5), low + 1e6, 1]
    else:
        low = low or 0
        found = [low + share * (high - low) for share in (0, 1e-9, 0.1, 0.5, 0.9, 1)]
    return tuple(value for value in found if value in interval)


def beside(constraints):
    """Values just outside of what constraints allow."""
    found = []
    for constraint in constraints:
        if type(constraint).__name__ == "Interval":
            edges = (constraint.left, constraint.right)
            found += [edge for edge in edges if edge is not None]
            found += [edge - 1 for edge in edges if edge is not None]
    return found


def parameters(draw, constraints, pools, names):
    """Some of the named parameters, lawful unless parameters are to be odd.

    ``pools`` holds what constraints cannot say: name to a list of values, or to a
    function that draws one.
    """
    chosen = {}
    for name in names:
        if draw.chance(0.35):
            value = _lawful_value(draw, constraints.get(name, []), pools.get(name, ()))
            chosen.update({} if value is _NOTHING else {name: value})
    if draw.odd("parameters") and names:
        name = draw.one(names)
        rules = constraints.get(name, [])
        chosen[name] = draw.one(
            NONSENSE + beside(rules if rules != "no_validation" else [])
        )
    return chosen


_NOTHING = object()


def _lawful_value(draw, constraints, pool):
    if callable(pool):
        return pool(draw)
    rules = _rules(constraints)
    options = [value for rule in rules for value in lawful(rule)] + list(pool)
    return draw.one(options) if options else _NOTHING


def is_covered(constraints, pool):
    """Whether a parameter has any value to be tried."""
    known = any(lawful(rule) for rule in _rules(constraints))
    return bool(callable(pool) or len(pool) or known)


def _rules(constraints):
    return [] if constraints == "no_validation" else constraints
