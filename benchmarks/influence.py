"""How close the Cholesky route comes to what the machine can multiply, and to peers.

A limit is the time that the floating-point operations of a step, counted for all K
outputs of a softmax, take as plain matrix products. Every case runs in a process of
its own for each number of threads, best of three. Rates move with the machine's load:
ratios are of wall time to the largest rate of wall time seen with that many threads,
and of CPU time to that of CPU time, for machines that others use too.

    python benchmarks/influence.py [--quick] [--threads 1 2] [--cases digits wide ...]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

# Rows, columns, classes.
CASES = {
    "digits": (1437, 64, 10),
    "wide": (20_000, 256, 10),
    "three": (50_000, 200, 3),
    "fifty": (8_000, 64, 50),
    "hundred": (8_000, 64, 100),
    "binary": (100_000, 128, 2),
    "ridge": (50_000, 200, 0),
}
N_QUERIES = 1000


class Stopwatch:
    """Least wall and CPU time of each step."""

    def __init__(self):
        self.best = {}

    def time(self, name, function):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        least = self.best.get(name, (wall, cpu))
        self.best[name] = min(wall, least[0]), min(cpu, least[1])
        return result


def product_rate(size=2000):
    """Operations of a matrix product a second of wall time, and of CPU time."""
    import numpy as np

    A = np.random.default_rng(0).standard_normal((size, size))
    watch = Stopwatch()
    for _ in range(5):
        watch.time("product", lambda: A @ A)
    return [2 * size**3 / seconds for seconds in watch.best["product"]]


def kernels():
    """What multiplies, and with which instructions."""
    import numpy as np
    from threadpoolctl import threadpool_info

    blas = {f"{i['internal_api']} {i.get('architecture')}" for i in threadpool_info()}
    simd = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return f"{', '.join(sorted(blas))}; numpy {' '.join(simd)}"


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_classes(n_rows, n_features, n_classes, seed=0):
    import numpy as np

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features))
    raw = X @ rng.normal(scale=0.1, size=(n_features, n_classes))
    return X, np.argmax(raw + rng.gumbel(size=raw.shape), axis=1)


def operations(n_rows, n_columns, n_classes, n_hessians, m):
    """Operations of each step, of all outputs, in the textbook's way."""
    n_outputs = 1 if n_classes == 2 else n_classes
    pairs = n_outputs * (n_outputs + 1) / 2
    p = n_outputs * n_columns
    # Symmetric updates, a factor, its inverse and the rows' blocks.
    fit = n_hessians * (pairs * n_rows * n_columns**2 + p**3 / 3)
    fit += 2 * p**3 / 3 + pairs * 2 * n_rows * n_columns**2
    first_order = 2.0 * n_rows * p * m + 4.0 * p**2 * m
    by_row = 2.0 * n_rows * p**2 + 2.0 * n_rows * m * p
    newton = by_row if n_outputs > 1 else first_order
    return {"fit": fit, "influence": first_order, "newton": newton}


def bench_classes(shape, repeats):
    """Seconds, operations and peak memory of a fit and of both matrices."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    from sklinfluence.gradient import InfluenceRanker

    X, y = make_classes(*shape)
    model = FrozenEstimator(LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y))
    asked = make_classes(N_QUERIES, *shape[1:], seed=1)
    rates, before, watch = [product_rate()], peak_mib(), Stopwatch()
    peaks = {}

    def fit(method):
        ranker = InfluenceRanker(model, method=method).fit(X, y)
        return ranker, ranker.self_influence_, ranker.leverage_, ranker.loo_proba_

    for _ in range(repeats):
        ranker = watch.time("fit", lambda: fit("influence"))[0]
        peaks.setdefault("fit", peak_mib() - before)
        watch.time("influence", lambda ranker=ranker: ranker.influence(*asked))
        ranker = fit("newton")[0]
        watch.time("newton", lambda ranker=ranker: ranker.influence(*asked))
    # A model at its optimum needs one Hessian: the gap says whether it was.
    n_hessians = 1 if ranker.stationarity_gap_ < 1e-6 else 2
    counts = operations(shape[0], shape[1] + 1, shape[2], n_hessians, N_QUERIES)
    peaks["all"] = peak_mib() - before
    return {
        "seconds": watch.best,
        "operations": counts,
        "peaks": peaks,
        "rates": [*rates, product_rate()],
        "hessians": n_hessians,
    }


def bench_ridge(shape, repeats):
    """Leverage, leave-one-out and Cook's distance of a linear model."""
    import numpy as np
    import statsmodels.api as sm
    from sklearn.linear_model import Ridge, RidgeCV

    from sklinfluence.gradient import InfluenceRanker

    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape[:2])
    y = X @ rng.standard_normal(shape[1]) + rng.standard_normal(shape[0])

    def ours():
        ranker = InfluenceRanker(Ridge()).fit(X, y)
        return ranker.leverage_, ranker.loo_prediction_, ranker.label_scores("cook")

    def statsmodels_ols():
        influence = sm.OLS(y, sm.add_constant(X)).fit().get_influence()
        cook, _ = influence.cooks_distance
        return influence.hat_matrix_diag, influence.resid_press, cook

    def ridge_cv():
        return RidgeCV(alphas=[1.0], store_cv_results=True).fit(X, y).cv_results_

    rates, watch = [product_rate()], Stopwatch()
    for _ in range(repeats):
        watch.time("leverage, LOO, Cook", ours)
        watch.time("RidgeCV (LOO alone)", ridge_cv)
        watch.time("statsmodels OLS", statsmodels_ols)
    return {"seconds": watch.best, "rates": [*rates, product_rate()]}


def run_alone(case, n_threads, quick):
    """What one case prints in a process whose BLAS has so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(n_threads))}
    command = [sys.executable, __file__, "--alone", case]
    command += ["--quick"] if quick else []
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def report(case, shape, found, rate):
    print(f"\n{case}: {shape[0]} x {shape[1]}, {shape[2] or 'no'} classes")
    if "operations" not in found:
        own = next(iter(found["seconds"].values()))[0]
        for name, (wall, cpu) in found["seconds"].items():
            time = f"{wall:7.2f} s (CPU {cpu:6.2f})"
            print(f"  {name:22s} {time}   of ours {wall / own:.2f}")
        return
    for name, (wall, cpu) in found["seconds"].items():
        limit, of_cpu = (found["operations"][name] / each for each in rate)
        print(
            f"  {name:10s} {wall:7.2f} s (CPU {cpu:6.2f})   limit {limit:6.2f} s   "
            f"ratio {wall / limit:5.2f} (CPU {cpu / of_cpu:5.2f})"
        )
    print(
        f"  {found['hessians']} Hessian(s); peak above the data: fit "
        f"{found['peaks']['fit']:.0f} MiB, all {found['peaks']['all']:.0f} MiB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rows, once"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--cases", nargs="+", choices=CASES)
    parser.add_argument("--alone", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shrink, repeats = (10, 1) if asked.quick else (1, 3)
    shapes = {
        name: (max(shape[0] // shrink, 400), *shape[1:])
        for name, shape in CASES.items()
    }
    # A hundred outputs are as many parameters with a tenth of the rows.
    small = [name for name in CASES if name != "hundred"]
    cases = asked.cases or (small if asked.quick else list(CASES))
    if asked.alone:
        bench = bench_ridge if asked.alone == "ridge" else bench_classes
        print(json.dumps(bench(shapes[asked.alone], repeats)))
        return
    for n_threads in asked.threads:
        found = {case: run_alone(case, n_threads, asked.quick) for case in cases}
        rates = [rate for one in found.values() for rate in one["rates"]]
        walls, cpus = zip(*rates, strict=True)
        print(
            f"\n{n_threads} thread(s): products at {min(walls) / 1e9:.1f} to "
            f"{max(walls) / 1e9:.1f} GFLOP a second ({max(cpus) / 1e9:.1f} a CPU "
            f"second); {kernels()}"
        )
        for case, one in found.items():
            report(case, shapes[case], one, (max(walls), max(cpus)))


if __name__ == "__main__":
    main()
