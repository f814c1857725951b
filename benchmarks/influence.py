"""How close the Cholesky route comes to what the machine can multiply, and to peers.

Every figure is a ratio within one run: CPU seconds of a step over the time that the
same count of floating-point operations takes as plain matrix products (measured here,
first and last), or over a peer's time for the same work. Run it on one thread:

    OMP_NUM_THREADS=1 python benchmarks/influence.py [--quick]
"""

import argparse
import resource
import time

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

from sklinfluence.gradient import InfluenceRanker


def cpu_seconds(function, repeats=1):
    """Least CPU time of a few runs, and the last result."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def product_rate(size=2000):
    """Floating-point operations a CPU second of a matrix product."""
    A = np.random.default_rng(0).standard_normal((size, size))
    seconds, _ = cpu_seconds(lambda: A @ A, repeats=5)
    return 2 * size**3 / seconds


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_classes(n_rows, n_features, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features))
    raw = X @ rng.normal(scale=0.1, size=(n_features, n_classes))
    return X, np.argmax(raw + rng.gumbel(size=raw.shape), axis=1)


def operations(n_rows, n_columns, n_classes, n_hessians):
    """Operations of a fit: Hessians by symmetric updates, factors, inverse, B_i."""
    n_outputs = 1 if n_classes == 2 else n_classes
    pairs = n_outputs * (n_outputs + 1) / 2
    p = n_outputs * n_columns
    hessian = pairs * n_rows * n_columns**2
    factor = p**3 / 3
    return {
        "fit": n_hessians * (hessian + factor)
        + 2 * p**3 / 3
        + pairs * 2 * n_rows * n_columns**2,
        "influence": lambda m: 2.0 * n_rows * p * m + 4.0 * p**2 * m,
        "newton": lambda m: (
            2.0 * n_rows * p**2 + 2.0 * n_rows * m * p
            if n_outputs > 1
            else 2.0 * n_rows * p * m + 4.0 * p**2 * m
        ),
    }


def report(name, seconds, count, rate):
    limit = count / rate
    print(
        f"  {name:34s} {seconds:8.2f} s   {count / 1e9:8.1f} GFLOP   "
        f"limit {limit:7.2f} s   ratio {seconds / limit:5.2f}"
    )


def bench_classes(n_rows, n_features, n_classes, n_queries, rate):
    print(f"\n{n_rows} x {n_features}, {n_classes} classes, {n_queries} queries")
    X, y = make_classes(n_rows, n_features, n_classes)
    model = FrozenEstimator(LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y))
    X_asked, y_asked = make_classes(n_queries, n_features, n_classes, seed=1)
    before = peak_mib()
    ranker = InfluenceRanker(model)
    seconds, _ = cpu_seconds(lambda: ranker.fit(X, y))
    print(f"  peak memory above the data: {peak_mib() - before:.0f} MiB")
    # A model at its optimum needs one Hessian: the gap says whether it was.
    n_hessians = 1 if ranker.stationarity_gap_ < 1e-6 else 2
    counts = operations(n_rows, n_features + 1, n_classes, n_hessians)
    name = f"{n_hessians} Hessian(s), factor, self-influence, LOO"
    report(name, seconds, counts["fit"], rate)
    seconds, _ = cpu_seconds(lambda: ranker.influence(X_asked, y_asked))
    report("influence matrix", seconds, counts["influence"](n_queries), rate)
    newton = InfluenceRanker(model, method="newton").fit(X, y)
    seconds, _ = cpu_seconds(lambda: newton.influence(X_asked, y_asked))
    report("newton matrix", seconds, counts["newton"](n_queries), rate)


def bench_ridge(n_rows, n_features):
    """Leverage, leave-one-out and Cook's distance of a linear model."""
    import statsmodels.api as sm

    print(f"\nLinear model, {n_rows} x {n_features}: fit, leverage, LOO, Cook")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features))
    y = X @ rng.standard_normal(n_features) + rng.standard_normal(n_rows)

    def ours():
        ranker = InfluenceRanker(Ridge()).fit(X, y)
        return ranker.leverage_, ranker.loo_prediction_, ranker.label_scores("cook")

    def statsmodels_ols():
        influence = sm.OLS(y, sm.add_constant(X)).fit().get_influence()
        cook, _ = influence.cooks_distance
        return influence.hat_matrix_diag, influence.resid_press, cook

    def ridge_cv():
        return RidgeCV(alphas=[1.0], store_cv_results=True).fit(X, y).cv_results_

    own, _ = cpu_seconds(ours, repeats=3)
    print(f"  sklinfluence Ridge                  {own:8.2f} s")
    for name, peer in (
        ("statsmodels OLS (no penalty)", statsmodels_ols),
        ("RidgeCV (squared LOO residuals only)", ridge_cv),
    ):
        seconds, _ = cpu_seconds(peer, repeats=3)
        print(f"  {name:35s} {seconds:8.2f} s   ratio {seconds / own:5.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    shrink = 10 if parser.parse_args().quick else 1
    rate = product_rate()
    print(f"Matrix products: {rate / 1e9:.1f} GFLOP a CPU second")
    bench_classes(1437, 64, 10, 360, rate)
    bench_classes(20_000 // shrink, 256, 10, 1000 // shrink, rate)
    bench_classes(100_000 // shrink, 128, 2, 1000 // shrink, rate)
    bench_ridge(50_000 // shrink, 200)
    print(
        f"\nMatrix products at the end: {product_rate() / 1e9:.1f} GFLOP a CPU second"
    )


if __name__ == "__main__":
    main()
