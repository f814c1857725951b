"""Self-influence of more rows than memory holds, streamed from a float32 memory map.

EK-FAC on a wide softmax head: factors, self-influence and leave-one-out of every row in
passes over the file, memory constant in the number of rows but for a few numbers each.

    python benchmarks/streaming.py [--rows 1000000] [--columns 768] [--classes 10]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sklinfluence.gradient import InfluenceRanker

N_FITTED = 20_000  # rows that the frozen model was trained on
N_WRITTEN = 10_000  # rows written at a time


def write_rows(path, n_rows, n_columns, n_classes, seed=0):
    """Fill the file with normal rows; labels from a noisy linear rule."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(scale=n_columns**-0.5, size=(n_columns, n_classes))
    X = np.memmap(path, np.float32, "w+", shape=(n_rows, n_columns))
    y = np.empty(n_rows, dtype=np.int64)
    for start in range(0, n_rows, N_WRITTEN):
        block = slice(start, min(start + N_WRITTEN, n_rows))
        rows = rng.standard_normal((block.stop - start, n_columns), dtype=np.float32)
        raw = 3.0 * rows @ direction
        X[block] = rows
        y[block] = np.argmax(raw + rng.gumbel(size=raw.shape), axis=1)
    X.flush()
    return y


def anonymous_mib():
    """Resident memory that is not the file's own pages, MiB."""
    status = Path("/proc/self/status").read_text()
    value = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(value.split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--refit", action="store_true", help="polish on all rows too")
    arguments = parser.parse_args()
    shape = (arguments.rows, arguments.columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.f32"
        y = write_rows(path, *shape, arguments.classes)
        X = np.memmap(path, np.float32, "r", shape=shape)
        model = LogisticRegression(C=0.01, max_iter=300)
        model.fit(np.array(X[:N_FITTED]), y[:N_FITTED])
        before = anonymous_mib()
        start = time.perf_counter()
        ranker = InfluenceRanker(
            FrozenEstimator(model), solver="ekfac", refit_head=arguments.refit
        ).fit(X, y)
        fitted = time.perf_counter() - start
        scores = ranker.self_influence_
        total = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"rows {shape[0]}, columns {shape[1]}, classes {arguments.classes}")
        print(f"fit {fitted:.1f} s, self-influence of all rows by {total:.1f} s")
        print(f"finite scores: {np.isfinite(scores).sum()} of {len(scores)}")
        print(f"peak resident memory {peak:.0f} MiB, the file's pages included;")
        print(f"anonymous {before:.0f} MiB before, {anonymous_mib():.0f} MiB after")


if __name__ == "__main__":
    main()
