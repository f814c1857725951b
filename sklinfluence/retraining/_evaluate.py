"""Utilities of many sets of players, in batches that workers share."""

from functools import partial

from sklinfluence._scheduling import pool_of_fits

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
            outcome = map_units(partial(_run, utility), units, evaluated)
            for k, found in zip(numbers, outcome, strict=True):
                for step, value, error in found:
                    journal.add(split, k, step, value, error)
                outcomes.append(
                    {step: value for step, (value, _) in known.get(k, {}).items()}
                )
            journal.sync()
            if stop(outcomes):
                break
    return outcomes


def _run(utility, unit, known):
    return unit.run(utility, known)
