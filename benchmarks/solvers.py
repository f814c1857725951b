"""Solvers on real sets: iterations, residuals, and how near approximations come.

    python benchmarks/solvers.py cg --sets satimage usps banking77_minilm
    python benchmarks/solvers.py cg --sets usps --columns 4 64 --working-memory 1.3
    python benchmarks/solvers.py ekfac --sets satimage usps letter covertype10k spambase
    python benchmarks/solvers.py low-rank --sets letter usps
    python benchmarks/solvers.py lissa --sets spambase satimage
    python benchmarks/solvers.py rows --sets digits letter satimage usps --C 1
    python benchmarks/solvers.py few-rows
    python benchmarks/solvers.py damping
    python benchmarks/solvers.py wide
    python benchmarks/solvers.py  # all of these on digits, or --sets

Sets are ``.npz`` files with X and y (or int8 ``X_q`` and ``X_scale``) in ``--data``;
those of scikit-learn can be named too, and what is in neither is skipped. Every set is
standardised, banking77's sentence embeddings apart. Beside the seconds stand the
operations that were counted and the rate that a matrix product of this machine reached
in the same run, so that a busy machine is seen for what it is.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path

import _data
import numpy as np
from scipy import sparse
from scipy.linalg import eigh
from scipy.stats import spearmanr
from sklearn import config_context, datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sklinfluence.curvature import EKFAC, Arnoldi, Cholesky, ConjugateGradient, LiSSA
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._objective import Objective
from sklinfluence.curvature._preconditioners._block_preconditioners import (
    BlockCholesky,
    BlockNystrom,
)
from sklinfluence.curvature._solvers import _row_space
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads import linear_head

BUNDLED = ["digits", "breast_cancer", "wine", "iris"]


def load(name, folder, n_rows=None):
    """X and y of a set, the first ``n_rows`` of a seeded shuffle."""
    path = folder / f"{name}.npz"
    if path.exists():
        with np.load(path) as file:
            y = file["y"]
            if "X_q" in file:
                X = file["X_q"].astype(np.float32) * file["X_scale"]
            else:
                X = scale(file["X"].astype(float))
    else:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        X = scale(X.astype(float))
    order = np.random.default_rng(0).permutation(len(y))[:n_rows]
    return X[order], y[order]


def problem(X, y, C, max_iter=300):
    """The Hessian of a logistic head and all its training gradients as a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=C, max_iter=max_iter).fit(X, y)
    head = linear_head(model, y)
    design = Design(head.embed(X), head.fit_intercept)
    parts = (design, head.loss, head.targets, head.weights, head.penalty)
    objective = Objective(*parts)
    theta = np.column_stack([head.coef, head.intercept])
    operator = objective.hessian(objective.raw(theta))
    residual = objective.residual(operator.raw)

    def gradients(rows):
        outer = residual[rows][:, :, None] * design.rows(rows)[:, None, :]
        return outer.reshape(len(rows), -1).T

    return operator, gradients


def product_rate():
    """Operations a second of a matrix product, now."""
    A = np.random.default_rng(0).normal(size=(2000, 1000))
    start = time.perf_counter()
    A.T @ A.copy()
    return 2 * 2000 * 1000**2 / (time.perf_counter() - start)


def timed(call):
    start = time.perf_counter()
    out = call()
    return out, time.perf_counter() - start


def run_cg(args):
    """Iterations of many right-hand sides, with and without each preconditioner."""
    for name in args.sets:
        X, y = load(name, args.data, args.rows)
        for C in args.C:
            operator, gradients = problem(X, y, C)
            n, (K, q) = len(y), operator.objective.shape
            for kind, m in product(args.preconditioners, args.columns):
                B = gradients(np.linspace(0, len(y) - 1, m).astype(int))
                kind = None if kind == "none" else kind
                solver = ConjugateGradient(preconditioner=kind)
                with config_context(working_memory=args.working_memory):
                    state, setup = timed(lambda s=solver, H=operator: s.init(H))
                (_, info), seconds = timed(
                    lambda s=solver, t=state, right=B: s.solve(t, right)
                )
                steps = info["n_iter"].max()
                count = 4 * n * K * q * m * (steps + 1)
                print(
                    f"{name:18} p={K * q:6d} C={C:<6g} {kind!s:13} {m:3d} columns, "
                    f"iterations {steps:4d} residual {info['residual'].max():.1e} "
                    f"set-up {setup:6.1f} s, {seconds:6.1f} s for {count / 1e9:.0f} "
                    f"GFLOP at a product's {product_rate() / 1e9:.0f} GFLOP/s",
                    flush=True,
                )


def self_influence(apply_inverse, G):
    return np.einsum("ij,ij->j", G, apply_inverse(G))


def exact_inverse(operator):
    solver = Cholesky()
    state = solver.init(operator)
    return lambda B: solver.solve(state, B)[0]


def run_ekfac(args):
    """Rank correlations of self-influence with the exact one."""
    for name in args.sets:
        X, y = load(name, args.data, args.rows or 5000)
        for C in args.C:
            operator, gradients = problem(X, y, C)
            G = gradients(np.arange(len(y))[:2000])
            exact = self_influence(exact_inverse(operator), G)
            lengths = np.einsum("ij,ij->j", G, G)
            inverses = {"ekfac": EKFAC().init(operator).apply_inverse}
            if not operator.is_block_diagonal:
                inverses["block"] = BlockCholesky(operator).apply_inverse
                inverses["block_nystrom(32)"] = BlockNystrom(operator, 32).apply_inverse
            print(
                f"{name:18} C={C:<6g} Spearman with exact self-influence; divided by "
                f"squared length; median ratio\n    {'squared length':18} "
                f"{spearmanr(lengths, exact)[0]:.4f}"
            )
            for kind, apply_inverse in inverses.items():
                ours = self_influence(apply_inverse, G)
                print(
                    f"    {kind:18} {spearmanr(ours, exact)[0]:.4f}  "
                    f"{spearmanr(ours / lengths, exact / lengths)[0]:.3f}  "
                    f"{np.median(ours / exact):.2f}",
                    flush=True,
                )


def mean_correlation(ours, truth):
    return np.mean([spearmanr(*pair)[0] for pair in zip(ours, truth, strict=True)])


def run_low_rank(args):
    """Query x row matrices of Arnoldi with and without tail, and of no curvature."""
    solvers = {"tail": Arnoldi(rank=200), "plain": Arnoldi(rank=200, tail=None)}
    for name in args.sets:
        X, y = load(name, args.data, args.rows or 3000)
        for C in args.C:
            operator, gradients = problem(X, y, C)
            G = gradients(np.arange(len(y))[:1000])
            Q = G[:, ::10]
            truth = exact_inverse(operator)(Q).T @ G
            figures = {"grad-dot": mean_correlation(Q.T @ G, truth)}
            for kind, solver in solvers.items():
                inverse = solver.init(operator).apply_inverse
                figures[kind] = mean_correlation(inverse(Q).T @ G, truth)
            line = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
            print(f"{name:18} p={len(G)} C={C:<6g} {line}", flush=True)


def run_lissa(args):
    """Query x row matrix of LiSSA, its steps and its residual."""
    for name in args.sets:
        X, y = load(name, args.data, args.rows or 2000)
        for C in args.C:
            operator, gradients = problem(X, y, C)
            G = gradients(np.arange(len(y))[:500])
            Q = G[:, ::25]
            truth = exact_inverse(operator)(Q).T @ G
            eigenvalues = np.linalg.eigvalsh(operator.dense())
            seen = eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]]
            solver = LiSSA(tol=1e-2)
            X_, info = solver.solve(solver.init(operator), Q)
            print(
                f"{name:18} p={len(G)} C={C:<6g} condition {seen[-1] / seen[0]:.0f} "
                f"matrix {mean_correlation(X_.T @ G, truth):.3f} steps "
                f"{info['n_iter'].max()} of {info['depth']} residual "
                f"{info['residual'].max():.1e}",
                flush=True,
            )


def run_damping(args):
    """Ten dampings against one eigendecomposition, by number of queries."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 160))
    y = np.argmax(X[:, :10] + 3 * rng.gumbel(size=(4000, 10)), axis=1)
    ranker = InfluenceRanker(LogisticRegression(C=0.1)).fit(X, y)
    H = ranker.reading_.fitted.operator.dense()
    dampings = np.logspace(-4, 1, 10)
    for m in (1, 16, 64, 256):
        _, one = timed(lambda: eigh(H, driver="evd"))
        _, ten = timed(lambda m=m: ranker.damping_path(dampings, X[:m], y[:m]))
        # What ten query x row matrices take by themselves, however they are solved.
        own = 2 * 10 * m * len(H) * len(y) / product_rate()
        print(
            f"p={len(H)} n={len(y)} queries {m:4d}: ten dampings {ten:.2f} s, one "
            f"decomposition {one:.2f} s, ratio {ten / one:.2f}; the matrices' own "
            f"products {own:.2f} s",
            flush=True,
        )
    for score in ("self_influence", "loo_score"):
        _, ten = timed(lambda score=score: ranker.damping_path(dampings, score=score))
        print(f"{score} of all rows: {ten:.2f} s, ratio {ten / one:.2f}", flush=True)


def run_wide(args):
    """Conjugate gradients at 100 000 parameters: 200 classes, 500 columns."""
    rng = np.random.default_rng(0)
    n, d, K = 8000, 499, 200
    centers = rng.normal(size=(K, d))
    y = rng.integers(K, size=n)
    X = centers[y] + 3.0 * rng.normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    operator, gradients = problem(X, y, 1.0, max_iter=60)
    for m in (1, 16):
        solver = ConjugateGradient()
        state, setup = timed(lambda s=solver: s.init(operator))
        B = gradients(np.arange(m))
        (_, info), seconds = timed(lambda s=solver, t=state, right=B: s.solve(t, right))
        print(
            f"p={K * (d + 1)} {m} right-hand sides: set-up {setup:.1f} s, "
            f"{seconds:.1f} s, {info['n_iter'].max()} iterations, residual "
            f"{info['residual'].max():.1e}, a product's "
            f"{product_rate() / 1e9:.0f} GFLOP/s",
            flush=True,
        )


def run_rows(args):
    """Leave-one-out losses by approximate blocks of rows, a tenth mislabelled."""
    for (name, C), kind in product(
        product(args.sets, args.C), ["block", "block_nystrom", "ekfac"]
    ):
        X, y = load(name, args.data, args.rows or 1500)
        rng = np.random.default_rng(0)
        y = np.where(rng.random(len(y)) < 0.1, rng.permutation(y), y)
        model = LogisticRegression(C=C, max_iter=400)
        exact = InfluenceRanker(model, solver="cholesky").fit(X, y)
        # Memory for Nyström blocks of rank 32.
        n_bytes = 16 * len(np.unique(y)) * (X.shape[1] + 1) * 32.5
        memory = n_bytes / 2**20 if kind == "block_nystrom" else args.working_memory
        solver = ConjugateGradient(preconditioner=kind, rows="preconditioner")
        with config_context(working_memory=memory):
            ours = InfluenceRanker(model, solver=solver).fit(X, y)
        truth, fitted = exact.label_scores("loo_loss"), exact.label_scores("loss")
        error = np.abs(ours.label_scores("loo_loss") - truth)
        shift = np.abs(truth - fitted)
        print(
            f"{name:18} C={C:<6g} {kind:13} median error over median shift "
            f"{np.median(error) / np.median(shift):.2f}, worst over largest "
            f"{error.max() / shift.max():.2f}, loo_score_ {ours.loo_score_:.3f} "
            f"(exact {exact.loo_score_:.3f})",
            flush=True,
        )


def run_few_rows(args):
    """A fit on 2000 sparse rows of 5000 columns, factored over either."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((2000, 5000), density=0.003, rng=rng, format="csr")
    y = np.where(X[:, :50].sum(axis=1) + 0.1 * rng.normal(size=2000) > 0.075, 1, 0)
    for over, few in (("rows", _row_space.FEW_ROWS), ("columns", 0.0)):
        _row_space.FEW_ROWS = few
        start = time.process_time()
        ranker = InfluenceRanker(LogisticRegression(C=10), solver="cholesky").fit(X, y)
        print(
            f"factor over the {over}: {time.process_time() - start:.1f} CPU s, sum of "
            f"leverages {ranker.leverage_.sum():.9f}",
            flush=True,
        )


RUNS = {
    "cg": run_cg,
    "ekfac": run_ekfac,
    "low-rank": run_low_rank,
    "lissa": run_lissa,
    "rows": run_rows,
    "few-rows": run_few_rows,
    "damping": run_damping,
    "wide": run_wide,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", choices=[*RUNS, "all"], default="all")
    parser.add_argument("--sets", nargs="+", default=["digits"])
    parser.add_argument("--C", nargs="+", type=float, default=[0.01, 1.0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--data", type=Path, default=_data.FOLDER)
    parser.add_argument(
        "--preconditioners",
        nargs="+",
        default=["none", "block", "block_nystrom", "ekfac", "nystrom"],
    )
    parser.add_argument(
        "--working-memory", type=float, default=1024, help="MiB for a preconditioner"
    )
    parser.add_argument("--columns", nargs="+", type=int, default=[64])
    arguments = parser.parse_args()
    arguments.sets = _data.present(arguments.sets, BUNDLED, arguments.data)
    for run in RUNS if arguments.run == "all" else [arguments.run]:
        RUNS[run](arguments)
