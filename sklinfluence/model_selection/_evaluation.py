"""Scoring a chain of candidates, and telling which of them can be compared."""

import time

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SelectorMixin, VarianceThreshold
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from sklinfluence._removal import remove_each, remove_together
from sklinfluence._warn import warn_user
from sklinfluence.curvature import SingularHessianError
from sklinfluence.model_selection._chains import ChainFitter
from sklinfluence.model_selection._left_out import left_out
from sklinfluence.model_selection._scoring import fit_to_task, takes_weights


def score_chain(estimator, chain, data, scorers, scoring, each, copies=None):
    """Fit, leave each row out, score: one candidate after the other.

    Parameters
    ----------
    estimator : estimator
    chain : list of Candidate
    data : tuple of X, y, fit_weight, score_weight
    scorers : dict of str to scorer
    scoring : str, callable, list, tuple or dict
        What the scorers were asked for by.
    each : callable
        Reports progress: `FitTracker.each`.
    copies : Copies, default=None
        Rows that leave together.

    Returns
    -------
    results : list of dict
        One a candidate.
    """
    X, y, fit_weight, score_weight = data
    fitter, results = ChainFitter(estimator, X, y, fit_weight), []
    for candidate in each("score the candidates", chain):
        result = {"index": candidate.index, "params": candidate.params}
        start = time.perf_counter()
        try:
            fitted = fitter.fit(candidate)
        except SingularHessianError as error:
            result.update(_failure(scorers, error))
        else:
            middle = time.perf_counter()
            removal = remove_each(fitted, quiet=copies is not None)
            if copies is not None:
                removal = remove_together(fitted, removal, copies)
            answers = left_out(fitted, removal, fitter.classes)
            suited = fit_to_task(scorers, scoring, answers)
            rows = np.flatnonzero(removal.is_defined)
            scores = _scores(suited, answers, rows, y, score_weight)
            result.update(test_scores=scores, scorers=suited, n_left_out=len(rows))
            result["stuck"] = tuple(np.flatnonzero(~removal.is_defined))
            result["score_time"] = time.perf_counter() - middle
            start += result["score_time"]
        result["fit_time"] = time.perf_counter() - start
        results.append(result)
    return results


def _scores(scorers, answers, rows, y, weight):
    if rows.size == 0:
        return dict.fromkeys(scorers, np.nan)
    scores = {}
    for name, scorer in scorers.items():
        given = {}
        if weight is not None and takes_weights(scorer):
            given["sample_weight"] = weight[rows]
        scores[name] = float(scorer(answers, rows, y[rows], **given))
    return scores


def _failure(scorers, error):
    return {
        "test_scores": dict.fromkeys(scorers, np.nan),
        "score_time": 0.0,
        "n_left_out": 0,
        "scorers": scorers,
        "error": error,
    }


def compare_on_same_rows(results):
    """NaN to candidates that cannot leave out rows that the others can.

    The rows that are stuck are those a model leans on most: to score a candidate on
    the others alone would favour it.
    """
    sound = [result for result in results if "error" not in result]
    if not sound:
        raise results[0]["error"]
    fewest = min((result["stuck"] for result in sound), key=len)
    for result in sound:
        if result["stuck"] != fewest:
            result["test_scores"] = dict.fromkeys(result["test_scores"], np.nan)
            result["error"] = "Rows of leverage 1 cannot be left out."
    _warn_about_failures([result for result in results if "error" in result])


def _warn_about_failures(failed):
    if not failed:
        return
    named = ", ".join(str(result["params"]) for result in failed[:5])
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    warn_user(
        f"No unique optimum, with all rows or without one of them, for {named}{more}: "
        f"scored NaN, ranked last. {failed[0]['error']}",
        FitFailedWarning,
    )


def warn_about_supervised_steps(estimator):
    """Name the steps that have seen the label of the row that is left out."""
    if not isinstance(estimator, Pipeline):
        return
    named = [repr(name) for name, step in estimator.steps[:-1] if _learns_from_y(step)]
    if named:
        warn_user(
            f"Step(s) {', '.join(named)} read y and are fitted on all rows, also the "
            "one left out: scores are too high, the more so the more such a step "
            "learns from y. Search those steps' parameters by GridSearchCV.",
        )


def _learns_from_y(step):
    if isinstance(step, SelectorMixin):
        # Selectors do not say that they need y: some of their score functions do not.
        return not isinstance(step, VarianceThreshold)
    return hasattr(step, "fit") and get_tags(step).target_tags.required
