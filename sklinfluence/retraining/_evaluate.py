"""Utilities of many sets of players, in batches that workers share."""

from functools import partial
from itertools import chain
from math import ceil

from joblib import effective_n_jobs

from sklinfluence._scheduling import pool_of_fits
from sklinfluence.retraining._units import WalkUnit, walk_together

# Units between two looks at a stopping rule. It is fixed, so that where a run stops
# does not depend on the number of workers.
BATCH = 16


def evaluate_units(utility, make_unit, n_units, *, journal, split, n_jobs, each, stop):
    """The outcomes of units 0, 1, ..., in their order.

    A unit is a set of players, or a permutation that meets many.

    Parameters
    ----------
    utility : Utility
    make_unit : callable
        ``make_unit(k)`` gives an object whose ``run(utility, known)`` lists the
        evaluations that ``known`` (step to (value, error)) has not: (step, value,
        error).
    n_units : int
        At most so many.
    journal : Journal
    split : int
        Which split of the rows this is: a name in the journal.
    n_jobs : int or None
    each : callable
        Reports progress: `FitTracker.each`.
    stop : callable
        ``stop(outcomes)``, asked after each batch, says whether they are enough.

    Returns
    -------
    outcomes : list of dict
        Of each unit, step to value.
    """
    known = journal.units(split)
    outcomes = []
    batches = range(0, n_units, BATCH)
    with pool_of_fits(n_jobs) as map_units:
        for start in each("evaluate utilities", batches):
            numbers = range(start, min(start + BATCH, n_units))
            units = [make_unit(k) for k in numbers]
            evaluated = [known.get(k, {}) for k in numbers]
            chunks = _chunks(utility, units, n_jobs)
            outcome = map_units(
                partial(_run, utility),
                [units[chunk] for chunk in chunks],
                [evaluated[chunk] for chunk in chunks],
            )
            for k, found in zip(numbers, chain.from_iterable(outcome), strict=True):
                for record in found:
                    journal.add(split, k, *record)
                outcomes.append(
                    {step: value for step, (value, _) in known.get(k, {}).items()}
                )
            journal.sync()
            if stop(outcomes):
                break
    return outcomes


def _chunks(utility, units, n_jobs):
    """Units that a worker takes at once: one, or its share where they are cheap."""
    n = 1
    if utility.closed_form is not None:
        n = ceil(len(units) / effective_n_jobs(n_jobs))
    return [slice(start, start + n) for start in range(0, len(units), n)]


def _run(utility, units, evaluated):
    """What is new of each unit."""
    if utility.closed_form is not None and isinstance(units[0], WalkUnit):
        return walk_together(utility, units, evaluated)
    pairs = zip(units, evaluated, strict=True)
    return [unit.run(utility, known) for unit, known in pairs]
