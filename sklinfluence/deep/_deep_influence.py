"""DeepInfluenceRanker: influence functions of all parameters of a network."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from sklinfluence._estimators import (
    check_count,
    check_training,
    fit_weighted,
    sliceable,
)
from sklinfluence._nets import NETS, given_net, refuse_non_finite
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
)
from sklinfluence._top_n import as_sparse, strongest
from sklinfluence._typing import Rows
from sklinfluence.base import BaseRanker
from sklinfluence.curvature import SOLVERS, warn_about_residual
from sklinfluence.deep._net._bregman import NetBregman
from sklinfluence.deep._net._candidates import (
    embedding_layer,
    nearest_rows,
)
from sklinfluence.deep._net._functional import check_layers
from sklinfluence.deep._net._net_objective import net_objective, query_rows
from sklinfluence.deep._net._net_solver import describe, init_solver, resolve_net_solver
from sklinfluence.deep._net._operators import NetCurvature


class DeepInfluenceRanker(BaseRanker):
    r"""Influence of training rows through all parameters of a skorch net.

    ``influence(X, y)[j, i]`` is :math:`g_j^\top H^{-1} s_i g_i`: to first order, the
    rise in the loss of query j when training row i is left out of the training of the
    selected layers. g are gradients of a row's loss with respect to their parameters,
    s weights, H the curvature of the training objective where the net stands: its
    Gauss-Newton matrix or its Hessian, weight decay included, plus ``damping``.
    Positive for a proponent, in nats or half squared target units, as
    :class:`~sklinfluence.gradient.InfluenceRanker` has it for the last layer alone.

    Nothing of size n_train x n_parameters is built: gradients come in blocks of rows,
    curvature as products with vectors (forward over reverse).

    Read more in the :ref:`User Guide <deep>`.

    Parameters
    ----------
    estimator : NeuralNetClassifier, NeuralNetBinaryClassifier or NeuralNetRegressor
        A skorch net. It is cloned and trained; a trained one is passed as
        ``FrozenEstimator(net)`` and is never changed.
    layers : "all", "last", str or list of str, default="all"
        Whose parameters count: all, those of the last ``nn.Linear``, or the names of
        layers (as in ``module.named_modules()``) or of parameters.
    method : {"influence", "grad_dot"}, default="influence"
        "grad_dot": :math:`g_j^\top s_i g_i`, without curvature.
    curvature : {"gauss_newton", "hessian"}, default="gauss_newton"
        What H is made of. The Gauss-Newton matrix is never indefinite; the Hessian of
        a network usually is, and is then refused with the damping that it would take.
    solver : str or solver object, default="auto"
        How H^-1 is applied; the solvers of ``sklinfluence.curvature``: "cholesky",
        "cg", "lissa", "arnoldi", "nystrom", "sketch" or "ekfac". "auto": Cholesky up to
        2000
        parameters, else conjugate gradients, preconditioned by EK-FAC. "ekfac": an
        approximation, :class:`~sklinfluence.curvature.EKFAC` with 200 directions; it
        costs the same however many rows are asked about, as self-influence of all of
        them does.
        "fastif": LiSSA with the settings of Guo et al., 1000 steps of one row each
        and a scale of 1e4 (``damping=0.005`` is theirs), for influence on few
        ``candidates``; it stops far short of H^-1, and says so.
    damping : float, default=0.001
        Added to the diagonal of the *mean* curvature. Networks have flat directions,
        where 0 is refused or meaningless.
    normalize : {"theta", "loss", "gradient", "cosine"}, default=None
        As in :class:`~sklinfluence.gradient.InfluenceRanker`. "theta" and "loss"
        solve for every training row.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    dtype : {"float32", "float64"}, default=None
        What parameters and rows are cast to for derivatives. None: the net's own
        (of bfloat16: float32).

    Attributes
    ----------
    estimator_ : net
        The trained net.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss. One solve a row, when first asked for.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    parameter_names_ : tuple of str
        Parameters that count, in the order of gradients.
    n_features_in_ : int
        Number of columns of X, when the net knows it.
    gradient_norm_ : float
        Largest entry of the gradient of the *mean* training objective. Far from 0 the
        net was not trained to its optimum, and influence is that of the proximal
        Bregman response rather than of retraining (Bae et al. 2022).
    solver_info_ : dict
        ``solver``, ``n_parameters``, ``damping``, ``damping_in_force``,
        ``smallest_eigenvalue`` (``curvature="hessian"``: an estimate, else a lower
        bound), ``largest_eigenvalue`` and ``condition_number``, and the ``residual``
        of each of a few training gradients.

    See Also
    --------
    sklinfluence.gradient.InfluenceRanker : The last layer alone: seconds, not minutes.
    sklinfluence.curvature.EKFAC : What ``solver="ekfac"`` is.
    SkorchEmbedding : What a layer makes of rows.

    References
    ----------
    .. [1] Koh, P. W. and Liang, P. (2017). Understanding black-box predictions via
       influence functions.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 5.1.1.
    .. [3] Grosse, R. et al. (2023). Studying large language model generalization with
       influence functions (Gauss-Newton, EK-FAC).
    .. [4] Guo, H., Rajani, N., Hase, P., Bansal, M. and Xiong, C. (2021). FastIF:
       scalable influence functions for efficient model interpretation and debugging.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skorch import NeuralNetClassifier
    >>> from sklinfluence.deep import DeepInfluenceRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> net = NeuralNetClassifier(
    ...     torch.nn.Sequential(
    ...         torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    ...     ),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     train_split=None,
    ...     verbose=0,
    ... )
    >>> ranker = DeepInfluenceRanker(net).fit(X, y)
    >>> ranker.influence(X[:2], y[:2]).shape
    (2, 150)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "layers": [str, "array-like"],
        "method": [StrOptions({"influence", "grad_dot"})],
        "curvature": [StrOptions({"gauss_newton", "hessian"})],
        "solver": [
            StrOptions({"auto", "fastif", *SOLVERS}),
            HasMethods(["init", "solve"]),
        ],
        "damping": [Interval(Real, 0, None, closed="left")],
        "normalize": [StrOptions({"theta", "loss", "gradient", "cosine"}), None],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        layers: list | str = "all",
        method: Literal["influence", "grad_dot"] = "influence",
        curvature: Literal["gauss_newton", "hessian"] = "gauss_newton",
        solver: Any = "auto",
        damping: float = 1e-3,
        normalize: Literal["theta", "loss", "gradient", "cosine"] | None = None,
        n_influences: int | None = None,
        dtype: Literal["float32", "float64"] | None = None,
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.method = method
        self.curvature = curvature
        self.solver = solver
        self.damping = damping
        self.normalize = normalize
        self.n_influences = n_influences
        self.dtype = dtype

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the net and prepare its curvature for queries.

        Parameters
        ----------
        X : array-like of shape (n_train, n_features), or whatever the net takes
            Training rows.
        y : array-like of shape (n_train,) or (n_train, n_targets), default=None
            Needed. Numbers of classes or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows; refused if the net's ``fit`` takes none.

        Returns
        -------
        self : DeepInfluenceRanker

        Raises
        ------
        SingularHessianError
            If the curvature is not positive definite.
        """
        given_net(self, NETS)
        check_layers(self.layers)
        X = sliceable(X)
        y, sample_weight = check_training(self, X, y, sample_weight)
        self.estimator_ = fit_weighted(clone(self.estimator), X, y, sample_weight)
        objective = net_objective(
            self.estimator_,
            X,
            y,
            sample_weight,
            layers=self.layers,
            dtype=self.dtype,
            damping=self.damping,
        )
        self._objective = objective
        self.parameter_names_ = objective.net.names
        raw = objective.raw()
        refuse_non_finite(objective.net.net, X, raw)
        self._residual = objective.torch_loss.residual(objective.targets, raw)
        self._losses = objective.torch_loss.loss(objective.targets, raw)
        self.gradient_norm_ = objective.largest_slope(self._residual)
        self._own = self._lengths = None
        self._begin(len(raw), self.estimator_, objective.loss.classes)
        if self.method == "influence":
            operator = NetCurvature(objective, self.curvature)
            self._solver = resolve_net_solver(self.solver, operator)
            self._state = init_solver(self._solver, operator)
            self.solver_info_ = describe(
                self._solver, self._state, operator, self.damping, self._residual
            )
        return self

    def _bregman_objective(self):
        """What `metrics.pbrf` minimises."""
        return NetBregman(self._objective)

    def _training_gradients(self):
        """(slice, s_i g_i) of blocks of training rows."""
        objective = self._objective
        weighted = objective.weights[:, None] * self._residual
        return objective.gradients(objective.rows, weighted)

    def _solve(self, B):
        """H^-1 B, (p, m); B itself where no curvature is used."""
        if self.method == "grad_dot":
            return B
        X, info = self._solver.solve(self._state, B)
        warn_about_residual(self._solver, info)
        return X

    def _influence_block(self, X, y):
        rows, residual = query_rows(self._objective, (X, y))
        out = np.empty((len(rows), self.n_train_))
        # Gradients of queries are p numbers each: not all of them at once.
        for block, gradients in self._objective.gradients(rows, residual):
            out[block] = self._products(self._solve(gradients.T))
            if self.normalize == "cosine":
                out[block] *= _inverse(np.linalg.norm(gradients, axis=1))[:, None]
        if self.normalize is not None:
            out *= self._column_scale()
        self._refuse_non_finite(X, out)
        return out

    def influence(
        self, X: Rows, y: ArrayLike | None = None, *, candidates: int | None = None
    ) -> Any:
        """Influence of training rows on every query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or whatever the net takes
            Queries.
        y : array-like of shape (n_queries,), default=None
            Their targets. None: a classifier's queries take the label that the net
            predicts; for regression the influence is on the prediction itself.
        candidates : int, default=None
            Only the training rows that are this many nearest to each query, in what
            the last linear layer is given, are asked about (FastIF). None: all.

        Returns
        -------
        influence : ndarray or CSR matrix of shape (n_queries, n_train)
            The rise in each query's loss when each training row is left out. With
            ``candidates``, sparse, and it holds these entries only.
        """
        if candidates is None:
            return super().influence(X, y)
        return as_sparse(*self._of_candidates(X, y, candidates), self.n_train_)

    def proponents(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        n: int = 5,
        *,
        candidates: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would rise most.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or whatever the net takes
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Largest first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().proponents(X, y, n)
        check_count(candidates, "candidates")
        check_count(n, "n", candidates, "candidates")
        return strongest(*self._of_candidates(X, y, candidates), n)

    def opponents(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        n: int = 5,
        *,
        candidates: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would fall most.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or whatever the net takes
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Most negative first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().opponents(X, y, n)
        check_count(candidates, "candidates")
        check_count(n, "n", candidates, "candidates")
        return strongest(*self._of_candidates(X, y, candidates), n, "smallest")

    def _of_candidates(self, X, y, candidates):
        """Influence of each query's nearest rows: (influence, index)."""
        X, y = self._asked(X, y)
        objective = self._objective
        weighted = np.flatnonzero(objective.weights.cpu().numpy() > 0)
        what = "the number of training rows with a weight"
        check_count(candidates, "candidates", len(weighted), what)
        self._refuse_no_queries(X)
        rows, residual = query_rows(objective, (X, y))
        layer = embedding_layer(self.estimator_, X)
        index = nearest_rows(objective, layer, rows, candidates, weighted)
        out = np.empty(index.shape)
        for block, gradients in objective.gradients(rows, residual):
            out[block] = self._pairs(self._solve(gradients.T), index[block])
            if self.normalize == "cosine":
                out[block] *= _inverse(np.linalg.norm(gradients, axis=1))[:, None]
        if self.normalize is not None:
            out *= self._column_scale()[index]
        self._refuse_non_finite(X, out)
        return out, index

    def _pairs(self, V, index):
        """Products of each column of V with the gradients of its own rows, (m, c)."""
        objective = self._objective
        rows, place = np.unique(index, return_inverse=True)
        place = place.reshape(index.shape)
        weighted = (objective.weights[:, None] * self._residual)[rows]
        products = np.empty((V.shape[1], len(rows)))
        for block, gradients in objective.gradients(
            objective.rows.take(rows), weighted
        ):
            products[:, block] = V.T @ gradients.T
        return np.take_along_axis(products, place, axis=1)

    def _refuse_non_finite(self, X, values):
        """Name X where it leaves outputs finite, and gradients not."""
        refuse_non_finite(self._objective.net.net, X, torch.as_tensor(values))

    def _products(self, V):
        """Products of V's columns with every training gradient, (m, n_train)."""
        out = np.empty((V.shape[1], self.n_train_))
        for block, gradients in self._training_gradients():
            np.matmul(V.T, gradients.T, out=out[:, block])
        return out

    def mean_influence(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Mean influence of every training row over all queries, by one solve.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or whatever the net takes
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        influence : ndarray of shape (n_train,)
        """
        self._refuse_no_queries(X)
        rows, residual = query_rows(self._objective, self._asked(X, y))
        total = np.zeros(self._objective.n_parameters)
        for _, gradients in self._objective.gradients(rows, residual):
            if self.normalize == "cosine":
                gradients *= _inverse(np.linalg.norm(gradients, axis=1))[:, None]
            total += gradients.sum(axis=0)
        self._refuse_non_finite(X, total)
        mean = self._products(self._solve(total[:, None] / len(rows)))[0]
        return mean if self.normalize is None else mean * self._column_scale()

    def _own_influence(self, rows, residual):
        """g^T H^-1 g, |H^-1 g| and |g| of rows, unweighted: three of (n,)."""
        parts = [np.zeros((3, 0))]
        for _, gradients in self._objective.gradients(rows, residual):
            solved = self._solve(gradients.T).T
            own = np.einsum("ip,ip->i", gradients, solved)
            moved = np.linalg.norm(solved, axis=1)
            parts.append(np.stack([own, moved, np.linalg.norm(gradients, axis=1)]))
        return np.concatenate(parts, axis=1)

    def _training_influence(self):
        if self._own is None:
            objective = self._objective
            own = self._own_influence(objective.rows, self._residual)
            self._own = own * objective.weights.cpu().double().numpy()
        return self._own

    def _gradient_lengths(self):
        """|g_i| of the training rows, unweighted: (n_train,)."""
        if self._lengths is None:
            gradients = self._objective.gradients(self._objective.rows, self._residual)
            self._lengths = np.concatenate(
                [np.linalg.norm(block, axis=1) for _, block in gradients]
            )
        return self._lengths

    def _column_scale(self):
        """What `normalize` multiplies each training row's influence with."""
        if self.normalize == "loss":
            return _inverse(np.sqrt(np.maximum(self._training_influence()[0], 0.0)))
        if self.normalize == "theta" and self.method == "influence":
            return _inverse(self._training_influence()[1])
        weights = self._objective.weights.cpu().double().numpy()
        return _inverse(weights * self._gradient_lengths())

    def _self_influence(self):
        own = self._training_influence()[0]
        if self.normalize is not None:
            own = own * self._column_scale()
        if self.normalize == "cosine":
            own = own * _inverse(self._gradient_lengths())
        return own

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have under the fitted net.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), or whatever the net takes
        y : array-like of shape (n_rows,), default=None
            Given labels or targets. None: the label that a classifier predicts; for
            regression, self-influence on the prediction.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        """
        rows, residual = query_rows(self._objective, self._asked(X, y))
        own, moved, lengths = self._own_influence(rows, residual)
        self._refuse_non_finite(X, own)
        if self.normalize == "loss":
            return own * _inverse(np.sqrt(np.maximum(own, 0.0)))
        if self.normalize == "theta":
            return own * _inverse(moved)
        if self.normalize == "gradient":
            return own * _inverse(lengths)
        return own if self.normalize is None else own * _inverse(lengths**2)

    def _known_label_scores(self):
        return ("self_influence", "loss", "gradient_norm")

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return super()._label_scores(score, X, y)
        if X is None:
            residual, rows = self._residual, self._objective.rows
            losses = self._losses.cpu().double().numpy()
        else:
            X, y = self._asked(X, y)
            rows, residual = query_rows(self._objective, (X, y))
            losses = self._objective.losses(rows, y)
        if score == "loss":
            return losses
        gradients = self._objective.gradients(rows, residual)
        return np.concatenate([np.linalg.norm(g, axis=1) for _, g in gradients])


def _inverse(values):
    """1 / values, with 1 / 0 = 0: what has no gradient has no influence either."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)
