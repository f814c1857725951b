"""One map over blocks and fits: what plain `map` gives, in its order."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, current_thread

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn import config_context, get_config
from threadpoolctl import threadpool_info, threadpool_limits

from sklinfluence._scheduling import (
    map_blocks,
    map_fits,
    map_rows,
    pool_of_fits,
    sum_rows,
    tree_sum,
)

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


# Passes over rows.


def blas_threads():
    blas = [each for each in threadpool_info() if each["user_api"] == "blas"]
    counts = {each["num_threads"] for each in blas}
    return counts.pop() if len(counts) == 1 else counts


def products(seed):
    A = np.random.default_rng(seed).standard_normal((60, 40))
    return A.T @ A


@pytest.fixture
def blas_on_two():
    with threadpool_limits(2, "blas"):
        if blas_threads() != 2:
            pytest.skip("BLAS has one thread here")
        yield


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 5, -1])
def test_rows_come_in_order_and_configured(n_jobs):
    with config_context(working_memory=3):
        found = map_rows(lambda i: (i, memory_in_force(i)), range(30), n_jobs=n_jobs)
    assert found == [(i, 3) for i in range(30)]
    assert map_rows(add, [], [], n_jobs=n_jobs) == []
    with pytest.raises(ValueError, match="zip"):
        map_rows(add, range(3), range(2), n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 7])
def test_sums_are_bit_by_bit_those_of_one_thread(n_jobs):
    truth = tree_sum([products(seed) for seed in range(13)])
    np.testing.assert_array_equal(
        sum_rows(products, range(13), n_jobs=n_jobs), truth, strict=True
    )


def test_no_more_rows_are_drawn_than_keep_threads_busy():
    drawn, done = [], []

    def arguments():
        for i in range(20):
            drawn.append(i)
            assert len(drawn) - len(done) <= 5
            yield i

    def work(i):
        done.append(i)
        return i

    assert map_rows(work, arguments(), n_jobs=2) == list(range(20))


def test_as_many_threads_as_blas_would_use(blas_on_two):
    together = Barrier(2, timeout=30)
    assert map_rows(lambda _: together.wait() >= 0, range(2)) == [True, True]
    with threadpool_limits(1, "blas"):
        names = map_rows(lambda _: current_thread(), range(3))
    assert set(names) == {current_thread()}


def test_a_number_of_threads_of_joblibs_context():
    together = Barrier(3, timeout=30)
    with parallel_config(n_jobs=3):
        assert all(map_rows(lambda _: together.wait() >= 0, range(3)))


def nested(_):
    """On which threads a pass runs that is asked for inside a worker."""
    own = current_thread()
    return [thread is own for thread in map_rows(lambda _: current_thread(), range(3))]


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_inside_a_worker_of_joblibs_there_is_one_thread(backend, blas_on_two):
    with parallel_config(backend):
        found = Parallel(n_jobs=2)(delayed(nested)(i) for i in range(2))
    assert found == [[True] * 3] * 2
    assert map_rows(nested, range(3), n_jobs=2) == [[True] * 3] * 3


def test_blas_is_on_one_thread_inside_and_as_it_was_afterwards(blas_on_two):
    assert map_rows(lambda _: blas_threads(), range(4), n_jobs=2) == [1] * 4
    assert map_rows(lambda _: blas_threads(), range(1)) == [1]
    assert blas_threads() == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blas_is_as_it_was_after_an_exception(n_jobs, blas_on_two):
    def fail(i):
        raise OSError(f"block {i}")

    with pytest.raises(OSError, match="block 0"):
        map_rows(fail, range(4), n_jobs=n_jobs)
    assert blas_threads() == 2


def test_two_passes_that_overlap_leave_blas_as_it_was(blas_on_two):
    """The first to enter leaves first: the other must not put back its limit of one."""
    first, second, first_is_done = Event(), Event(), Event()

    def one(_):
        first.set()
        second.wait(30)

    def other(_):
        second.set()
        first_is_done.wait(30)
        return blas_threads()

    with ThreadPoolExecutor(2) as pool:
        a = pool.submit(map_rows, one, [0], n_jobs=1)
        first.wait(30)
        b = pool.submit(map_rows, other, [0], n_jobs=1)
        a.result(60)
        first_is_done.set()
        # Still inside, while the first is not: BLAS stays on one thread.
        assert b.result(60) == [1]
    assert blas_threads() == 2
