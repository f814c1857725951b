"""What a worker evaluates at once: a set of players, or a permutation both ways."""

from dataclasses import dataclass
from itertools import takewhile

import numpy as np


def generator(seed, k):
    """The random numbers of unit k: any worker can draw them, in any order."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))


@dataclass(frozen=True, eq=False)
class SetUnit:
    """One set of players: step 0."""

    chosen: np.ndarray

    def run(self, utility, known):
        return [] if 0 in known else [(0, *utility(self.chosen))]


@dataclass(frozen=True, eq=False)
class WalkUnit:
    """A permutation of the players and its reverse: step s of the first has s players.

    The reverse, an antithetic permutation, counts its steps from n_players + 1.

    Attributes
    ----------
    order : ndarray of shape (n_players,)
    whole : float
        The utility of all players.
    truncation : float
        A walk ends where its utility is nearer than this to that of all.
    """

    order: np.ndarray
    whole: float
    truncation: float = 0.0

    def run(self, utility, known):
        n = len(self.order)
        found = []
        for first, order in ((0, self.order), (n + 1, self.order[::-1])):
            for size in range(1, n):
                step = first + size
                if step in known:
                    value = known[step][0]
                else:
                    value, error = utility(order[:size])
                    found.append((step, value, error))
                if abs(self.whole - value) < self.truncation:
                    break
        return found


def walk_together(utility, units, evaluated):
    """What is new of many `WalkUnit`, whose utility is in closed form.

    A whole walk costs no more than its last step: it is one record, (first step,
    utilities, error).
    """
    n, todo = len(units[0].order), []
    for at, (unit, known) in enumerate(zip(units, evaluated, strict=True)):
        for first, order in ((0, unit.order), (n + 1, unit.order[::-1])):
            if not _is_walked(unit, known, first):
                todo.append((at, first + 1, order))
    found = [[] for _ in units]
    if todo:
        orders = np.array([order for _, _, order in todo])
        walks, error = utility.along_orders(orders)
        for (at, first, _), values in zip(todo, walks[:, :-1], strict=True):
            walked = values[: _n_walked(units[at], values)].tolist()
            found[at].append((first, walked, error))
    return found


def _n_walked(unit, values):
    """Steps until a walk is near enough to the end."""
    near = np.flatnonzero(np.abs(unit.whole - values) < unit.truncation)
    return near[0] + 1 if near.size else len(values)


def _is_walked(unit, known, first):
    """Whether every step of a walk is known, up to where it ends."""
    n = len(unit.order)
    steps = [known.get(first + size) for size in range(1, n)]
    values = [outcome[0] for outcome in takewhile(bool, steps)]
    ends = np.abs(unit.whole - np.array(values)) < unit.truncation
    return len(values) == n - 1 or bool(ends.any())


@dataclass(frozen=True, eq=False)
class GradientUnit:
    """A permutation and its reverse, each walked by one step of training a player.

    What a model scores after a step depends on the order of all steps before it, so
    that the last one, of all players, is of its own walk too. Steps are counted as
    `WalkUnit` counts them.

    Attributes
    ----------
    order : ndarray of shape (n_players,)
    """

    order: np.ndarray

    def run(self, utility, known):
        n = len(self.order)
        found = []
        for first, order in ((0, self.order), (n + 1, self.order[::-1])):
            if all(first + size in known for size in range(1, n + 1)):
                continue
            for size, outcome in enumerate(utility.along(order), start=1):
                if first + size not in known:
                    found.append((first + size, *outcome))
        return found


def walked_marginals(unit, steps, empty, whole):
    """Gains along a permutation and its reverse, each at its player: two of (2, n).

    Returns
    -------
    marginals : ndarray of shape (2, n_players)
        NaN beside a utility that could not be evaluated; 0 beyond a truncation.
    places : ndarray of shape (2, n_players)
        How many players stood before each.
    """
    n = len(unit.order)
    marginals, places = np.empty((2, n)), np.empty((2, n), dtype=int)
    for way, order in enumerate((unit.order, unit.order[::-1])):
        first = way * (n + 1)
        reached = [steps.get(first + size, whole) for size in range(1, n + 1)]
        values = np.array([empty, *reached])
        marginals[way, order] = np.diff(values)
        places[way, order] = np.arange(n)
    return marginals, places
