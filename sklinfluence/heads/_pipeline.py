"""Estimators around an estimator: Pipeline, FrozenEstimator, fitted searches."""

from dataclasses import replace
from functools import partial

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import does_nothing, steps_before_last, transformed
from sklinfluence.heads._linear_head import linear_head


@linear_head.register(Pipeline)
def _pipeline_head(estimator, y, sample_weight=None):
    name, last = estimator.steps[-1]
    if does_nothing(last):
        raise TypeError(
            f"The last step of the Pipeline, {name!r}, is {last!r}: it has no linear "
            "head. End the Pipeline in an estimator that has one."
        )
    steps = steps_before_last(estimator)
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
    return embed(transformed(steps, X))


def _settle_after(steps, settle, head, X):
    return settle(head, transformed(steps, X))
