"""Scores that leave-one-out predictions can be given."""

from inspect import signature

from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils.metadata_routing import get_routing_for_object

from sklinfluence._sklearn_compat import _BaseScorer, _routing_enabled

# From labels and raw predictions, which every classifier has.
_LABEL_SCORES = (
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "matthews_corrcoef",
    "precision",
    "recall",
    "roc_auc",
)
_PROBABILITY_SCORES = (
    "neg_brier_score",
    "neg_log_loss",
    "roc_auc_ovo",
    "roc_auc_ovr",
)
_REGRESSION_SCORES = (
    "explained_variance",
    "neg_max_error",
    "neg_mean_absolute_error",
    "neg_mean_absolute_percentage_error",
    "neg_mean_squared_error",
    "neg_median_absolute_error",
    "neg_root_mean_squared_error",
    "r2",
)
KNOWN = (*_LABEL_SCORES, *_PROBABILITY_SCORES, *_REGRESSION_SCORES)
# The default is the log-likelihood; that of real targets, at unit variance and but for
# constants, is half of this.
LIKELIHOOD = "neg_log_loss"
_LIKELIHOOD_OF_VALUES = "neg_mean_squared_error"


def check_scoring(scoring):
    """Scorers by name, and whether there are several.

    Parameters
    ----------
    scoring : str, callable, list, tuple or dict

    Returns
    -------
    scorers : dict of str to scorer
        One, named "score", unless ``scoring`` is a collection.
    is_multimetric : bool
    """
    if isinstance(scoring, str) or callable(scoring):
        return {"score": _scorer(scoring)}, False
    named = scoring
    if not isinstance(scoring, dict):
        if not all(isinstance(name, str) for name in scoring):
            raise ValueError(
                "A list or tuple of scores holds their names; give callables as a "
                f"dict, each with its name. Got {scoring!r}."
            )
        named = {name: name for name in scoring}
    if not named:
        raise ValueError("scoring is empty: name at least one score.")
    return {name: _scorer(score) for name, score in named.items()}, True


def _scorer(scoring):
    if isinstance(scoring, _BaseScorer):
        return scoring
    if callable(scoring):
        return make_scorer(scoring)
    if scoring not in KNOWN:
        raise ValueError(
            f"scoring={scoring!r} is not one that leave-one-out predictions can be "
            f"given. Known are {_listed(KNOWN)}, and a callable(y_true, prediction)."
        )
    return get_scorer(scoring)


def fit_to_task(scorers, scoring, answers):
    """The scorers, checked against what the candidates predict.

    Parameters
    ----------
    scorers : dict of str to scorer
    scoring : str, callable, list, tuple or dict
        What they were asked for by.
    answers : LeftOutClassifier or LeftOutRegressor

    Returns
    -------
    scorers : dict of str to scorer
        The log-likelihood of a regressor is its mean squared error.
    """
    return {
        name: _for_task(scorer, _asked_name(scoring, name), answers)
        for name, scorer in scorers.items()
    }


def _asked_name(scoring, name):
    asked = scoring.get(name) if isinstance(scoring, dict) else scoring
    if isinstance(scoring, list | tuple):
        asked = name
    return asked if isinstance(asked, str) else None


def _for_task(scorer, asked, answers):
    if asked is None:
        return scorer
    classifies = hasattr(answers, "classes_")
    if not classifies and asked == LIKELIHOOD:
        return get_scorer(_LIKELIHOOD_OF_VALUES)
    known = _REGRESSION_SCORES
    if classifies:
        known = _LABEL_SCORES
        if hasattr(answers, "predict_proba"):
            known = (*_LABEL_SCORES, *_PROBABILITY_SCORES)
    if asked not in known:
        kind = "classifier" if classifies else "regressor"
        if classifies and not hasattr(answers, "predict_proba"):
            kind = "classifier fitted by least squares, which has no probabilities"
        raise ValueError(
            f"scoring={asked!r} does not suit a {kind}. Known for it are "
            f"{_listed(known)}, and a callable(y_true, prediction)."
        )
    return scorer


def takes_weights(scorer):
    """Whether a scorer is to be given the sample weights of the fit."""
    if _routing_enabled():
        asked = get_routing_for_object(scorer).consumes("score", ["sample_weight"])
        return bool(asked)
    return "sample_weight" in signature(scorer._score_func).parameters


def _listed(names):
    return ", ".join(map(repr, names))
