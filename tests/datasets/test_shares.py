"""Shares that are no whole number of rows, on both sides of a half and on it."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from sklinfluence.datasets import add_backdoor, corrupt_targets, flip_labels

N_ROWS = 41


def flipped(kind):
    def count(share):
        X, y = make_blobs(N_ROWS, centers=3, cluster_std=4.0, random_state=0)
        given = {"X": X} if kind == "instance" else {}
        return flip_labels(y, share, kind=kind, random_state=0, **given)[1]

    return count


def poisoned(share):
    X, y = make_blobs(N_ROWS, centers=3, random_state=0)
    found = add_backdoor(X, y, target=1, rate=share, trigger=lambda rows: rows + 1)
    return found[2]


def corrupted(share):
    return corrupt_targets(np.arange(float(N_ROWS)), share, random_state=0)[1]


SHARES = {
    "uniform": flipped("uniform"),
    "instance": flipped("instance"),
    "backdoor": poisoned,
    "targets": corrupted,
}


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("whole", [0, 3, 10])
def test_a_share_is_rounded_to_the_nearest_number_of_rows(name, whole):
    for fraction, more in [(0.45, 0), (0.499, 0), (0.501, 1), (0.55, 1), (0.0, 0)]:
        marked = SHARES[name]((whole + fraction) / N_ROWS)
        assert marked.sum() == whole + more, fraction
