"""The n x p gradients are never built: peak memory of a large fit."""

import subprocess
import sys

import pytest

# Not getrusage's peak: a child starts with that of the process it came from.
SCRIPT = """
import warnings
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklinfluence.gradient import InfluenceRanker

def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) / 1024

warnings.simplefilter("ignore", ConvergenceWarning)
rng = np.random.default_rng(0)
X = rng.normal(size=({n}, 256))
X[:, 1:] += 0.3 * X[:, :-1]
y = np.argmax(X @ rng.normal(size=(256, 10)) + 8 * rng.gumbel(size=({n}, 10)), axis=1)
# A quick fit; few rows, so that it leaves no peak of its own.
model = LogisticRegression(max_iter=30, C=0.1).fit(X[:2000], y[:2000])
before = peak()
ranker = InfluenceRanker(FrozenEstimator(model), method={method!r}, {more})
ranker.fit(X, y)
ranker.ranking_, ranker.loo_proba_
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["influence", "newton"])
@pytest.mark.parametrize("more", ["", "refit_head=False"])
def test_peak_memory_of_20_000_rows_256_columns_10_classes(method, more):
    # The gradients alone would be 20 000 x 2 570 x 8 bytes: 411 MB; a copy, twice that.
    script = SCRIPT.format(n=20_000, method=method, more=more)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    extra = float(done.stdout)
    print(f"{extra:.0f} MB above the data")
    assert extra < 700
