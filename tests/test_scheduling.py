"""One map over blocks and fits: what plain `map` gives, in its order."""

import numpy as np
import pytest
from sklearn import config_context, get_config

from sklinfluence._scheduling import map_blocks, map_fits, pool_of_fits

N_JOBS = [None, 2]


def add(a, b):
    return a + b


def memory_in_force(_):
    return get_config()["working_memory"]


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("run", [map_blocks, map_fits])
def test_results_come_in_the_order_of_the_arguments(run, n_jobs):
    assert run(add, range(50), iter(range(50)), n_jobs=n_jobs) == list(range(0, 100, 2))


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("run", [map_blocks, map_fits])
def test_arguments_of_other_lengths_are_refused(run, n_jobs):
    with pytest.raises(ValueError, match="zip"):
        run(add, range(3), range(2), n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("run", [map_blocks, map_fits])
def test_scikit_learns_configuration_reaches_the_workers(run, n_jobs):
    with config_context(working_memory=3):
        assert run(memory_in_force, range(4), n_jobs=n_jobs) == [3] * 4


def test_an_argument_is_asked_for_when_its_turn_comes():
    done = []

    def arguments():
        for i in range(5):
            assert len(done) == i
            yield i

    map_blocks(done.append, arguments())
    assert done == list(range(5))


@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_a_pool_serves_several_calls(n_jobs):
    with pool_of_fits(n_jobs) as run:
        for shift in range(3):
            found = run(add, np.arange(4), [shift] * 4)
            assert found == list(np.arange(4) + shift)
