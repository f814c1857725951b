"""Influence through all parameters, against dense curvature by torch's autodiff."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import (  # noqa: E402
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import nn  # noqa: E402
from torch.func import functional_call, hessian, jacrev  # noqa: E402

from sklinfluence.curvature import (  # noqa: E402
    ConjugateGradient,
    LiSSA,
    SingularHessianError,
)
from sklinfluence.deep import DeepInfluenceRanker  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402

N_ROWS, DECAY, DAMPING = 60, 0.01, 0.02


def make_data(task):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS + 9, 5)).astype(np.float32)
    raw = X @ rng.normal(size=(5, 3)) + rng.normal(size=(len(X), 3))
    y = {
        "softmax": raw.argmax(axis=1),
        "logistic": (raw[:, 0] > 0).astype(np.float32),
        "squared": raw.astype(np.float32),
    }[task]
    return X[:N_ROWS], y[:N_ROWS], X[N_ROWS:], y[N_ROWS:]


KINDS = {
    "softmax": (NeuralNetClassifier, nn.CrossEntropyLoss, 3),
    "logistic": (NeuralNetBinaryClassifier, nn.BCEWithLogitsLoss, 1),
    "squared": (NeuralNetRegressor, nn.MSELoss, 3),
}


def make_net(task, **kwargs):
    """A small smooth MLP, trained to convergence."""
    kind, criterion, n_outputs = KINDS[task]
    torch.manual_seed(0)
    options = {
        "criterion": criterion,
        "max_epochs": 300,
        "optimizer": torch.optim.Adam,
        "optimizer__weight_decay": DECAY,
        "lr": 0.03,
        "batch_size": -1,
        "train_split": None,
        "verbose": 0,
    }
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, n_outputs))
    return kind(module, **{**options, **kwargs})


@pytest.fixture(scope="module")
def fitted(device):
    nets = {}

    def get(task):
        if task not in nets:
            X, y, _, _ = make_data(task)
            nets[task] = make_net(task, device=device).fit(X, y)
        return nets[task]

    return get


def row_loss(task, raw, y):
    """The loss in the package's units, by torch's own function: no formula of ours."""
    if task == "softmax":
        return nn.functional.cross_entropy(raw[None], y[None])
    if task == "logistic":
        return nn.functional.binary_cross_entropy_with_logits(raw[0], y)
    return 0.5 * ((raw - y) ** 2).sum()


KNOWN = {}


def dense(net, task, curvature, damping=DAMPING):
    """Gradients of rows and queries, and H, from Jacobians of the flat parameters."""
    if (net, curvature) not in KNOWN:
        KNOWN[net, curvature] = _dense(net, task, curvature)
    G, G_query, H = KNOWN[net, curvature]
    return G, G_query, H + N_ROWS * damping * np.eye(len(H))


def _dense(net, task, curvature):
    X, y, X_query, y_query = (torch.as_tensor(part) for part in make_data(task))
    if task != "softmax":
        y, y_query = y.double(), y_query.double()
    X, X_query = X.double(), X_query.double()
    named = {n: p.detach().cpu().double() for n, p in net.module_.named_parameters()}
    flat = torch.cat([value.reshape(-1) for value in named.values()])

    def raw_of(flat, x):
        parts = torch.split(flat, [value.numel() for value in named.values()])
        values = {
            name: part.reshape(value.shape)
            for (name, value), part in zip(named.items(), parts, strict=True)
        }
        return functional_call(net.module_, values, (x[None],))[0]

    def loss_of(flat, x, label):
        return row_loss(task, raw_of(flat, x), label)

    def gradients(X, y):
        rows = [jacrev(loss_of)(flat, *row) for row in zip(X, y, strict=True)]
        return torch.stack(rows).numpy()

    H = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    for x, label in zip(X, y, strict=True):
        if curvature == "hessian":
            H += hessian(loss_of)(flat, x, label)
            continue
        J = jacrev(raw_of)(flat, x)
        S = hessian(lambda raw, label=label: row_loss(task, raw, label))(
            raw_of(flat, x)
        )
        H += J.T @ S @ J
    # MSELoss is the mean over all entries: 2 / K times ours.
    factor = N_ROWS * (1.5 if task == "squared" else 1.0)
    H = H.numpy() + factor * DECAY * np.eye(len(flat))
    return gradients(X, y), gradients(X_query, y_query), H


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("solver, rtol", [("cholesky", 1e-9), ("cg", 1e-7)])
def test_influence_is_the_dense_solution(fitted, task, curvature, solver, rtol):
    """CG leaves what its tolerance of 1e-8 on the residual leaves."""
    net = fitted(task)
    X, y, X_query, y_query = make_data(task)
    G, G_query, H = dense(net, task, curvature, damping=0.2)
    expected = G_query @ np.linalg.solve(H, G.T)
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net),
        curvature=curvature,
        solver=solver,
        damping=0.2,
        dtype="float64",
    ).fit(X, y)
    got = ranker.influence(X_query, y_query)
    assert np.abs(got - expected).max() <= rtol * np.abs(expected).max()
    mean = ranker.mean_influence(X_query, y_query)
    assert np.abs(mean - expected.mean(axis=0)).max() <= rtol * np.abs(expected).max()


def test_float32_and_cg_reach_the_dense_solution(fitted):
    """As users meet it: the net's own type, the default tolerance."""
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    G, G_query, H = dense(net, "softmax", "gauss_newton")
    expected = G_query @ np.linalg.solve(H, G.T)
    ranker = DeepInfluenceRanker(FrozenEstimator(net), solver="cg", damping=DAMPING)
    got = ranker.fit(X, y).influence(X_query, y_query)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    assert ranker.solver_info_["residual"].max() <= 1e-4


def test_self_influence_and_normalisations(fitted):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    G, G_query, H = dense(net, "softmax", "gauss_newton")
    moved = np.linalg.solve(H, G.T).T
    expected = G_query @ moved.T
    own = np.einsum("ip,ip->i", G, moved)
    lengths = np.linalg.norm(G, axis=1)
    scales = {
        None: np.ones(N_ROWS),
        "theta": 1 / np.linalg.norm(moved, axis=1),
        "loss": 1 / np.sqrt(own),
        "gradient": 1 / lengths,
        "cosine": 1 / lengths,
    }
    for normalize, scale in scales.items():
        ranker = DeepInfluenceRanker(
            FrozenEstimator(net), damping=DAMPING, dtype="float64", normalize=normalize
        ).fit(X, y)
        want, want_own = expected * scale, own * scale
        if normalize == "cosine":
            want = want / np.linalg.norm(G_query, axis=1)[:, None]
            want_own = want_own / lengths
        # float64 throughout: rounding.
        np.testing.assert_allclose(ranker.influence(X_query, y_query), want, rtol=1e-6)
        np.testing.assert_allclose(ranker.self_influence_, want_own, rtol=1e-6)
        np.testing.assert_allclose(ranker.score_samples(X, y), want_own, rtol=1e-6)
        np.testing.assert_allclose(
            ranker.mean_influence(X_query, y_query), want.mean(axis=0), atol=1e-8
        )


def test_grad_dot(fitted):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    G, G_query, _ = dense(net, "softmax", "gauss_newton")
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net), method="grad_dot", dtype="float64"
    ).fit(X, y)
    np.testing.assert_allclose(
        ranker.influence(X_query, y_query), G_query @ G.T, atol=1e-12
    )
    assert not hasattr(ranker, "solver_info_")


@pytest.mark.parametrize("task", KINDS)
def test_last_layer_is_the_cores(fitted, task):
    """Restricted to the last layer, Gauss-Newton and the core's Hessian are one."""
    net = fitted(task)
    X, y, X_query, y_query = make_data(task)
    head = InfluenceRanker(FrozenEstimator(net), refit_head=False, damping=DAMPING)
    expected = head.fit(X, y).influence(X_query, y_query)
    for layers in ("last", "2", ["2.weight", "2.bias"]):
        ranker = DeepInfluenceRanker(
            FrozenEstimator(net), layers=layers, damping=DAMPING, dtype="float64"
        ).fit(X, y)
        got = ranker.influence(X_query, y_query)
        # The core's embeddings are float32.
        assert np.abs(got - expected).max() <= 1e-6 * np.abs(expected).max()
        assert ranker.parameter_names_ == ("2.weight", "2.bias")


def test_gradient_norm_of_a_converged_net(fitted):
    X, y, _, _ = make_data("softmax")
    ranker = DeepInfluenceRanker(FrozenEstimator(fitted("softmax")), dtype="float64")
    # Adam in float32 stops about here; far below a gradient of one row.
    assert ranker.fit(X, y).gradient_norm_ < 1e-3


@pytest.mark.parametrize("task", KINDS)
def test_gradient_norm_is_the_largest_entry_of_the_mean_gradient(task):
    X, y, _, _ = make_data(task)
    net = make_net(task, max_epochs=3).fit(X, y)
    ranker = DeepInfluenceRanker(FrozenEstimator(net), dtype="float64").fit(X, y)
    G, _, _ = dense(net, task, "gauss_newton")
    theta = [p.detach().numpy().ravel() for p in net.module_.parameters()]
    # MSELoss is the mean over all entries: 2 / K times ours.
    decay = DECAY * (1.5 if task == "squared" else 1.0)
    mean = G.mean(axis=0) + decay * np.concatenate(theta).astype(float)
    assert ranker.gradient_norm_ == pytest.approx(np.abs(mean).max(), rel=1e-6)


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_solver_info_is_of_the_dense_matrix(fitted, curvature, solver):
    X, y, _, _ = make_data("softmax")
    net, damping = fitted("softmax"), 0.1
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net),
        dtype="float64",
        damping=damping,
        curvature=curvature,
        solver=solver,
    )
    info = ranker.fit(X, y).solver_info_
    _, _, H = dense(net, "softmax", curvature, damping)
    values = np.linalg.eigvalsh(H)
    assert info["n_parameters"] == len(values)
    assert info["damping"] == damping
    assert info["damping_in_force"] == pytest.approx(damping * N_ROWS)
    # Power iterations that stop at changes of a tenth of a percent.
    assert info["largest_eigenvalue"] == pytest.approx(values[-1], rel=0.1)
    low = info["smallest_eigenvalue"]
    if curvature == "gauss_newton":  # a bound from below, of damping and penalty
        assert damping * N_ROWS * (1 - 1e-9) <= low <= values[0] * 1.1
    else:
        assert low == pytest.approx(values[0], rel=0.1)
    ratio = info["largest_eigenvalue"] / low
    assert info["condition_number"] == pytest.approx(ratio)
    assert np.max(info["residual"]) < (1e-9 if solver == "cholesky" else 1e-4)


def test_indefinite_hessian_is_named(fitted):
    X, y, _, _ = make_data("softmax")
    net = make_net("softmax", max_epochs=3).fit(X, y)  # far from a minimum
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net), curvature="hessian", damping=0.0, dtype="float64"
    )
    with pytest.raises(SingularHessianError, match="smallest eigenvalue is -") as error:
        ranker.fit(X, y)
    # What the message asks for does make it definite, and no less would.
    wanted = float(str(error.value).split("damping=")[1].split()[0])
    _, _, H = dense(net, "softmax", "hessian", damping=wanted)
    assert np.linalg.eigvalsh(H)[0] > 0
    _, _, H = dense(net, "softmax", "hessian", damping=0.5 * wanted)
    assert np.linalg.eigvalsh(H)[0] < 0
    ranker.set_params(damping=wanted).fit(X, y)
    assert ranker.solver_info_["smallest_eigenvalue"] > 0


def test_singular_gauss_newton_is_named():
    X, y, _, _ = make_data("softmax")
    net = make_net("softmax", max_epochs=3, optimizer__weight_decay=0.0).fit(X, y)
    ranker = DeepInfluenceRanker(FrozenEstimator(net), damping=0.0, solver="cholesky")
    with pytest.raises(SingularHessianError, match="Set damping above 0"):
        ranker.fit(X, y)


@pytest.mark.parametrize(
    "solver", ["ekfac", "nystrom", "arnoldi", "lissa", ConjugateGradient(max_iter=500)]
)
def test_solvers_of_the_core(fitted, solver):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    options = {"damping": 0.1, "dtype": "float64"}
    exact = DeepInfluenceRanker(FrozenEstimator(net), **options).fit(X, y)
    expected = exact.influence(X_query, y_query)
    ranker = DeepInfluenceRanker(FrozenEstimator(net), solver=solver, **options)
    got = ranker.fit(X, y).influence(X_query, y_query)
    # The sketches hold all 39 parameters; EK-FAC is an approximation for good.
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error <= (0.5 if solver == "ekfac" else 1e-4)
    info = ranker.solver_info_
    assert info["n_parameters"] == 39
    assert info["residual"].shape == (8,)
    assert info["largest_eigenvalue"] > info["smallest_eigenvalue"] > 0


def test_lissa_in_batches_is_right_on_average(fitted):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    G, G_query, H = dense(net, "softmax", "gauss_newton", damping=0.2)
    expected = G_query @ np.linalg.solve(H, G.T)
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net),
        solver=LiSSA(batch_size=20, depth=1000),
        damping=0.2,
        dtype="float64",
    )
    with pytest.warns(ConvergenceWarning, match="residual"):
        got = ranker.fit(X, y).influence(X_query, y_query)
    # The noise of 500 averaged steps of a third of the rows each.
    assert np.abs(got - expected).max() <= 0.05 * np.abs(expected).max()
    # A batch of all rows is all rows.
    operator = ranker._state.operator
    V = np.random.default_rng(0).normal(size=(39, 2))
    np.testing.assert_allclose(
        operator.sampled(np.arange(N_ROWS)).matvec(V), operator.matvec(V), rtol=1e-12
    )


def test_batches_are_unbiased(fitted):
    """The mean of the estimates over a partition of the rows is the whole matrix."""
    X, y, _, _ = make_data("softmax")
    ranker = DeepInfluenceRanker(
        FrozenEstimator(fitted("softmax")),
        solver=LiSSA(batch_size=20, depth=2),
        damping=0.2,
        dtype="float64",
    )
    with pytest.warns(ConvergenceWarning, match="residual"):
        operator = ranker.fit(X, y)._state.operator
    _, _, H = dense(fitted("softmax"), "softmax", "gauss_newton", damping=0.2)
    parts = np.split(np.random.default_rng(0).permutation(N_ROWS), 3)
    mean = np.mean([operator.sampled(part).matvec(np.eye(39)) for part in parts], 0)
    # Rounding of float64 sums.
    np.testing.assert_allclose(mean, H, atol=1e-10)


def test_blocks_and_order_change_nothing(fitted):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    ranker = DeepInfluenceRanker(FrozenEstimator(net), damping=DAMPING, dtype="float64")
    expected = ranker.fit(X, y).influence(X_query, y_query)
    own = ranker.self_influence_
    np.testing.assert_allclose(np.diag(ranker.influence(X, y)), own, rtol=1e-8)
    with sklearn.config_context(working_memory=5e-3):
        ranker.fit(X, y)
        # Sums in another order.
        got = ranker.influence(X_query, y_query)
        np.testing.assert_allclose(got, expected, rtol=1e-8)
        np.testing.assert_allclose(ranker.self_influence_, own, rtol=1e-8)
    order = np.random.default_rng(0).permutation(N_ROWS)
    ranker.fit(X[order], y[order])
    np.testing.assert_allclose(
        ranker.influence(X_query, y_query), expected[:, order], rtol=1e-8
    )


def test_net_is_left_alone(fitted):
    net = copy.deepcopy(fitted("softmax"))
    X, y, X_query, _ = make_data("softmax")
    net.module_.train()
    before = copy.deepcopy(net.module_.state_dict())
    for parameter in net.module_.parameters():
        parameter.grad = torch.ones_like(parameter)
    state = torch.get_rng_state()
    ranker = DeepInfluenceRanker(FrozenEstimator(net), solver="cg").fit(X, y)
    ranker.influence(X_query)
    ranker.predict(X_query)
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in net.module_.modules())
    for parameter in net.module_.parameters():
        assert torch.equal(parameter.grad, torch.ones_like(parameter))
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(module._forward_hooks for module in net.module_.modules())


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 3)

    def forward(self, left, right):
        return self.last(torch.relu(self.norm(self.left(left) + self.right(right))))


@pytest.mark.parametrize("solver", ["cholesky", "cg", "ekfac"])
def test_modules_of_several_inputs(solver):
    X, y, X_query, y_query = make_data("softmax")
    net = NeuralNetClassifier(
        TwoInputs,
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        train_split=None,
        verbose=0,
    )
    split = {"left": X[:, :3], "right": X[:, 3:].astype(np.float64)}
    ranker = DeepInfluenceRanker(net, solver=solver, damping=0.1).fit(split, y)
    queries = {"left": X_query[:, :3], "right": X_query[:, 3:]}
    assert ranker.influence(queries, y_query).shape == (9, N_ROWS)
    assert ranker.proponents(queries, y_query, n=2)[1].shape == (9, 2)


def test_rows_without_weight_have_no_influence():
    from skorch.dataset import ValidSplit

    X, y, X_query, y_query = make_data("softmax")
    net = make_net("softmax", max_epochs=5, train_split=ValidSplit(3)).fit(X, y)
    ranker = DeepInfluenceRanker(FrozenEstimator(net))
    with pytest.warns(match="out of training"):
        ranker.fit(X, y)
    held_out = net.get_split_datasets(X, y)[1].indices
    influence = ranker.influence(X_query, y_query)
    assert np.all(influence[:, held_out] == 0)
    assert np.count_nonzero(influence.any(axis=0)) == N_ROWS - 20


def test_regression_without_targets_is_the_drop_of_the_prediction():
    X, y, X_query, _ = make_data("squared")
    net = NeuralNetRegressor(
        nn.Linear(5, 1),
        max_epochs=400,
        optimizer=torch.optim.Adam,
        lr=0.05,
        batch_size=-1,
        train_split=None,
        verbose=0,
    ).fit(X, y[:, :1])
    ranker = DeepInfluenceRanker(FrozenEstimator(net), damping=1e-6, dtype="float64")
    got = ranker.fit(X, y[:, :1]).influence(X_query)
    # Least squares in closed form: f(x) = x H^-1 X^T y, and a row's part of it.
    Z = np.column_stack([X, np.ones(N_ROWS)]).astype(float)
    Z_query = np.column_stack([X_query, np.ones(9)]).astype(float)
    H_inverse = np.linalg.inv(Z.T @ Z + 1e-6 * N_ROWS * np.eye(6))
    residual = y[:, 0] - net.predict(X)[:, 0]
    expected = Z_query @ H_inverse @ Z.T * residual
    # The net's predictions are float32.
    np.testing.assert_allclose(got, expected, atol=1e-6)
    with pytest.raises(ValueError, match="predicts 3 targets"):
        net = make_net("squared", max_epochs=2).fit(X, y)
        DeepInfluenceRanker(FrozenEstimator(net)).fit(X, y).influence(X_query)


def test_label_scores(fitted):
    net = fitted("softmax")
    X, y, X_query, y_query = make_data("softmax")
    ranker = DeepInfluenceRanker(FrozenEstimator(net), dtype="float64").fit(X, y)
    losses = nn.functional.cross_entropy(
        net.forward(X_query), torch.as_tensor(y_query), reduction="none"
    )
    np.testing.assert_allclose(
        ranker.label_scores("loss", X_query, y_query), losses.numpy(), rtol=1e-4
    )
    G, _, _ = dense(net, "softmax", "gauss_newton")
    np.testing.assert_allclose(
        ranker.label_scores("gradient_norm"), np.linalg.norm(G, axis=1), rtol=1e-9
    )
    with pytest.raises(ValueError, match="'self_influence', 'loss'"):
        ranker.label_scores("loo_loss")


def test_pickle(fitted):
    X, y, X_query, y_query = make_data("softmax")
    ranker = DeepInfluenceRanker(FrozenEstimator(fitted("softmax"))).fit(X, y)
    copied = pickle.loads(pickle.dumps(ranker))
    np.testing.assert_array_equal(
        copied.influence(X_query, y_query), ranker.influence(X_query, y_query)
    )


def test_refusals(fitted):
    from sklearn.linear_model import LogisticRegression

    X, y, _, _ = make_data("softmax")
    with pytest.raises(TypeError, match="must be a skorch NeuralNetClassifier"):
        DeepInfluenceRanker(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="names no trainable"):
        DeepInfluenceRanker(FrozenEstimator(fitted("softmax")), layers="7").fit(X, y)
    with pytest.raises(ValueError, match="requires y"):
        DeepInfluenceRanker(FrozenEstimator(fitted("softmax"))).fit(X, None)


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("task", KINDS)
def test_a_row_of_weight_two_is_two_rows(fitted, task, solver, curvature):
    """And one of weight 0 is none, in the curvature too (definite, so damped)."""
    X, y, X_query, y_query = make_data(task)
    # Of mean 1: what a step's weight decay is to the loss goes by the number of rows.
    weight = np.random.default_rng(0).permutation(np.resize([0, 1, 2], N_ROWS))
    options = {"solver": solver, "damping": 0.5, "dtype": "float64"}
    ranker = DeepInfluenceRanker(
        FrozenEstimator(fitted(task)), curvature=curvature, **options
    )
    weighted = ranker.fit(X, y, sample_weight=weight).influence(X_query, y_query)
    at = np.repeat(np.arange(N_ROWS), weight)
    repeated = ranker.fit(X[at], y[at]).influence(X_query, y_query)
    together = np.zeros_like(weighted)
    np.add.at(together.T, at, repeated.T)
    # Conjugate gradients solve to 1e-8; the largest of what is compared is 1.
    size = np.abs(together).max()
    np.testing.assert_allclose(weighted / size, together / size, rtol=0, atol=1e-6)
