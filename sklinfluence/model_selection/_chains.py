"""Candidates that differ in the head's penalty alone, one after the other.

They share the fit of everything before the head, and every head but the first starts
from the optimum of the one before: Newton's method takes a few steps from there, and
ends where it would have ended from anywhere.
"""

from copy import copy
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import pairwise

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import Pipeline

from sklinfluence._estimators import fit_weighted
from sklinfluence._removal import FittedHead, check_embedding, check_scales, fit_head
from sklinfluence._warn import warn_user
from sklinfluence.curvature import minimize
from sklinfluence.heads import _l1_share, linear_head


@singledispatch
def penalty_parameter(estimator):
    """Name of the parameter that scales an estimator's l2 penalty and does no more.

    None where there is no such parameter: a network's ``alpha`` shapes its hidden
    layers too, and under an l1 penalty the set of active columns moves.
    """
    return None


@penalty_parameter.register(LogisticRegression)
def _of_logistic(estimator):
    return None if _l1_share(estimator, estimator.l1_ratio) else "C"


@penalty_parameter.register(LogisticRegressionCV)
def _of_own_search(estimator):
    return None


@penalty_parameter.register(Ridge)
@penalty_parameter.register(RidgeClassifier)
@penalty_parameter.register(SGDClassifier)
@penalty_parameter.register(SGDRegressor)
def _of_alpha(estimator):
    return "alpha"


@dataclass(frozen=True)
class Candidate:
    """One setting of the grid.

    Attributes
    ----------
    index : int
        Its place in the grid.
    params : dict
    penalty : str or None
        The one of ``params`` that scales the head's penalty.
    """

    index: int
    params: dict
    penalty: str | None


def make_chains(estimator, grid):
    """The grid as chains of candidates that differ in the head's penalty alone.

    Parameters
    ----------
    estimator : estimator
    grid : list of dict

    Returns
    -------
    chains : list of list of Candidate
        Within each, the strongest penalty first: where the estimator itself is
        quickest to fit.
    """
    chains = {}
    for index, params in enumerate(grid):
        penalty = _full_name(_with_params(estimator, params))
        penalty = penalty if penalty in params else None
        # The grid's own objects, alive as long as it is: equal ones that are not the
        # same merely start a chain of their own.
        rest = sorted((k, id(v)) for k, v in params.items() if k != penalty)
        key = (penalty, *rest, *([index] if penalty is None else []))
        chains.setdefault(key, []).append(Candidate(index, params, penalty))
    return [_strongest_first(chain) for chain in chains.values()]


def split_chains(chains, n_parts):
    """Cut chains so that there is work for ``n_parts`` at once."""
    pieces = max(1, n_parts // len(chains))
    out = []
    for chain in chains:
        n_pieces = min(pieces, len(chain))
        cuts = np.linspace(0, len(chain), n_pieces + 1).astype(int)
        out += [chain[a:b] for a, b in pairwise(cuts)]
    return out


def _with_params(estimator, params):
    # Parameters that are estimators are cloned: no candidate fits another's.
    return clone(estimator).set_params(**clone(params, safe=False))


def _strongest_first(chain):
    penalty = chain[0].penalty
    if penalty is None:
        return chain
    sign = 1.0 if penalty.split("__")[-1] == "C" else -1.0
    return sorted(chain, key=lambda c: sign * np.max(c.params[penalty]))


def _full_name(estimator, prefix=""):
    """Nested name of the penalty's parameter, None where there is none."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return _full_name(last, f"{prefix}{name}__")
    name = penalty_parameter(estimator)
    return None if name is None else prefix + name


class ChainFitter:
    """Fits the heads of one chain, each from where the last one ended.

    Parameters
    ----------
    estimator : estimator
    X, y : training rows and targets
    sample_weight : array-like of shape (n_rows,) or None

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        Of the last candidate; None for regression.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.model = self.fitted = self.classes = None

    def fit(self, candidate):
        """The candidate's head at its optimum.

        Parameters
        ----------
        candidate : Candidate

        Returns
        -------
        fitted : FittedHead
        """
        if self.fitted is None:
            self.fitted = self._fit_anew(candidate)
        else:
            self.fitted = self._move_on(candidate)
        return self.fitted

    def _fit_anew(self, candidate):
        model = _with_params(self.estimator, candidate.params)
        self.model = fit_weighted(model, self.X, self.y, self.sample_weight)
        head = linear_head(self.model, self.y, self.sample_weight)
        head = head.trained_on(self.X)
        self.classes = head.classes
        return fit_head(head, check_embedding(head.embed(self.X)))

    def _move_on(self, candidate):
        value = candidate.params[candidate.penalty]
        model = _retuned(self.model, candidate.penalty, value)
        penalty = linear_head(model, self.y, self.sample_weight).penalty
        last = self.fitted
        objective = replace(last.objective, penalty=penalty)
        check_scales(objective, last.theta)
        end = minimize(objective, last.theta, last.solver)
        if not end.converged:
            warn_user(
                f"Newton's method stopped before the optimum of {candidate.params}: "
                "its objective may have none. Penalise the estimator more.",
                ConvergenceWarning,
            )
        return FittedHead(
            objective,
            end.theta,
            end.raw,
            objective.residual(end.raw),
            end.operator,
            last.solver,
            end.state,
            end.gap,
        )


def _retuned(model, name, value):
    """A fitted estimator with another penalty, its fitted parts shared."""
    model = copy(model)
    if not isinstance(model, Pipeline):
        model.set_params(**{name: value})
        # No fit follows that would.
        model._validate_params()
        return model
    step, _, rest = name.partition("__")
    model.steps = [*model.steps[:-1], (step, _retuned(model.steps[-1][1], rest, value))]
    return model
