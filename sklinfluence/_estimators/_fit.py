"""Fitting with sample weights that reach the estimator at the end of a Pipeline."""

from inspect import Parameter, signature

from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sklinfluence._estimators._ask import ends_in_net, fit_inputs, interruptible
from sklinfluence._estimators._ranges import check_numbers


def takes_weights(estimator):
    """Whether what an estimator ends in takes ``sample_weight``, or passes it on."""
    last = _last_step(estimator)
    if not hasattr(last, "fit"):  # "passthrough", at a Pipeline's end
        return False
    if has_fit_parameter(last, "sample_weight"):
        return True
    # Ensembles of several estimators route what they are given; a net knows no weights.
    kinds = [given.kind for given in signature(last.fit).parameters.values()]
    return Parameter.VAR_KEYWORD in kinds and not ends_in_net(last)


def refuse_weights(estimator):
    named = repr(estimator)  # "passthrough"
    if hasattr(estimator, "fit"):
        named = f"fit of {type(estimator).__name__}"
    raise ValueError(
        f"sample_weight was given, but {named} does not take it. Pass "
        "sample_weight=None, or use an estimator whose fit takes sample_weight."
    )


def weight_keywords(estimator, sample_weight):
    """Keywords for ``fit`` that bring weights to the last step; none for None.

    Raises
    ------
    ValueError
        If weights are given and the last step's ``fit`` takes none.
    """
    last = _last_step(estimator)
    # What is frozen is not trained: weights would be refused (by routing) or ignored.
    if sample_weight is None or isinstance(last, FrozenEstimator):
        return {}
    if not takes_weights(last):
        refuse_weights(last)
    routing = get_config()["enable_metadata_routing"]
    keyword = "sample_weight" if routing else _weight_keyword(estimator)
    return {keyword: sample_weight}


def fit_weighted(estimator, X, y, sample_weight=None):
    """Fit an estimator, with sample weights for its last step.

    Parameters
    ----------
    estimator : estimator
        It is fitted in place, unless it is frozen.

    X : array-like of shape (n_rows, n_features)
        Training rows.

    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Training targets.

    sample_weight : array-like of shape (n_rows,), default=None
        Passed on as ``sample_weight`` when metadata routing is enabled, and the
        estimator decides where it goes. Otherwise it goes to the last step of a
        Pipeline, and of a Pipeline in it.

    Returns
    -------
    estimator : estimator
        The fitted estimator.

    Raises
    ------
    ValueError
        If weights are given and the last step's ``fit`` takes none.
    """
    keywords = weight_keywords(estimator, sample_weight)
    try:
        return _fit(estimator, X, y, **keywords)
    except (ValueError, ArithmeticError) as error:
        # What a library says of an overflow inside a fit names no row or column.
        for name, values in (("X", X), ("y", y)):
            check_numbers(values, name, f"Scale {name}. (The fit said: {error})")
        raise


def _fit(estimator, X, y, **keywords):
    """Fit; a net gets rows and targets of the types that it reads, wherever it is."""
    with interruptible(estimator):
        return _fit_last(estimator, X, y, **keywords)


def _fit_last(estimator, X, y, **keywords):
    if not isinstance(estimator, Pipeline) or not ends_in_net(estimator):
        X, y = fit_inputs(estimator, X, y, to_train=True)
        return estimator.fit(X, y, **keywords)
    name, last = estimator.steps[-1]
    # The steps before may change the type: only the last one's fit can tell.
    estimator.steps[-1] = (name, _Reader(last))
    try:
        estimator.fit(X, y, **keywords)
    finally:
        estimator.steps[-1] = (name, last)
    return estimator


class _Reader:
    """What ends a Pipeline while it is fitted: a net in all but its ``fit``."""

    def __init__(self, estimator):
        self._estimator = estimator

    def fit(self, X, y=None, **keywords):
        _fit_last(self._estimator, X, y, **keywords)
        return self

    def __getattr__(self, name):
        if name == "_estimator":  # asked for before it is there, by copies
            raise AttributeError(name)
        return getattr(self._estimator, name)


def _inner(estimator):
    """The estimator that this one passes fit's keywords on to, and their prefix."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return last, f"{name}__"
    if isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        return estimator.estimator, ""
    return None, ""


def _last_step(estimator):
    inner, _ = _inner(estimator)
    return estimator if inner is None else _last_step(inner)


def _weight_keyword(estimator):
    inner, prefix = _inner(estimator)
    return "sample_weight" if inner is None else prefix + _weight_keyword(inner)
