"""InfluenceRanker against dense algebra on autodiff of scikit-learn's objectives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from sklinfluence.gradient import InfluenceRanker

# Polishing is what is tested: some of the estimators stop early on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# The target is 1e-6. Both sides are float64; the oracle's pseudo-inverse loses up to
# its condition number (1e4) times rounding, so an error of method would be far larger.
TOLERANCE = 1e-8


def relative(ours, truth):
    assert np.shape(ours) == np.shape(truth)
    return np.max(np.abs(ours - truth)) / np.max(np.abs(truth))


def expected(case, method="influence", normalize=None):
    """(matrix, self-influence) by dense algebra."""
    problem = case.problem
    g, own = problem.weighted_gradients(), problem.gradients()
    asked = problem.gradients(case.Zq, case.Yq)
    inverse = np.eye(g.shape[1]) if method == "grad_dot" else problem.inverse
    matrix = asked @ inverse @ g.T
    diagonal = np.einsum("ip,pq,iq->i", own, inverse, g)
    if normalize == "theta":
        scale = np.linalg.norm(g @ inverse, axis=1)
    elif normalize == "loss":
        scale = np.sqrt(diagonal)
    else:
        scale = np.linalg.norm(g, axis=1) if normalize else np.ones(len(g))
    matrix, diagonal = matrix / scale, diagonal / scale
    if normalize == "cosine":
        matrix = matrix / np.linalg.norm(asked, axis=1)[:, None]
        diagonal = diagonal / np.linalg.norm(own, axis=1)
    return matrix, diagonal


@pytest.mark.parametrize("normalize", [None, "theta", "loss", "gradient", "cosine"])
@pytest.mark.parametrize("method", ["influence", "grad_dot"])
def test_first_order_influence_is_the_dense_formula(case, method, normalize):
    matrix, diagonal = expected(case, method, normalize)
    ranker = case.ranker(method=method, normalize=normalize)
    assert relative(ranker.influence(case.Xq, case.yq), matrix) < TOLERANCE
    assert relative(ranker.self_influence_, diagonal) < TOLERANCE
    mean = ranker.mean_influence(case.Xq, case.yq)
    assert relative(mean, matrix.mean(axis=0)) < TOLERANCE


def test_conjugate_gradients_give_the_same(case):
    matrix, diagonal = expected(case)
    ranker = case.ranker(solver="cg")
    # CG's tolerance of 1e-8 is on residuals; errors are that times the condition.
    assert relative(ranker.influence(case.Xq, case.yq), matrix) < 1e-6
    assert relative(ranker.self_influence_, diagonal) < 1e-6


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_newton_step_is_the_dense_formula(case, solver):
    problem = case.problem
    changes = problem.newton_changes
    before = problem.losses_at(np.zeros(problem.shape), case.Zq, case.Yq)
    truth = np.array([problem.losses_at(c, case.Zq, case.Yq) - before for c in changes])
    ranker = case.ranker(method="newton", solver=solver)
    tolerance = TOLERANCE if solver == "cholesky" else 1e-6  # as above
    matrix = ranker.influence(case.Xq, case.yq)
    assert relative(matrix, truth.T) < tolerance
    assert relative(ranker.mean_influence(case.Xq, case.yq), truth.mean(1)) < tolerance

    train = problem.Z.numpy(), problem.Y.numpy()
    at_theta = problem.losses_at(np.zeros(problem.shape), *train)
    own = np.array(
        [problem.losses_at(c, *train)[i] - at_theta[i] for i, c in enumerate(changes)]
    )
    assert relative(ranker.self_influence_, own) < tolerance
    # theta - theta without the row, the solution of least norm where H has a kernel.
    vectors = ranker.parameter_influence(np.arange(60)).reshape(60, -1)
    assert relative(vectors, -changes) < tolerance


def test_newton_is_normalised_like_the_rest(case):
    problem = case.problem
    changes = problem.newton_changes
    plain = case.ranker(method="newton").influence(case.Xq, case.yq)
    by_theta = case.ranker(method="newton", normalize="theta")
    lengths = np.linalg.norm(changes, axis=1)
    assert relative(by_theta.influence(case.Xq, case.yq), plain / lengths) < TOLERANCE
    by_gradient = case.ranker(method="newton", normalize="gradient")
    lengths = np.linalg.norm(problem.weighted_gradients(), axis=1)
    ours = by_gradient.influence(case.Xq, case.yq)
    assert relative(ours, plain / lengths) < TOLERANCE


def test_parameter_influence_is_cooks_vector(case):
    problem = case.problem
    truth = -(problem.weighted_gradients() @ problem.inverse)
    ranker = case.ranker()
    ours = ranker.parameter_influence(np.arange(60))
    assert ours.shape == (60, *problem.shape)
    assert relative(ours.reshape(60, -1), truth) < TOLERANCE
    assert relative(ranker.parameter_influence(7), ours[7]) < 1e-12  # one row alone
    with pytest.raises(ValueError, match="no parameter change"):
        case.ranker(method="grad_dot").parameter_influence(0)


def test_leave_one_out_predictions_are_one_newton_step(case):
    problem = case.problem
    Z = problem.Z.numpy()
    changes = problem.newton_changes.reshape(60, *problem.shape)
    truth = np.einsum("iq,ikq->ik", Z, problem.theta + changes)
    ranker = case.ranker()
    if case.name == "ridge":
        assert relative(ranker.loo_prediction_, truth) < TOLERANCE
        errors = np.mean((truth - case.y) ** 2, axis=1)
        mean = -np.average(errors, weights=problem.s.numpy())
        assert ranker.loo_score_ == pytest.approx(mean, rel=1e-8)
        return
    if truth.shape[1] > 1 and problem.kind == "softmax":  # scikit-learn centres it
        ours = ranker.loo_decision_function_
        ours = ours - ours.mean(axis=1, keepdims=True)
        truth = truth - truth.mean(axis=1, keepdims=True)
    else:
        ours, truth = ranker.loo_decision_function_, np.squeeze(truth)
    assert relative(ours, truth) < TOLERANCE


def test_leverage_and_degrees_of_freedom(case):
    problem = case.problem
    H, inverse = problem.H, problem.inverse
    # sum_i tr(s_i S_i B_i) = tr((H - Lambda - damping) H^+).
    data = H - np.diag(problem.penalty.numpy().ravel())
    data = data - case.damping * problem.s.numpy().sum() * np.eye(len(H))
    ranker = case.ranker()
    assert ranker.leverage_.sum() == pytest.approx(np.trace(data @ inverse), rel=1e-8)


def test_leverage_of_each_row(case):
    """tr(s_i S_i B_i), S_i and B_i dense."""
    problem, truth = case.problem, []
    import torch

    flat = torch.tensor(problem.theta.ravel())
    for i in range(60):

        def own(flat, i=i):
            raw = problem.Z[i] @ flat.reshape(problem.shape).T
            return problem.s[i] * problem.row_losses(raw[None], problem.Y[i][None])[0]

        truth.append(np.trace(torch.func.hessian(own)(flat).numpy() @ problem.inverse))
    assert relative(case.ranker().leverage_, np.array(truth)) < TOLERANCE


def test_leave_one_out_probabilities_and_their_score(case):
    problem, ranker = case.problem, case.ranker()
    Z, Y = problem.Z.numpy(), problem.Y.numpy()
    changes = problem.newton_changes.reshape(60, *problem.shape)
    raw = np.einsum("iq,ikq->ik", Z, problem.theta + changes)
    if problem.kind == "squared":
        mean = -np.average((raw - Y) ** 2, axis=0, weights=case.weight).mean()
        assert ranker.loo_score_ == pytest.approx(mean, rel=1e-8)
        assert not hasattr(ranker, "loo_proba_")
        return
    if problem.kind == "softmax":
        proba = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        losses = -np.log(np.sum(proba * Y, axis=1))
    else:
        each = 1 / (1 + np.exp(-raw))
        losses = -(Y * np.log(each) + (1 - Y) * np.log(1 - each)).sum(axis=1)
        # One against the rest is normalised as scikit-learn does.
        proba = np.hstack([1 - each, each]) if each.shape[1] == 1 else each
        proba = proba / proba.sum(axis=1, keepdims=True)
    assert relative(ranker.loo_proba_, proba) < TOLERANCE
    # By the rows' own weights: those of classes belong to the objective.
    mean = np.average(losses, weights=case.weight)
    assert ranker.loo_score_ == pytest.approx(-mean, rel=1e-7)


def test_score_samples_are_the_self_influence_of_new_rows(case):
    problem = case.problem
    asked = problem.gradients(case.Zq, case.Yq)
    own = np.einsum("ip,pq,iq->i", asked, problem.inverse, asked)
    ranker = case.ranker()
    assert relative(ranker.score_samples(case.Xq, case.yq), own) < TOLERANCE
    dots = case.ranker(method="grad_dot").score_samples(case.Xq, case.yq)
    assert relative(dots, np.sum(asked**2, axis=1)) < TOLERANCE


# -- what is derived from the matrix


def test_proponents_and_opponents_sort_the_matrix(case):
    matrix, _ = expected(case)
    ranker = case.ranker()
    values, index = ranker.proponents(case.Xq, case.yq, n=4)
    order = np.argsort(-matrix, axis=1)[:, :4]
    assert np.array_equal(index, order)
    assert relative(values, np.take_along_axis(matrix, order, 1)) < TOLERANCE
    values, index = ranker.opponents(case.Xq, case.yq, n=60)
    order = np.argsort(matrix, axis=1)
    assert np.array_equal(index, order)
    assert relative(values, np.take_along_axis(matrix, order, 1)) < TOLERANCE


def test_transform_is_influence_on_the_models_own_prediction(case):
    ranker = case.ranker()
    if case.name == "ridge":
        with pytest.raises(ValueError, match="predicts 2 of them at once"):
            ranker.transform(case.Xq)
        return
    full = ranker.influence(case.Xq, ranker.predict(case.Xq))
    assert np.array_equal(ranker.transform(case.Xq), full)
    kept = case.ranker(n_influences=7).transform(case.Xq)
    assert sparse.issparse(kept)
    assert kept.format == "csr"
    assert kept.shape == full.shape
    assert np.array_equal(np.diff(kept.indptr), np.full(len(full), 7))
    for j, row in enumerate(full):
        largest = np.sort(np.argsort(-np.abs(row), kind="stable")[:7])
        assert np.array_equal(kept[[j]].indices, largest)
        assert relative(kept[[j]].data, row[largest]) < 1e-12


def test_ranking_counts_from_the_largest_self_influence(case):
    _, diagonal = expected(case)
    ranking = case.ranker().ranking_
    assert np.array_equal(np.argsort(-diagonal), np.argsort(ranking))
    assert np.array_equal(np.sort(ranking), np.arange(1, 61))


def test_fit_transform_is_what_each_row_pushes_each_prediction_up_by():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:12, :3], y[:12]
    whole = Ridge(0.1).fit(X, y).predict(X)
    without = [
        Ridge(0.1).fit(np.delete(X, i, axis=0), np.delete(y, i)).predict(X)
        for i in range(len(X))
    ]
    pushed = InfluenceRanker(Ridge(0.1), method="newton").fit_transform(X, y)
    # Exact for least squares.
    assert_allclose(pushed, whole[:, None] - np.transpose(without), atol=1e-9)
