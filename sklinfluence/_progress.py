"""Progress of long fits, through scikit-learn's own callbacks.

``estimator.set_callbacks(ProgressBar())`` is all that a user writes; without callbacks,
or with a scikit-learn that has none (they came in 1.9, experimental), nothing here
costs anything.
"""

from contextlib import contextmanager
from functools import partial

from sklearn.frozen import FrozenEstimator


class FitTracker:
    """Reports the tasks of one fit to the estimator's callbacks.

    Parameters
    ----------
    estimator : estimator
        One that inherits `CallbackSupportMixin`.
    X, y : object
        Training data, as callbacks see it.
    """

    def __init__(self, estimator, X=None, y=None):
        self.estimator = estimator
        self.context = None
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)

    @contextmanager
    def task(self, name):
        """One step of the fit."""
        with self._running(self.context, task_name=name):
            yield

    def each(self, name, items):
        """The items, one by one, as subtasks of one step; an item ends as the next
        is asked for."""
        with self._running(
            self.context, task_name=name, max_subtasks=len(items)
        ) as context:
            for item in items:
                with self._running(context, task_name=name):
                    yield item

    def fitting(self, name, estimator):
        """One step that is the fit of another estimator, whose steps show below it."""
        return self._fitting(self.context, name, estimator)

    def each_fit(self, name, items):
        """Each item with the context in which to fit another estimator for it.

        Yields pairs of an item and a function of the estimator to be fitted.
        """
        with self._running(
            self.context, task_name=name, max_subtasks=len(items)
        ) as context:
            for item in items:
                yield item, partial(self._fitting, context, name)

    def done(self):
        """The fit is over."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator)

    @contextmanager
    def _running(self, parent, **description):
        if parent is None:
            yield None
            return
        context = parent.subcontext(**description)
        context.call_on_fit_task_begin(estimator=self.estimator)
        yield context
        context.call_on_fit_task_end(estimator=self.estimator)

    @contextmanager
    def _fitting(self, parent, name, estimator):
        # What is frozen is not fitted: it would never report that it has ended.
        if parent is None or isinstance(estimator, FrozenEstimator):
            with self._running(parent, task_name=name):
                yield
            return
        context = parent.subcontext(task_name=name)
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(estimator=self.estimator)
            yield
            context.call_on_fit_task_end(estimator=self.estimator)


def untracked(name, items):
    """What `FitTracker.each` is where nobody watches."""
    return items
