"""Long runs: broken off anywhere, and gone on with, they end in the same numbers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.naive_bayes import GaussianNB

from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)
from tests.retraining.games import classes_game

X, Y, VAL, _ = classes_game(9, GaussianNB())
MODEL = {"estimator": GaussianNB(), "random_state": 7}
RANKERS = [
    ShapleyRanker(**MODEL, max_evaluations=70),
    ShapleyRanker(**MODEL, max_evaluations=70, truncation=0.05),
    BanzhafRanker(**MODEL, max_evaluations=40),
    AMERanker(**MODEL, penalize=False, max_evaluations=40),
    DownsamplingRanker(**MODEL, max_evaluations=40),
    LeaveOneOutRanker(**MODEL),
]


@pytest.fixture(params=RANKERS, ids=str)
def ranker(request):
    return request.param


def values(ranker, **changes):
    return ranker.set_params(**changes).fit(X, Y, **VAL).values_


def test_processes_change_nothing(ranker):
    alone = values(ranker, n_jobs=None, journal=None)
    assert np.array_equal(alone, values(ranker, n_jobs=2))
    with parallel_config(backend="threading", n_jobs=2):
        assert np.array_equal(alone, values(ranker, n_jobs=None))


def test_a_journal_cut_anywhere_is_gone_on_with(ranker, tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = values(ranker, n_jobs=None, journal=str(path))
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    last = len(content) - len(lines[-1])
    somewhere = np.random.default_rng(0).integers(0, len(content), 5)
    for end in [*range(last, len(content) + 1), *somewhere]:
        path.write_bytes(content[:end])
        assert np.array_equal(whole, values(ranker))
        assert sorted(path.read_bytes().splitlines()) == sorted(content.splitlines())


def test_nothing_in_the_journal_is_evaluated_again(ranker, tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    values(ranker, n_jobs=None, journal=str(path))
    content = path.read_bytes()
    from sklinfluence.retraining import _utility

    def refuse(self, chosen):
        raise AssertionError("evaluated again")

    monkeypatch.setattr(_utility.Utility, "__call__", refuse)
    values(ranker)
    assert path.read_bytes() == content


def test_more_of_a_run_goes_on_where_it_ended(tmp_path):
    path = str(tmp_path / "journal.jsonl")
    values(BanzhafRanker(**MODEL, max_evaluations=20, journal=path))
    more = values(BanzhafRanker(**MODEL, max_evaluations=50, journal=path))
    alone = values(BanzhafRanker(**MODEL, max_evaluations=50))
    assert np.array_equal(more, alone)
    with open(path) as file:
        assert len(file.readlines()) == 1 + 50


def test_a_drawn_seed_is_kept(tmp_path):
    path = str(tmp_path / "journal.jsonl")
    ranker = BanzhafRanker(GaussianNB(), max_evaluations=20, journal=path)
    first = values(ranker)
    assert np.array_equal(first, values(ranker))
    with open(path) as file:
        assert json.loads(file.readline())["seed"] >= 0
    os.remove(path)
    assert not np.array_equal(first, values(ranker))


@pytest.mark.parametrize(
    ("change", "fit", "match"),
    [
        ({"scoring": "neg_log_loss"}, {}, "is of another run"),
        ({"estimator": GaussianNB(var_smoothing=0.1)}, {}, "is of another run"),
        ({}, {"y": np.roll(Y, 1)}, "is of another run"),
        ({}, {"sample_weight": np.arange(9.0)}, "is of another run"),
        ({"random_state": 8}, {}, "another random_state"),
    ],
)
def test_the_journal_of_another_run_is_refused(change, fit, match, tmp_path):
    path = str(tmp_path / "journal.jsonl")
    ranker = BanzhafRanker(**MODEL, max_evaluations=5, journal=path)
    ranker.fit(X, Y, **VAL)
    with pytest.raises(ValueError, match=match):
        ranker.set_params(**change).fit(**{"X": X, "y": Y, **VAL, **fit})


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"notes", b'{"format": 9}\n'])
def test_other_files_are_left_alone(content, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    ranker = BanzhafRanker(**MODEL, max_evaluations=5, journal=str(path))
    with pytest.raises(ValueError, match="path where nothing lies"):
        ranker.fit(X, Y, **VAL)
    assert path.read_bytes() == content


RUN = """
import numpy as np, sys, time
from sklearn.naive_bayes import GaussianNB
from sklinfluence.retraining import ShapleyRanker
from tests.retraining.games import classes_game

class Slow(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        time.sleep(0.002)
        return super().fit(X, y, sample_weight)

X, y, val, _ = classes_game(9)
ranker = ShapleyRanker(
    Slow(),
    max_evaluations=600,
    random_state=7,
    journal=sys.argv[1],
    n_jobs=int(sys.argv[2]),
)
print(ranker.fit(X, y, **val).values_.tolist())
"""


def run(path, n_jobs=1, **options):
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(path), str(n_jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def kill(process):
    """The run and, since they outlive it, its workers: all that it started."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ProcessLookupError):  # one that had no workers
        os.killpg(process.pid, signal.SIGKILL)


def survives(path, whole, delays, n_jobs):
    """Kills at so many seconds after the journal's first new line, then a whole run."""
    for delay in delays:
        size = path.stat().st_size if path.exists() else 0
        process = run(path, n_jobs, start_new_session=True)
        while process.poll() is None and not (
            path.exists() and path.stat().st_size > size
        ):
            time.sleep(0.01)
        time.sleep(delay)
        kill(process)
    assert run(path, n_jobs).communicate()[0] == whole
    lines = path.read_text().splitlines()
    places = [(r["k"], r["step"]) for r in map(json.loads, lines[1:])]
    assert len(places) == len(set(places))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_runs_end_in_the_same_values(tmp_path):
    whole = run(tmp_path / "whole").communicate()[0]
    delays = np.random.default_rng(0).uniform(0, 0.2, 2)
    survives(tmp_path / "killed", whole, delays, 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_runs_killed_at_twenty_moments_end_in_the_same_values(n_jobs, tmp_path):
    whole = run(tmp_path / "whole").communicate()[0]
    delays = np.random.default_rng(n_jobs).uniform(0, 0.06, 20)
    survives(tmp_path / "killed", whole, delays, n_jobs)


def test_a_journal_in_use_is_refused(tmp_path):
    path = tmp_path / "journal"
    process = run(path)
    try:
        while not (path.exists() and path.read_bytes().count(b"\n") > 1):
            time.sleep(0.01)
        ranker = BanzhafRanker(**MODEL, max_evaluations=5, journal=str(path))
        with pytest.raises(ValueError, match="open in another process"):
            ranker.fit(X, Y, **VAL)
    finally:
        process.kill()
        process.wait()
