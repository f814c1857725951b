"""The proximal Bregman response: refits of heads, torch's own minima of nets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import pearsonr
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import pbrf
from sklinfluence.neighbors import KNNShapleyRanker

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
X, Y = X[ORDER] - X.mean(axis=0), Y[ORDER]
D, T = load_diabetes(return_X_y=True)
D, T = 20 * D[:40, :4], T[:40] / 80


def test_of_a_head_at_its_optimum_it_is_retraining():
    ranker = InfluenceRanker(Ridge(2.0)).fit(D[:30], T[:30])
    found = pbrf(ranker, D[30:], T[30:], n_rows=6, random_state=0)
    for place, row in enumerate(found.index):
        kept = np.arange(30) != row
        model = Ridge(2.0).fit(D[:30][kept], T[:30][kept])
        before = Ridge(2.0).fit(D[:30], T[:30])
        rise = [0.5 * (m.predict(D[30:]) - T[30:]) ** 2 for m in (model, before)]
        # The gradient is small to 1e-9 of a row's own.
        assert_allclose(found.response[:, place], rise[0] - rise[1], atol=1e-7)
    for j in range(10):
        expected = pearsonr(found.influence[j], found.response[j])[0]
        assert_allclose(found.correlation[j], expected, rtol=1e-9)


def test_a_gradient_without_positive_entries_is_one():
    """One parameter: its gradient has one sign, either one among the rows."""
    model, targets = Ridge(2.0, fit_intercept=False), T[:12] - 2.0
    assert (np.sign(targets).min(), np.sign(targets).max()) == (-1, 1)
    X = np.linspace(1.0, 2.0, 12)[:, None]
    ranker = InfluenceRanker(model).fit(X, targets)
    found = pbrf(ranker, X[:2], targets[:2], n_rows=12, random_state=0)
    before = ranker.predict(X[:2])
    for place, row in enumerate(found.index):
        kept = np.arange(12) != row
        after = Ridge(2.0, fit_intercept=False).fit(X[kept], targets[kept])
        losses = [0.5 * (p - targets[:2]) ** 2 for p in (after.predict(X[:2]), before)]
        assert_allclose(found.response[:, place], losses[0] - losses[1], atol=1e-7)


def test_damping_holds_a_head_to_its_parameters():
    """Against scipy on the objective as Bae et al. write it, by finite differences."""
    few, labels = X[:24], (Y[:24] > 0).astype(float)
    model = LogisticRegression(C=2.0, tol=1e-10, max_iter=2000)
    ranker = InfluenceRanker(model, damping=0.05).fit(few, labels)
    rows = np.column_stack([few, np.ones(24)])
    start = np.append(ranker.head_.coef[0], ranker.head_.intercept)
    penalty = np.append(np.full(4, 0.5), 0.0) + 0.05 * 24

    def losses(theta, rows, labels):
        raw = rows @ theta
        return np.logaddexp(0, raw) - labels * raw

    pull = 1 / (1 + np.exp(-rows @ start)) - labels

    def value(theta, row):
        divergence = losses(theta, rows, labels) - losses(start, rows, labels)
        divergence -= pull * (rows @ (theta - start))
        away = theta - start
        own = losses(theta, rows, labels)[row]
        return divergence.sum() - own + 0.5 * penalty @ away**2

    asked = np.column_stack([X[24:29], np.ones(5)])
    found = pbrf(ranker, X[24:29], (Y[24:29] > 0) * 1.0, n_rows=3, random_state=1)
    for place, row in enumerate(found.index):
        end = minimize(value, start, args=(row,), options={"gtol": 1e-9}).x
        given = (Y[24:29] > 0) * 1.0
        rise = losses(end, asked, given) - losses(start, asked, given)
        # Finite differences find the minimum to 1e-7.
        assert_allclose(found.response[:, place], rise, atol=1e-6)
    # First order in the removal of one row of 24.
    assert found.correlation.min() > 0.9


def test_rankers_without_an_objective_are_refused_by_name():
    ranker = KNNShapleyRanker().fit(D, T)
    with pytest.raises(TypeError, match="KNNShapleyRanker moves no parameters"):
        pbrf(ranker, D, T)


def test_a_net_by_torchs_own_minimum():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    from sklinfluence.deep import DeepInfluenceRanker

    torch.manual_seed(0)
    few, labels = X[:20], Y[:20]
    layers = [torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)]
    module = torch.nn.Sequential(*layers).double()
    net = skorch.NeuralNetClassifier(
        module,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=15,
        lr=0.5,
        batch_size=-1,
        train_split=None,
        verbose=0,
        optimizer__weight_decay=0.01,
    )
    ranker = DeepInfluenceRanker(net, damping=0.1).fit(few, labels)
    found = pbrf(ranker, X[20:26], Y[20:26], n_rows=3, random_state=0)
    inputs, targets = torch.as_tensor(few), torch.as_tensor(labels)
    asked, given = torch.as_tensor(X[20:26]), torch.as_tensor(Y[20:26])
    entropy = torch.nn.CrossEntropyLoss(reduction="none")
    trained = ranker.estimator_.module_
    start = [p.detach().clone() for p in trained.parameters()]
    with torch.no_grad():
        fixed = trained(inputs)
        before = entropy(trained(asked), given)
        pull = torch.softmax(fixed, dim=1) - torch.eye(3)[targets]

    def response(row):
        moved = torch.nn.Sequential(
            torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
        ).double()
        moved.load_state_dict(trained.state_dict())
        optimizer = torch.optim.LBFGS(
            moved.parameters(),
            max_iter=500,
            tolerance_grad=1e-11,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def step():
            optimizer.zero_grad()
            raw = moved(inputs)
            total = (entropy(raw, targets) - (pull * (raw - fixed)).sum(dim=1)).sum()
            total = total - entropy(raw, targets)[row]
            for p, q in zip(moved.parameters(), start, strict=True):
                total = total + 0.5 * (0.01 * 20 + 0.1 * 20) * ((p - q) ** 2).sum()
            total.backward()
            return total

        optimizer.step(step)
        with torch.no_grad():
            return entropy(moved(asked), given) - before

    for place, row in enumerate(found.index):
        # Both minima are found to some 1e-8 of a response of 1e-2.
        assert_allclose(found.response[:, place], response(row), atol=1e-6)
    assert np.median(found.correlation) > 0.9
