"""How stable influence is between models, and whether it finds poisoned rows.

    python benchmarks/stability.py --quick
    python benchmarks/stability.py --data digits --n-models 20 --activation tanh
    python benchmarks/stability.py --data mnist comnist --poison
    python benchmarks/stability.py --data mnist comnist --poison --n-train 800 \\
        --n-test 200 --n-models 5

Table 2 and figure 3 of "Revisiting methods for finding influential examples" (K and
Søgaard, 2022), on digits 0 and 1 that come with scikit-learn or, where the data folder
lies beside the checkout, on MNIST 0/1 and CoMNIST A/B at half their resolution. Seven
methods, all from one small convolutional network with weight decay: leave-one-out
(retraining in the same batches with the row's weight 0; minutes a model for 800 rows,
nearer the paper's number, unless ``--skip-loo``), influence functions (the whole
network, dense damped Hessian), TracIn ideal (a network of its own, trained row by row),
TracInCP, representer points, Grad-Dot and Grad-Cos.

Printed for the stability table: agreement of two single models, and of the means of two
disjoint sets of models, by Pearson, Spearman and the overlap of the rows at or above
the 90th percentile; then Spearman's correlation between the order of the seven methods
here and in the paper's table 2.
"""

import argparse
import time
from itertools import combinations

import _data
import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch.func import functional_call, grad, vmap

from sklinfluence.datasets import add_backdoor
from sklinfluence.deep import CheckpointRecorder, TracInRanker
from sklinfluence.deep._net._functional import FunctionalNet
from sklinfluence.metrics import poisoning_ratio, stability

FILES = {"digits": "digits", "mnist": "mnist_train5k", "comnist": "comnist_ab"}
METHODS = [
    "leave-one-out",
    "influence",
    "TracIn ideal",
    "TracInCP",
    "representer",
    "Grad-Dot",
    "Grad-Cos",
]
# The paper's table 2, MNIST, in the order of METHODS: Pearson, Spearman, overlap.
PAPER = {
    "single": [
        (0.238, 0.050, 0.1746),
        (0.008, 0.035, 0.2886),
        (0.411, 0.485, 0.2188),
        (0.811, 0.746, 0.6243),
        (0.896, 0.935, 0.6754),
        (0.759, 0.604, 0.5783),
        (0.929, 0.896, 0.6218),
    ],
    "expected": [
        (0.595, 0.130, 0.2583),
        (0.005, -0.004, 0.2890),
        (0.667, 0.709, 0.1860),
        (0.939, 0.936, 0.8172),
        (0.995, 0.995, 0.9346),
        (0.960, 0.749, 0.8726),
        (0.996, 0.991, 0.8940),
    ],
}
WEIGHT_DECAY = 0.01


class Convolutional(torch.nn.Module):
    """One convolution, one hidden layer, two raw outputs."""

    def __init__(self, side, activation):
        super().__init__()
        self.side = side
        self.activate = getattr(torch, activation)
        width = 4 * ((side - 2) // 2) ** 2
        self.convolution = torch.nn.Conv2d(1, 4, 3)
        self.hidden = torch.nn.Linear(width, 16)
        self.head = torch.nn.Linear(16, 2)

    def embed(self, X):
        image = X.reshape(len(X), 1, self.side, self.side)
        local = self.activate(self.convolution(image))
        pooled = torch.nn.functional.avg_pool2d(local, 2)
        return self.activate(self.hidden(pooled.flatten(1)))

    def forward(self, X):
        return self.head(self.embed(X))


def load(name):
    """Images of two classes, scaled to [0, 1], and labels 0 and 1."""
    if name == "digits":
        X, y = load_digits(n_class=2, return_X_y=True)
        return (X / 16).astype(np.float32), y
    found = _data.load(name)
    X, y = found["X"][found["y"] < 2], found["y"][found["y"] < 2]
    halved = X.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    return (halved / 255).astype(np.float32), y


def split(X, y, n_train, n_test, seed):
    """Balanced training and test rows."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == label)) for label in (0, 1)]
    train = np.concatenate([r[: n_train // 2] for r in rows])
    test = np.concatenate([r[n_train // 2 :][: n_test // 2] for r in rows])
    return X[train], y[train], X[test], y[test]


def train(X, y, seed, *, epochs, batch_size, lr, every, activation):
    """A network from a seed for its parameters and the order of its batches."""
    recorder = CheckpointRecorder(every=every)
    net = NeuralNetClassifier(
        Convolutional,
        module__side=int(np.sqrt(X.shape[1])),
        module__activation=activation,
        criterion=torch.nn.CrossEntropyLoss,
        lr=lr,
        optimizer__weight_decay=WEIGHT_DECAY,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
        callbacks=[recorder],
    )
    torch.manual_seed(seed)
    return net.fit(X, y), recorder.training_path_


def influences(X, y, queries, labels, seed, options):
    """The seven influence matrices of one state, and the network's accuracy."""
    settings = {
        "epochs": options.epochs,
        "batch_size": 10,
        "lr": options.lr,
        "activation": options.activation,
    }
    net, path = train(X, y, seed, every="step", **settings)
    rows = {"X": X, "y": y, "queries": queries, "labels": labels}
    out = {}
    if not options.skip_loo:
        out["leave-one-out"] = leave_one_out(net, path, **rows, lr=options.lr)
    out["influence"] = influence_function(net, **rows, damping=options.damping)
    single, _ = train(
        X,
        y,
        seed,
        every="step",
        epochs=options.ideal_epochs,
        batch_size=1,
        lr=options.ideal_lr,
        activation=options.activation,
    )
    ideal = TracInRanker(FrozenEstimator(single), method="ideal").fit(X, y)
    out["TracIn ideal"] = ideal.influence(queries, labels)
    settings["every"] = 1
    net, _ = train(X, y, seed, **settings)
    checkpoint = TracInRanker(FrozenEstimator(net)).fit(X, y)
    out["TracInCP"] = checkpoint.influence(queries, labels)
    out["representer"] = representer(net, **rows)
    function = FunctionalNet(net)
    state = function.state()
    G = function.gradients(state, function.rows(X, y)).numpy()
    Q = function.gradients(state, function.rows(queries, labels)).numpy()
    out["Grad-Dot"] = Q @ G.T
    lengths = [np.linalg.norm(M, axis=1) + 1e-30 for M in (Q, G)]
    out["Grad-Cos"] = out["Grad-Dot"] / lengths[0][:, None] / lengths[1]
    return out, net.score(queries, labels)


def leave_one_out(net, path, X, y, queries, labels, lr):
    """Every network without one row, trained side by side in the recorded batches."""
    n, module = len(X), net.module_

    def start(name):
        value = torch.as_tensor(path.load(0)[name])
        return value.expand(n + 1, *value.shape).clone()

    parameters = {name: start(name) for name in path.names}
    X, y, queries = torch.as_tensor(X), torch.as_tensor(y), torch.as_tensor(queries)
    keep = torch.ones(n + 1, n)
    keep[torch.arange(n), torch.arange(n)] = 0.0
    cross_entropy = torch.nn.functional.cross_entropy

    def batch_loss(parameters, keep, batch):
        losses = cross_entropy(
            functional_call(module, parameters, (X[batch],)), y[batch], reduction="none"
        )
        return (keep[batch] * losses).sum() / len(batch)

    for batch in path.batches:
        batch = torch.as_tensor(batch)
        gradients = vmap(grad(batch_loss), (0, 0, None))(parameters, keep, batch)
        for name, value in parameters.items():
            value -= lr * (gradients[name] + WEIGHT_DECAY * value)
    raw = vmap(lambda p: functional_call(module, p, (queries,)))(parameters)
    targets = torch.as_tensor(labels).expand(n + 1, -1)
    losses = cross_entropy(raw.transpose(1, 2), targets, reduction="none").numpy()
    return (losses[:-1] - losses[-1]).T


def influence_function(net, X, y, queries, labels, damping):
    """g H^-1 g at the end of training, H of the mean loss with its weight decay."""
    function = FunctionalNet(net, dtype=torch.float64)
    state, rows = function.state(), function.rows(X, y)
    some = rows.take(slice(None, None, max(1, len(rows) // 250)))
    weights = torch.full((len(some),), 1.0 / len(some), dtype=torch.float64)
    H = function.hessian(state, some, weights).numpy()
    H[np.diag_indices_from(H)] += WEIGHT_DECAY + damping
    G = function.gradients(state, rows).numpy()
    Q = function.gradients(state, function.rows(queries, labels)).numpy()
    return Q @ np.linalg.solve(H, G.T) / len(rows)


def representer(net, X, y, queries, labels):
    """Definition 0.5: -1 / (2 lambda n) times dL/dPhi of the query's class, f f'."""
    module = net.module_.eval()
    with torch.no_grad():
        f = [module.embed(torch.as_tensor(A)).numpy() for A in (X, queries)]
        proba = torch.softmax(module(torch.as_tensor(X)), dim=1).numpy()
    residual = proba - np.eye(2)[y]
    alpha = -residual[:, labels].T / (2 * WEIGHT_DECAY * len(X))
    return alpha * (f[1] @ f[0].T)


def stability_table(members):
    """Agreement of pairs of single models, and of the means of two halves."""
    half = len(members) // 2
    pairs = list(combinations(range(len(members)), 2))
    chosen = np.random.default_rng(0).permutation(len(pairs))[:50]
    table = {"single": [], "expected": []}
    for method in [m for m in METHODS if m in members[0]]:
        matrices = [member[method] for member in members]
        found = [
            list(stability(matrices[a], matrices[b]).values())
            for a, b in (pairs[k] for k in chosen)
        ]
        means = np.mean(matrices[:half], axis=0), np.mean(matrices[half:], axis=0)
        table["single"].append(np.mean(found, axis=0))
        table["expected"].append(np.array(list(stability(*means).values())))
    return {kind: np.array(rows) for kind, rows in table.items()}


def print_stability(table, methods):
    for kind, rows in table.items():
        print(f"  {kind:10s} {'method':14s} Pearson Spearman overlap | paper")
        for method, row in zip(methods, rows, strict=True):
            paper = PAPER[kind][METHODS.index(method)]
            here, there = ("  ".join(f"{v:6.3f}" for v in r) for r in (row, paper))
            print(f"  {'':10s} {method:14s} {here} | {there}")
    chosen = [METHODS.index(method) for method in methods]
    for kind, rows in table.items():
        paper = np.array(PAPER[kind])[chosen]
        orders = [spearmanr(rows[:, k], paper[:, k]).statistic for k in range(3)]
        print(
            f"  order of methods, {kind}, against the paper's: rho "
            + ", ".join(f"{rho:.2f}" for rho in orders)
        )


def run_stability(name, options):
    X, y = load(name)
    X, y, queries, labels = split(X, y, options.n_train, options.n_test, seed=0)
    members, accuracy, start = [], [], time.perf_counter()
    for seed in range(2 * options.n_models):
        found, score = influences(X, y, queries, labels, seed, options)
        members.append(found)
        accuracy.append(score)
    print(
        f"{name}: {len(X)} rows, {len(queries)} queries, two sets of "
        f"{options.n_models} models, accuracy {min(accuracy):.3f} to "
        f"{max(accuracy):.3f}, {time.perf_counter() - start:.0f} s"
    )
    methods = [method for method in METHODS if method in members[0]]
    table = stability_table(members)
    print_stability(table, methods)
    return methods, table


def white_corner(X):
    """The trigger: a bright square of 3 x 3 pixels in the lower right corner."""
    side = int(np.sqrt(X.shape[1]))
    images = X.reshape(-1, side, side).copy()
    images[:, -3:, -3:] = 1.0
    return images.reshape(X.shape)


def run_poison(name, options):
    X, y = load(name)
    X, y, queries, labels = split(X, y, options.n_train, options.n_test, seed=0)
    X, y, is_poisoned = add_backdoor(
        X, y, target=1, rate=0.1, trigger=white_corner, random_state=0
    )
    queries = white_corner(queries[labels == 0])
    labels = np.ones(len(queries), dtype=y.dtype)
    members = [
        influences(X, y, queries, labels, seed, options)
        for seed in range(options.n_models)
    ]
    answered = [score for _, score in members]
    print(
        f"{name}: {is_poisoned.sum()} of {len(X)} rows poisoned, "
        f"{len(queries)} triggered queries, answered as the attacker wants: "
        f"{min(answered):.2f} to {max(answered):.2f}"
    )
    print(f"  {'method':14s} poisoned (lowest .. highest model)  clean 0  clean 1")
    shares = {}
    for method in [m for m in METHODS if m in members[0][0]]:
        each = [
            poisoning_ratio(found[method], is_poisoned, y)["poisoned"]
            for found, _ in members
        ]
        mean = np.mean([found[method] for found, _ in members], axis=0)
        share = poisoning_ratio(mean, is_poisoned, y)
        shares[method] = share
        print(
            f"  {method:14s} {share['poisoned']:8.3f} ({min(each):6.3f} .. "
            f"{max(each):6.3f})          {share['clean'][0]:8.3f} "
            f"{share['clean'][1]:8.3f}"
        )
    return shares


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=["digits"], choices=list(FILES))
    parser.add_argument("--n-models", type=int, default=8, help="in each of two sets")
    parser.add_argument("--n-train", type=int, default=120)
    parser.add_argument("--n-test", type=int, default=50)
    parser.add_argument("--activation", choices=["relu", "tanh"], default="relu")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--ideal-epochs", type=int, default=2)
    parser.add_argument("--ideal-lr", type=float, default=0.05)
    parser.add_argument("--damping", type=float, default=0.01)
    parser.add_argument(
        "--poison", action="store_true", help="figure 3 in place of tables"
    )
    parser.add_argument("--skip-loo", action="store_true")
    parser.add_argument("--quick", action="store_true", help="two models, few rows")
    options = parser.parse_args(argv)
    if options.quick:
        options.n_models, options.n_train, options.n_test = 2, 60, 20
    return options


if __name__ == "__main__":
    options = parse()
    names = [FILES[name] for name in options.data]
    for name in _data.present(names, bundled=["digits"]):
        (run_poison if options.poison else run_stability)(name, options)
