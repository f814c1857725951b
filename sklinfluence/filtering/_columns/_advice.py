"""What to do where the models of ranker=None meet what is no number."""

from contextlib import contextmanager

import numpy as np


@contextmanager
def advice_on_columns(X, model):
    """Say what X holds, and which ranker takes it, in errors of checking X.

    Parameters
    ----------
    X : object
        What is checked.
    model : str
        The estimator that the advice ends in.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        what, steps = _what_it_takes(X, str(error))
        if what is None:
            raise
        raise ValueError(
            f"X holds {what}, and ranker=None works on columns of numbers. Pass a "
            "ranker whose estimator takes X as it is, such as ranker=InfluenceRanker("
            f"make_pipeline({steps}, {model})), or make finite numbers of X before"
            f"{_or_a_frame(what)}. "
            f"({str(error).splitlines()[0]})"
        ) from error


def _or_a_frame(what):
    if what != "columns of strings":
        return ""
    return (
        ", or pass a data frame, whose columns say what they are (pandas or polars, "
        "with `pip install sklinfluence[table]`)"
    )


def _what_it_takes(X, error):
    """What X holds that is no number, and the steps for it; None for the rest."""
    if "contains NaN" in error or "NAType" in error:
        return "missing values (NaN)", "SimpleImputer(), StandardScaler()"
    if "convert string" not in error:
        return None, None
    if np.ndim(X) < 2:
        return "text", "TfidfVectorizer()"
    encoded = "(OneHotEncoder(handle_unknown='ignore'), names_of_those_columns)"
    steps = f"make_column_transformer({encoded}, remainder=StandardScaler())"
    return "columns of strings", steps
