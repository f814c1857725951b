"""What a ranker knows of raw predictions without its training rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from numpy.typing import NDArray


@dataclass(frozen=True)
class RawChange:
    """How the raw predictions of some queries change when training rows leave.

    What a ranker's ``raw_change(X)`` returns, and all that
    :func:`~sklinfluence.metrics.metric_influence` asks of a ranker.

    Parameters
    ----------
    raw : ndarray of shape (n_queries, n_outputs)
        Raw predictions by the fitted model.
    link : {"identity", "exp", "sigmoid", "softmax", "one_vs_rest"} or None
        How predictions come of them: real targets as they are or by their
        exponential; class probabilities by a sigmoid of the one output, a softmax,
        sigmoids over their sum, or as they are. None: there are no probabilities.
    along : callable
        Takes a gradient of shape (n_queries, n_outputs), which need not sum to 0 over
        outputs; gives, to first order, the change of the sum of gradient times raw
        prediction when each training row leaves, (n_train,).
    without : callable
        Takes nothing; gives pairs of a slice of training rows and the changes of raw
        predictions without each of them, (n_queries, n_chosen, n_outputs), NaN for a
        row that cannot leave. As near to a refit as the ranker comes.

    Examples
    --------
    A model that predicts the mean of three targets, whatever is asked:

    >>> import numpy as np
    >>> from sklinfluence.base import RawChange
    >>> y = np.array([0.0, 1.0, 5.0])
    >>> left = (y.sum() - y) / 2 - y.mean()
    >>> change = RawChange(
    ...     raw=np.full((1, 1), y.mean()),
    ...     link="identity",
    ...     along=lambda gradient: gradient.sum() * (y.mean() - y) / 3,
    ...     without=lambda: iter([(slice(0, 3), left[None, :, None])]),
    ... )
    >>> change.along(np.ones((1, 1))).round(2)
    array([ 0.67,  0.33, -1.  ])
    """

    raw: NDArray
    link: str | None
    along: Callable[[NDArray], NDArray]
    without: Callable[[], Iterator[tuple[slice, NDArray]]]
