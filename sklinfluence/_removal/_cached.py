"""Polishing and factoring through a joblib cache.

Two results are kept, each by what it depends on: the optimum (rows, targets, weights,
penalty, loss, starting parameters, solver), and the factor there (the same, the
damping, the solver). The rows themselves are hashed, never stored; what a solver's
state refers to of them is put back when it is read.
"""

import copy

from sklearn import get_config
from sklearn.utils.validation import check_memory

from sklinfluence.curvature import Stationary, init_state, minimize


class Cache:
    """`minimize` and ``solver.init``, remembered between fits.

    Parameters
    ----------
    memory : str, object with the joblib.Memory interface or None
        As in :class:`sklearn.pipeline.Pipeline`; None caches nothing.
    """

    def __init__(self, memory=None):
        self.is_on = memory is not None
        memory = check_memory(memory)
        self._minimize = memory.cache(_minimized)
        self._init = memory.cache(_initialised)

    def minimize(self, objective, theta, solver):
        """As :func:`~sklinfluence.curvature._newton.minimize`."""
        if not self.is_on:
            return minimize(objective, theta, solver)
        memory = get_config()["working_memory"]
        end, factored_at = self._minimize(objective, theta, solver, memory)
        end = copy.copy(end)
        end.operator = objective.hessian(factored_at)
        end.state = end.state.attached(end.operator)
        return end

    def init(self, solver, operator):
        """As ``solver.init``."""
        if not self.is_on:
            return init_state(solver, operator)
        memory = get_config()["working_memory"]
        return self._init(solver, operator, memory).attached(operator)


# What a preconditioner keeps of the Hessian goes by working_memory: part of the key.


def _minimized(objective, theta, solver, working_memory):
    end = minimize(objective, theta, solver)
    at = end.operator.raw
    state = end.state.attached(None)
    parts = (end.theta, end.raw, None, state, end.gap, end.converged, end.n_iter)
    return Stationary(*parts), at


def _initialised(solver, operator, working_memory):
    return init_state(solver, operator).attached(None)
