"""Influence of a whole network: this package's solvers against other packages.

    python benchmarks/deep.py
    python benchmarks/deep.py --damping 0.01 --skip-truth
    python benchmarks/deep.py --mislabels digits mnist

The work: an MLP 64-128-10 on digits with 5 % of the labels flipped, 1437 training rows,
100 queries. Truth is the exact damped Gauss-Newton influence of all 9610 parameters, by
a Cholesky factor of the dense matrix. Printed: seconds, the mean over queries of the
Spearman correlation of a query's row with truth, and the largest relative error. What
is not installed (pyDVL, kronfluence) is left out; both are given the same damping, with
the weight decay added to it, and pyDVL's Nyström the Gauss-Newton matrix.

``--mislabels`` compares scores of flipped labels from pixels with those from what the
last layer of a small convolutional network receives.
"""

import argparse
import copy
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklinfluence.curvature import Arnoldi, ConjugateGradient, Nystrom
from sklinfluence.deep import DeepInfluenceRanker, NetworkEKFAC
from sklinfluence.gradient import InfluenceRanker

DECAY = 1e-4
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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


def pydvl(kind, work, damping):
    from pydvl.influence.torch import EkfacInfluence, NystroemSketchInfluence
    from pydvl.influence.torch.influence_function_model import SecondOrderMode

    net, *arrays = work
    X, y, X_query, y_query = (torch.as_tensor(array) for array in arrays)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(X, y), batch_size=256
    )
    if kind == "ekfac":
        model = EkfacInfluence(
            net.module_, update_diagonal=True, hessian_regularization=damping + DECAY
        )
    else:
        model = NystroemSketchInfluence(
            net.module_,
            nn.functional.cross_entropy,
            regularization=damping + DECAY,
            rank=300,
            second_order_mode=SecondOrderMode.GAUSS_NEWTON,
        )
    return model.fit(loader).influences(X_query, y_query, X, y).detach().numpy()


def kronfluence(work, damping):
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            rows, labels = batch
            logits = model(rows)
            if sample:
                with torch.no_grad():
                    proba = torch.softmax(logits, dim=-1)
                    labels = torch.multinomial(proba, 1).flatten()
            return nn.functional.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    net, *arrays = work
    X, y, X_query, y_query = (torch.as_tensor(array) for array in arrays)
    task, sets = Classification(), torch.utils.data.TensorDataset

    model = prepare_model(copy.deepcopy(net.module_).eval(), task)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "work", model, task, cpu=True, output_dir=folder, disable_tqdm=True
        )
        analyzer.fit_all_factors(
            "f",
            sets(X, y),
            per_device_batch_size=256,
            factor_args=FactorArguments(strategy="ekfac"),
        )
        analyzer.compute_pairwise_scores(
            "s",
            "f",
            sets(X_query, y_query),
            sets(X, y),
            per_device_query_batch_size=100,
            per_device_train_batch_size=256,
            score_args=ScoreArguments(damping_factor=damping + DECAY),
        )
        return analyzer.load_pairwise_scores("s")["all_modules"].float().numpy()


def spearman(truth, influence):
    return np.mean([spearmanr(a, b)[0] for a, b in zip(truth, influence, strict=True)])


def compare(damping, with_truth):
    work = make_work()
    methods = {
        "CG to 1e-4": lambda: own("cg", work, damping),
        "CG, 5 steps": lambda: own(
            ConjugateGradient(preconditioner="ekfac", max_iter=5), work, damping
        ),
        "EK-FAC, corrected": lambda: own("ekfac", work, damping),
        "EK-FAC": lambda: own(NetworkEKFAC(n_directions=0), work, damping),
        "Nystrom(300)": lambda: own(Nystrom(rank=300), work, damping),
        "Arnoldi(100)": lambda: own(Arnoldi(rank=100), work, damping),
        "grad-dot": lambda: own("auto", work, damping, method="grad_dot"),
        "last layer, refitted": lambda: last_layer(work, damping),
        "pyDVL EK-FAC": lambda: pydvl("ekfac", work, damping),
        "pyDVL Nystroem(300)": lambda: pydvl("nystroem", work, damping),
        "kronfluence EK-FAC": lambda: kronfluence(work, damping),
    }
    truth = None
    if with_truth:
        start = time.process_time()
        truth = own("cholesky", work, damping)
        print(f"truth: {time.process_time() - start:.1f} s")
    print(f"{'method':22s} {'CPU s':>7s} {'rho':>6s} {'error':>8s}")
    for name, method in methods.items():
        start = time.process_time()
        try:
            influence = method()
        except ImportError as error:
            print(f"{name:22s} not run: {type(error).__name__}: {str(error)[:80]}")
            continue
        seconds = time.process_time() - start
        line = f"{name:22s} {seconds:7.2f}"
        if truth is not None:
            error = np.abs(influence - truth).max() / np.abs(truth).max()
            line += f" {spearman(truth, influence):6.3f} {error:8.1e}"
        print(line, flush=True)


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
    spec = importlib.util.spec_from_file_location("loader", DATA / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = module.load("mnist_train5k")
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
        print(f"{name:8s} {label:22s} {seconds:6.1f} s  AP: {', '.join(scores)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damping", type=float, default=1e-3)
    parser.add_argument("--skip-truth", action="store_true")
    parser.add_argument("--mislabels", nargs="+", choices=["digits", "mnist"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.mislabels:
        for name in options.mislabels:
            find_mislabels(name)
    else:
        compare(options.damping, not options.skip_truth)


if __name__ == "__main__":
    main()
