"""Influence of a whole network: this package's solvers against other packages.

    python benchmarks/deep.py
    python benchmarks/deep.py --damping 0.01 --skip-truth
    python benchmarks/deep.py --mislabels digits mnist
    python benchmarks/deep.py --decay
    python benchmarks/deep.py --last-layer

The work: an MLP 64-128-10 on digits with 5 % of the labels flipped, 1437 training rows,
100 queries. Truth is the exact damped Gauss-Newton influence of all 9610 parameters, by
a Cholesky factor of the dense matrix. Printed: CPU seconds; by how much the peak of
resident memory rose above what was in use before; the mean over queries of the Spearman
correlation of a query's row with truth; and the largest relative error. Each method has
a process of its own. Packages that are not installed (pyDVL, kronfluence, dattri) are
left out; all are given the same damping, with the weight decay added to it (see
``deep_peers.py``).

``--mislabels`` compares scores of flipped labels from pixels with those from what the
last layer of a small convolutional network receives. ``--decay`` finds them around an
MLP trained with and without weight decay. ``--last-layer`` holds the last
layer's self-influence and influence against those of all parameters.
"""

import argparse
import gc
import importlib
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import _data
import deep_peers
import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklinfluence.curvature import EKFAC, Arnoldi, ConjugateGradient, Nystrom
from sklinfluence.deep import DeepInfluenceRanker
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

DECAY = 1e-4
FILES = {"digits": "digits", "mnist": "mnist_train5k"}


def flipped(y, rate, seed=0):
    """Labels of which a share was replaced by another, and which ones."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(len(y), dtype=bool)
    wrong[rng.choice(len(y), int(rate * len(y)), replace=False)] = True
    other = (y + rng.integers(1, 10, len(y))) % 10
    return np.where(wrong, other, y), wrong


def make_work():
    """The trained net, training rows with flipped labels, and queries."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X, X_query, y, y_query = train_test_split(
        X, y, test_size=360, random_state=0, stratify=y
    )
    y, _ = flipped(y, 0.05)
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
        criterion=nn.CrossEntropyLoss,
        max_epochs=100,
        batch_size=128,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=DECAY,
        lr=1e-3,
        train_split=None,
        verbose=0,
    ).fit(X, y)
    return net, X, y, X_query[:100], y_query[:100]


def own(solver, work, damping, **kwargs):
    net, X, y, X_query, y_query = work
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net), solver=solver, damping=damping, **kwargs
    )
    return ranker.fit(X, y).influence(X_query, y_query)


def last_layer(work, damping):
    net, X, y, X_query, y_query = work
    ranker = InfluenceRanker(FrozenEstimator(net), damping=damping)
    return ranker.fit(X, y).influence(X_query, y_query)


def _peer(package, kind, work, damping, **kwargs):
    return getattr(deep_peers, package)(kind, work, damping + DECAY, **kwargs)


def spearman(truth, influence):
    return np.mean([spearmanr(a, b)[0] for a, b in zip(truth, influence, strict=True)])


# Name: the package whose functions it needs, and those.
METHODS = {
    "CG to 1e-4": (None, lambda work, damping: own("cg", work, damping)),
    "CG, 5 steps": (
        None,
        lambda work, damping: own(
            ConjugateGradient(preconditioner="ekfac", max_iter=5), work, damping
        ),
    ),
    "EK-FAC, corrected": (None, lambda work, damping: own("ekfac", work, damping)),
    "EK-FAC": (
        None,
        lambda work, damping: own(EKFAC(), work, damping),
    ),
    "Nystrom(300)": (None, lambda work, damping: own(Nystrom(rank=300), work, damping)),
    "Arnoldi(100)": (None, lambda work, damping: own(Arnoldi(rank=100), work, damping)),
    "grad-dot": (
        None,
        lambda work, damping: own("auto", work, damping, method="grad_dot"),
    ),
    "last layer, refitted": (None, last_layer),
    "pyDVL EK-FAC": ("pydvl.influence.torch", partial(_peer, "pydvl", "ekfac")),
    "pyDVL Nystroem(300)": (
        "pydvl.influence.torch",
        partial(_peer, "pydvl", "nystroem"),
    ),
    "kronfluence EK-FAC": (
        "kronfluence.analyzer",
        partial(_peer, "kronfluence", "ekfac"),
    ),
    "dattri CG, 10 steps": ("dattri.algorithm", partial(_peer, "dattri", "cg")),
    "dattri CG, 20 steps": (
        "dattri.algorithm",
        partial(_peer, "dattri", "cg", steps=20),
    ),
    "dattri EK-FAC": ("dattri.algorithm", partial(_peer, "dattri", "ekfac")),
    "dattri Arnoldi(100)": ("dattri.algorithm", partial(_peer, "dattri", "arnoldi")),
    "truth": (None, lambda work, damping: own("cholesky", work, damping)),
}


def memory(what):
    """VmRSS (now in memory) or VmHWM (its peak) of this process, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) / 1024


def measured(name, work, damping, budget):
    """One method in this process: its influence, CPU seconds and rise of peak memory.

    The method has run on a few rows before either is measured: what it imports, and
    what torch sets up when first used, is no cost of the work. The peak is that of
    resident memory, reset to what is in use at the start.
    """
    warnings.simplefilter("ignore")
    package, method = METHODS[name]
    if package is not None:
        importlib.import_module(package)
    net, *rows = work
    if name != "truth":  # whose cost is the matrix, whatever the rows
        method((net, *(part[:64] for part in rows)), damping)
    gc.collect()
    on_linux = Path("/proc/self/clear_refs").exists()
    if on_linux:
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
    start = time.process_time()
    with config_context(working_memory=budget):
        influence = method(work, damping)
    seconds = time.process_time() - start
    return influence, seconds, memory("VmHWM") - before if on_linux else np.nan


def in_a_process_of_its_own(*args):
    """`measured`, where nothing that another method left behind counts."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measured, *args).result()


def compare(damping, with_truth, budget, only):
    work = make_work()
    truth = None
    if with_truth:
        truth, seconds, rise = in_a_process_of_its_own("truth", work, damping, budget)
        print(f"truth: {seconds:.1f} s, {rise:.0f} MiB")
    print(f"{'method':22s} {'CPU s':>7s} {'MiB':>6s} {'rho':>6s} {'error':>8s}")
    for name, (package, _) in METHODS.items():
        if name == "truth" or only not in name:
            continue
        try:
            found = in_a_process_of_its_own(name, work, damping, budget)
        except ImportError as error:
            print(f"{name:22s} not run: {type(error).__name__}: {str(error)[:80]}")
            continue
        influence, seconds, rise = found
        line = f"{name:22s} {seconds:7.2f} {rise:6.0f}"
        if truth is not None:
            line += f" {spearman(truth, influence):6.3f}"
        # Other packages' influences have scales of their own.
        if truth is not None and package is None:
            error = np.abs(influence - truth).max() / np.abs(truth).max()
            line += f" {error:8.1e}"
        print(line, flush=True)


def compare_last_layer(damping):
    """The last layer beside the exact whole network: rows on themselves, and pairs."""
    net, X, y, X_query, y_query = make_work()
    whole = DeepInfluenceRanker(
        FrozenEstimator(net), solver="cholesky", damping=damping
    ).fit(X, y)
    own, pairs = whole.self_influence_, whole.influence(X_query, y_query)
    print(f"last layer against all parameters, damping {damping}")
    for name, refit_head in (("as it stands", False), ("refitted", True)):
        last = InfluenceRanker(
            FrozenEstimator(net), damping=damping, refit_head=refit_head
        ).fit(X, y)
        tops = [set(np.argsort(-v)[:100]) for v in (own, last.self_influence_)]
        rho = spearmanr(own, last.self_influence_).statistic
        of_queries = spearman(pairs, last.influence(X_query, y_query))
        print(
            f"{name:13s} self-influence {rho:.3f}, of the highest hundred "
            f"{len(set.intersection(*tops))} shared; rows on a query {of_queries:.3f}",
            flush=True,
        )


class SmallCNN(nn.Module):
    """Two convolutions and a linear layer, for square images of one channel."""

    def __init__(self, size):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (size // 4) ** 2, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, X):
        return self.head(self.features(X))


def load_images(name):
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32).reshape(-1, 1, 8, 8), y
    data = _data.load(name)
    X = np.asarray(data["X"], dtype=np.float32).reshape(-1, 1, 28, 28)
    return X / X.max(), np.asarray(data["y"])


def small_cnn(size, n_epochs=6):
    return NeuralNetClassifier(
        SmallCNN(size),
        criterion=nn.CrossEntropyLoss,
        max_epochs=n_epochs,
        batch_size=64,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=1e-3,
        lr=2e-3,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def find_mislabels(name, rate=0.1, seed=0):
    """Average precision of flipped labels by three scores, pixels and embeddings."""
    from sklearn.linear_model import LogisticRegression

    X, y = load_images(name)
    given, wrong = flipped(y, rate, seed)
    torch.manual_seed(seed)
    net = small_cnn(X.shape[-1]).fit(X, given)
    pixels = X.reshape(len(X), -1).astype(np.float64)
    rankers = {
        "pixels, logistic": (InfluenceRanker(LogisticRegression(C=0.1)), pixels),
        "embeddings of the CNN": (InfluenceRanker(FrozenEstimator(net)), X),
    }
    for label, (ranker, rows) in rankers.items():
        start = time.process_time()
        ranker.fit(rows, given)
        seconds = time.process_time() - start
        scores = [
            f"{score} {average_precision_score(wrong, ranker.label_scores(score)):.3f}"
            for score in ("self_influence", "loss", "loo_loss")
        ]
        print(f"{name:13s} {label:22s} {seconds:6.1f} s  AP: {', '.join(scores)}")


def compare_decays(seed, rate=0.1):
    """Average precision of flipped labels found from a net with and without decay."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    given, wrong = flipped(y, rate, seed)

    def found(decay, **kwargs):
        torch.manual_seed(seed)
        net = NeuralNetClassifier(
            nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
            criterion=nn.CrossEntropyLoss,
            max_epochs=20,
            optimizer=torch.optim.Adam,
            optimizer__weight_decay=decay,
            lr=0.01,
            train_split=None,
            verbose=0,
        ).fit(X, given)
        try:
            ranker = InfluenceRanker(FrozenEstimator(net), **kwargs)
            scores = MislabelFilter(ranker).fit(X, given).scores_
        except ValueError as error:
            return type(error).__name__
        return f"{average_precision_score(wrong, scores):.3f}"

    print(
        f"seed {seed}: no weight decay {found(0.0)}, with damping=1e-3 "
        f"{found(0.0, damping=1e-3)}, with refit_head=False and damping=1e-3 "
        f"{found(0.0, refit_head=False, damping=1e-3)}; weight decay 1e-3 "
        f"{found(1e-3)}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damping", type=float, default=1e-3)
    parser.add_argument("--skip-truth", action="store_true")
    parser.add_argument("--only", default="", help="methods with this in their name")
    parser.add_argument(
        "--working-memory",
        type=float,
        default=1024,
        help="scikit-learn's setting, in MiB: bounds the blocks of this package",
    )
    parser.add_argument("--mislabels", nargs="+", choices=list(FILES))
    parser.add_argument("--decay", action="store_true")
    parser.add_argument("--last-layer", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.mislabels:
        names = [FILES[name] for name in options.mislabels]
        for name in _data.present(names, bundled=["digits"]):
            find_mislabels(name)
    elif options.last_layer:
        compare_last_layer(options.damping)
    elif options.decay:
        for seed in range(3):
            compare_decays(seed)
    else:
        with_truth, budget = not options.skip_truth, options.working_memory
        compare(options.damping, with_truth, budget, options.only)


if __name__ == "__main__":
    main()
