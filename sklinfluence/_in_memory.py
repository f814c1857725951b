"""Rows that lie on a cluster are refused by name where rows are read in memory.

NumPy, and with it scikit-learn, loads a dask array whole, in silence, wherever it takes
it for an array. What is public here is asked for its arguments before it runs:
functions by the decorator `in_memory`, the methods of a class by `InMemoryMixin`. The
methods that read rows where they lie are named in the class's ``_takes_dask``.
"""

from functools import wraps
from inspect import Parameter, getattr_static, isfunction, signature

# What scikit-learn's own methods take rows by.
_ROWS = {"X", "y", "sample_weight"}
# It passes rows on to ``fit``, which refuses them; a copy would have its output wrapped
# by scikit-learn a second time.
_PASSED_ON = "fit_transform"
# A list of rows may be long, and is of one kind: more of it need not be looked at.
_FEW = 20
_NAMES = {"Array": "array"}


def in_memory(function):
    """Decorate a public function: a dask collection among its arguments is refused.

    Parameters
    ----------
    function : callable

    Returns
    -------
    guarded : callable
        With the signature and the docstring of ``function``.
    """

    @wraps(function)
    def guarded(*args, **kwargs):
        _refuse(function.__name__, function, args, kwargs)
        return function(*args, **kwargs)

    return guarded


class InMemoryMixin:
    """Refuses dask collections in every public method, inherited ones included.

    A subclass names in ``_takes_dask`` the methods that read rows where they lie.
    """

    _takes_dask: frozenset = frozenset()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            # What is set is asked for where it is used.
            if not name.startswith("_") and name != "set_params":
                _guard(cls, name)


def _guard(cls, name):
    """Put a guarded copy of a method in its place, descriptors as they were."""
    member = getattr_static(cls, name)
    if isinstance(member, classmethod) and _is_open(cls, name, member.__func__):
        setattr(cls, name, classmethod(_method(member.__func__, name)))
    elif isfunction(member) and _is_open(cls, name, member):
        setattr(cls, name, _method(member, name))
    elif isfunction(getattr(member, "fn", None)) and _is_open(cls, name, member.fn):
        # scikit-learn's available_if.
        setattr(cls, name, type(member)(_method(member.fn, name), member.check, name))


def _is_open(cls, name, function):
    """Whether a method takes arguments that nothing has asked for yet."""
    if getattr(function, "_refuses_dask", False):
        return False
    given = list(signature(function).parameters.values())[1:]
    names = {p.name for p in given if p.kind is not Parameter.VAR_KEYWORD}
    if function.__module__.partition(".")[0] != "sklearn":
        return bool(names)
    return name != _PASSED_ON and bool(names & _ROWS)


def _method(function, name):
    @wraps(function)
    def guarded(self, *args, **kwargs):
        cls = self if isinstance(self, type) else type(self)
        if name not in cls._takes_dask:
            _refuse(f"{cls.__name__}.{name}", function, (self, *args), kwargs)
        return function(self, *args, **kwargs)

    guarded._refuses_dask = True
    return guarded


def is_dask(thing):
    """Whether it is a collection of dask's: an array, a frame, or what wraps one.

    dask is not imported: what came from it has brought it along.
    """
    kind = type(thing)
    if not hasattr(kind, "__dask_graph__"):
        return False
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    # Labelled arrays wrap NumPy's or dask's, and have a graph if it is dask's.
    return "dask" in packages or thing.__dask_graph__() is not None


def refuse_dask(caller, **given):
    """Refuse arguments that are on a cluster where the rows are not.

    Parameters
    ----------
    caller : str
    **given : object
        By name.
    """
    for name, value in given.items():
        found = _held(value)
        if found is not None:
            raise TypeError(_message(caller, name, type(found)))


def _refuse(caller, function, args, kwargs):
    for value in (*args, *kwargs.values()):
        found = _held(value)
        if found is not None:
            name = _name_of(value, function, args, kwargs)
            raise TypeError(_message(caller, name, type(found)))


def _held(value):
    """The collection that an argument is, or holds one level down; None."""
    if is_dask(value):
        return value
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list | tuple):
        return None
    return next((part for part in parts[:_FEW] if is_dask(part)), None)


def _name_of(value, function, args, kwargs):
    """The name of the argument that a value came as."""
    given = dict(zip(signature(function).parameters, args, strict=False)) | kwargs
    return next((name for name, v in given.items() if v is value), "an argument")


def _message(caller, name, kind):
    package = kind.__module__.partition(".")[0]
    called = caller.partition(".")[0]
    return (
        f"{name} of {caller} is a {package} {_NAMES.get(kind.__name__, kind.__name__)},"
        f" and {called} reads rows in memory: it would load all of them. "
        "InfluenceRanker and MislabelFilter take dask arrays chunk by chunk; where the "
        f"rows fit in memory, pass {name}.compute()."
    )
