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
    """

    raw: NDArray
    link: str | None
    along: Callable[[NDArray], NDArray]
    without: Callable[[], Iterator[tuple[slice, NDArray]]]
