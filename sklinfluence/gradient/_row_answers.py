"""Answers about all training rows that come of one pass over them."""

from sklinfluence._source import Output
from sklinfluence.gradient._influence import influence_on_own
from sklinfluence.gradient._leave_one_out import (
    leverage,
    loo_decision,
    loo_probabilities,
)


def answer(reading, function):
    """A function of the reading, of those that leave each row out.

    Where rows are read block by block, one pass gives all of these; the others are
    then there.

    Parameters
    ----------
    reading : HeadReading or BlockReading
    function : callable
        `influence_on_own`, `leverage`, `loo_decision` or `loo_probabilities`.
    """
    K, loss = len(reading.fitted.theta), reading.fitted.objective.loss
    together = {
        influence_on_own: Output(reading.dtype),
        leverage: Output(),
        loo_decision: Output(after=() if K == 1 else (K,)),
    }
    if not loss.is_quadratic:
        together[loo_probabilities] = Output(after=(max(K, 2),))
    return reading.answer(function, together)
