"""Estimators around an estimator: Pipeline, FrozenEstimator, fitted searches."""

from dataclasses import replace
from functools import partial

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklinfluence.heads._linear_head import linear_head


@linear_head.register(Pipeline)
def _pipeline_head(estimator, y, sample_weight=None):
    *before, (name, last) = estimator.steps
    if _does_nothing(last):
        raise TypeError(
            f"The last step of the Pipeline, {name!r}, is {last!r}: it has no linear "
            "head. End the Pipeline in an estimator that has one."
        )
    steps = [step for _, step in before if not _does_nothing(step)]
    _refuse_samplers(before)
    head = linear_head(last, y, sample_weight)
    if not steps:
        return head
    settle = head.settle and partial(_settle_after, steps, head.settle)
    return replace(head, embed=partial(_embed_after, steps, head.embed), settle=settle)


@linear_head.register(FrozenEstimator)
def _frozen_head(estimator, y, sample_weight=None):
    return linear_head(estimator.estimator, y, sample_weight)


@linear_head.register(GridSearchCV)
@linear_head.register(RandomizedSearchCV)
def _search_head(estimator, y, sample_weight=None):
    if not estimator.refit:
        raise ValueError(
            f"{type(estimator).__name__} with refit={estimator.refit!r} has no fitted "
            "best_estimator_ to take a linear head from. Set refit=True."
        )
    # An unfitted search raises NotFittedError, as an unfitted estimator does.
    check_is_fitted(estimator, "best_estimator_")
    return linear_head(estimator.best_estimator_, y, sample_weight)


def _embed_after(steps, embed, X):
    return embed(_transformed(steps, X))


def _settle_after(steps, settle, head, X):
    return settle(head, _transformed(steps, X))


def _transformed(steps, X):
    # Step by step and not by slicing the Pipeline: a slice that ends in a stateless
    # transformer counts as unfitted and warns.
    for step in steps:
        X = step.transform(X)
    return X


def _does_nothing(step):
    return step is None or (isinstance(step, str) and step == "passthrough")


def _refuse_samplers(steps):
    for name, step in steps:
        if hasattr(step, "fit_resample"):
            raise ValueError(
                f"Step {name!r} of the Pipeline, {type(step).__name__}, resamples its "
                "rows: the last step was not trained on the rows given, so they have "
                "no influence on it. Resample first, then fit a Pipeline without it."
            )
