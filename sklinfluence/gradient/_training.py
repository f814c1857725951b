"""Training rows as a fit of `InfluenceRanker` takes them: in memory, or in blocks.

Which of the two is decided here, once, by where the rows are.
"""

from dataclasses import replace

import numpy as np

from sklinfluence._estimators import sliceable
from sklinfluence._removal import (
    BlockReading,
    HeadReading,
    check_embedding,
    fit_objective,
    leave_each_out,
    objective_of_source,
    polished,
    training_objective,
    warn_about_moments,
    warn_about_offset,
)
from sklinfluence._source import ArraySource, row_source
from sklinfluence.gradient._block_estimator import (
    balanced_weights,
    block_estimator,
    few_rows_of,
    is_fresh,
    put_parameters,
    with_class_weight,
)
from sklinfluence.heads import linear_head


def training(ranker, X, y, sample_weight):
    """The training rows of a ranker, checked.

    Returns
    -------
    rows : InMemory or InBlocks
    """
    source = row_source(X, y, sample_weight, ranker.shared_directory)
    kind = InMemory if isinstance(source, ArraySource) else InBlocks
    return kind(ranker, source)


def _optimum(rows, **options):
    """The head of some training rows at its optimum, by the ranker's parameters."""
    ranker = rows.ranker
    return fit_objective(
        rows.head,
        rows.objective,
        rows.theta,
        solver=ranker.solver,
        damping=ranker.damping,
        refit_head=ranker.refit_head,
        **options,
    )


class InMemory:
    """All training rows at hand."""

    def __init__(self, ranker, source):
        self.ranker, block = ranker, source.block
        self.X = sliceable(block.X)
        checked = ranker._check_training(self.X, block.y, block.weights)
        self.y, self.sample_weight = checked

    def fit_estimator(self):
        """The ranker's estimator, fitted."""
        return self.ranker._fit_estimator(self.X, self.y, self.sample_weight)

    def read(self, estimator):
        """Find the head of the fitted estimator on the rows."""
        head = linear_head(estimator, self.y, self.sample_weight).trained_on(self.X)
        embedding = check_embedding(head.embed(self.X))
        warn_about_offset(embedding, head.fit_intercept)
        self.head, self.dtype = head, embedding.dtype
        self.objective, self.theta = training_objective(head, embedding)

    def factor(self):
        """The head at its optimum, factored."""
        ranker = self.ranker
        fitted = _optimum(self, memory=ranker.memory)
        if ranker.refine is not None:
            fitted.refuse_approximate_rows("refine needs", " or refine=None")
        return fitted

    def reading(self, fitted, each):
        """What influence is read off; ``each`` reports progress."""
        ranker, left_out = self.ranker, None
        needs_rows = ranker.method == "newton" or ranker.normalize == "loss"
        if fitted.has_factor or needs_rows:
            left_out = leave_each_out(fitted, ranker.refine, ranker.n_jobs, each)
        return HeadReading(
            fitted,
            polished(self.head, fitted.theta),
            method=ranker.method,
            normalize=ranker.normalize,
            refine=ranker.refine,
            dtype=self.dtype,
            sample_weight=self.sample_weight,
            index=self.X.index if hasattr(self.X, "iloc") else None,
            n_jobs=ranker.n_jobs,
            given=left_out,
        )


class InBlocks:
    """Training rows that stay where they are, on a cluster."""

    def __init__(self, ranker, source):
        self.ranker, self.source = ranker, source
        self.X, self.y = source.X, source.y
        self._refuse_parameters()
        if source.y is None:
            raise ValueError(
                f"This {type(ranker).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        if not source.n_rows:
            raise ValueError("X has no rows.")
        source.warn_about_threads()

    def _refuse_parameters(self):
        """Name parameters that need all rows at hand."""
        ranker = self.ranker
        if ranker.refine is not None:
            raise ValueError(
                f"refine={ranker.refine!r} takes single rows to their optimum, one "
                "Hessian of all rows for each: not on a dask array. Pass refine=None."
            )
        if ranker.memory is not None:
            raise ValueError(
                "memory keeps results by the hash of the rows, and these are on a "
                "cluster: pass memory=None."
            )

    def fit_estimator(self):
        return block_estimator(self.ranker, self.source)

    def read(self, estimator):
        self.is_fresh = is_fresh(self.ranker.estimator)
        resolved = with_class_weight(
            estimator, balanced_weights(estimator, self.source)
        )
        head = linear_head(resolved, few_rows_of(self.source).y)
        # Targets and weights are where the rows are.
        head = replace(head, targets=head.targets[:0], weights=head.weights[:0])
        if head.l1 is not None or head.settle is not None:
            raise ValueError(
                f"{estimator!r} has an l1 penalty, or an objective that its training "
                "rows settle: on a dask array heads have an l2 penalty or none."
            )
        theta = np.array(head.coef, dtype=float)
        if head.fit_intercept:
            theta = np.column_stack([theta, head.intercept])
        self.theta = theta
        self.objective, survey = objective_of_source(self.source, head, resolved, theta)
        if survey["moments"] is not None and head.fit_intercept:
            n_rows, mean, squares = survey["moments"]
            warn_about_moments(mean, squares / n_rows)
        self.head, self.dtype = head, survey["dtype"]
        self.estimator = estimator

    def factor(self):
        ranker = self.ranker
        fitted = _optimum(self, is_fresh=self.is_fresh)
        if self.is_fresh:
            put_parameters(self.estimator, fitted.theta)
        solves = ranker.method == "newton" or ranker.normalize == "theta"
        if ranker.normalize == "loss" or solves:
            fitted.refuse_without_blocks("method='newton' or normalize")
        if solves and fitted.state.apply_inverse is None:
            raise ValueError(
                f"method='newton' and normalize='theta' solve where the rows are, and "
                f"{fitted.solver!r} does so by passes over all of them: on a dask "
                "array use solver='cholesky', or neither."
            )
        return fitted

    def reading(self, fitted, each):
        ranker = self.ranker
        return BlockReading(
            fitted,
            polished(self.head, fitted.theta),
            method=ranker.method,
            normalize=ranker.normalize,
            dtype=self.dtype,
        )
