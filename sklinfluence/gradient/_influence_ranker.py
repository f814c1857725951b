"""InfluenceRanker: influence functions of a linear last layer."""

from numbers import Integral, Real
from typing import Any, Literal, Self

from numpy.typing import ArrayLike

from sklinfluence._progress import FitTracker
from sklinfluence._removal import NORMALIZATIONS, describe_solver
from sklinfluence._scheduling import on_threads
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.curvature import SOLVERS
from sklinfluence.gradient._group_ranker import GroupRanker
from sklinfluence.gradient._training import training


class InfluenceRanker(GroupRanker):
    """Influence of training rows on the predictions of a linear last layer.

    Fits, or reads, an estimator whose last layer is linear, takes a copy of that
    layer to the optimum of the estimator's own objective and factors the Hessian
    there. ``influence(X, y)[j, i]`` is then the rise in the loss of query j when
    training row i is left out: positive for a proponent, negative for an opponent,
    in nats (classification) or half squared target units (regression). A query's
    loss is never weighted; a training row leaves with its weight.

    Read more in the :ref:`User Guide <influence>`.

    Parameters
    ----------
    estimator : estimator, default=None
        Any estimator that :func:`sklinfluence.heads.linear_head` knows, or a Pipeline
        that ends in one: the embedding is what the steps before it make of a row. A
        fitted model is passed as ``FrozenEstimator(model)``. It is cloned, never
        changed. None: ``LogisticRegression()`` for class targets, ``Ridge()`` for
        real ones.
    method : {"influence", "newton", "grad_dot"}, default="influence"
        "influence": Koh and Liang's first-order influence, g_j^T H^-1 g_i.
        "newton": each row leaves by one exact Newton step of the objective without
        it, and the query's loss is evaluated there; exact for least squares.
        "grad_dot": g_j^T g_i, without curvature.
    normalize : {"theta", "loss", "gradient", "cosine"}, default=None
        What each row's influence is divided by. "theta": the length of the parameter
        change (theta-RelatIF); "loss": the root of its self-influence (l-RelatIF);
        "gradient": the length of its gradient (renormalised influence); "cosine": the
        lengths of both gradients. 0 / 0 is 0.
    solver : {"auto", "cholesky", "cg", "lissa", "arnoldi", "ekfac", "nystrom", \
            "sketch"} or solver object, default="auto"
        How H^-1 is applied. An object with ``init`` and ``solve``, such as
        :class:`sklinfluence.curvature.ConjugateGradient`, carries parameters of its
        own (``solver__tol``). "auto": Cholesky while H can be factored, else
        conjugate gradients.
    damping : float, default=0.0
        Added to the diagonal of the *mean* Hessian, intercepts included.
    refine : float, default=None
        Rows whose one-step leave-one-out error may exceed this many nats are taken
        to their optimum by further Newton steps. It costs a parameter vector for
        each such row. Rows without which none is found, or which hold an l1 penalty's
        active set, keep their one step and are named in a warning. Approximate
        solvers, which know no bound, are refused.
    refit_head : bool, default=True
        Whether to take the head to its optimum. False reads it as it is.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    memory : str or object with the joblib.Memory interface, default=None
        Where the optimum of the head and the factor there are kept, so that a search
        over parameters does not compute them twice for one fold: the optimum for
        all ``method``, ``normalize`` and ``damping``, the factor for one damping.
    shared_directory : str, default=None
        For a dask array: where this process writes, and all workers read, a factor
        above 100 MB. None: dask's ``temporary-directory``, or the system's, if all
        workers see it.
    n_jobs : int, default=None
        Threads that share the training rows. None means what
        :func:`joblib.parallel_config` says, else as many as BLAS would use; inside a
        worker of joblib's it is one.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state`` parameters. None leaves them as
        they are.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    head_ : LinearHead
        Its linear head, polished.
    reading_ : HeadReading
        The head, factored at its optimum, with ``method``, ``normalize`` and what is
        known without each row: a value that never changes, and all that influence is
        computed from. `inspection` and `filtering` build on it.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss, with its given label: memorization.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    loo_decision_function_ : ndarray of shape (n_train,) or (n_train, n_classes)
        Raw prediction of each training row by the model that never saw it;
        classification only. One Newton step, or exact where refined.
    loo_proba_ : ndarray of shape (n_train, n_classes)
        The same as probabilities, for logistic heads.
    loo_prediction_ : ndarray of shape (n_train,) or (n_train, n_targets)
        The same for regression, where it is exact (PRESS).
    loo_score_ : float
        Mean log-likelihood of the rows under their leave-one-out predictions, weighted
        by ``sample_weight``; for heads fitted by least squares, minus the mean squared
        error. What :class:`~sklinfluence.model_selection.LeaveOneOutSearch` calls
        ``best_score_``.
    leverage_ : ndarray of shape (n_train,)
        tr(s_i S_i B_i); their sum is the head's degrees of freedom.
    loo_error_bound_ : ndarray of shape (n_train,)
        Bound, in nats, on what one Newton step leaves of each row's leave-one-out
        logits; inf where none is known, 0 for least squares. Computed when asked for.
    active_set_changes_ : ndarray of shape (n_train,)
        Whether a row's leaving changes the active coefficients of an l1 penalty, so
        that the influence on the present ones is not that of a refit.
    stationarity_gap_ : float
        Largest change that polishing made of a raw prediction of a training row that
        has a weight (``refit_head=False``: that one Newton step would make).
    solver_info_ : dict
        ``solver``, ``n_parameters``, ``damping``, ``damping_in_force`` (on the sum
        form), ``smallest_eigenvalue`` and ``largest_eigenvalue`` (estimates; on the
        contrasts between a softmax's outputs where the solver works on these),
        ``condition_number``, and ``residual``: what right-hand sides that are
        training gradients were solved to. ``reason`` of the choice; ``rows``: what
        leave-one-out quantities come from, "solver" or an approximation. And what a
        solver adds: ``n_iter`` of "cg"; ``scale`` and ``depth`` of "lissa".
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    sklinfluence.filtering.MislabelFilter : Drop the rows whose label looks wrong.
    sklinfluence.heads.linear_head : Which estimators have a linear head.

    Notes
    -----
    Rows of leverage 1 cannot leave: without them the objective has no unique optimum.
    What depends on leaving them out is NaN, and one warning names them.

    Fitted on a dask array, ``self_influence_``, ``leverage_`` and the ``loo_*`` arrays,
    `influence`, `mean_influence`, and `score_samples` of a dask array, are lazy dask
    arrays: ask for several in one :func:`dask.compute`, which then takes one pass, or
    write them to a store. `proponents`, `opponents` and ``transform`` with
    ``n_influences`` are computed, of equal influences the earlier row. ``ranking_``
    gathers all scores. Rows of leverage 1 are not named; what needs single training
    rows, such as `group_influence` or ``refine``, is refused.

    References
    ----------
    .. [1] Koh, P. W. and Liang, P. (2017). Understanding black-box predictions via
       influence functions.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; equations 33, 66, 69.
    .. [3] Barshan, E., Brunet, M.-E. and Dziugaite, G. K. (2020). RelatIF:
       identifying explanatory training examples via relative influence.
    .. [4] Rad, K. R. and Maleki, A. (2020). A scalable estimate of the out-of-sample
       prediction error via approximate leave-one-out.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> ranker = InfluenceRanker(model, method="newton").fit(X[:400], y[:400])
    >>> ranker.influence(X[400:], y[400:]).shape
    (169, 400)
    >>> influence, index = ranker.opponents(X[400:402], y[400:402], n=3)
    >>> index.shape
    (2, 3)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "method": [StrOptions({"influence", "newton", "grad_dot"})],
        "normalize": [StrOptions(set(NORMALIZATIONS)), None],
        "solver": [
            StrOptions({"auto", *SOLVERS}),
            HasMethods(["init", "solve"]),
        ],
        "damping": [Interval(Real, 0, None, closed="left")],
        "refine": [Interval(Real, 0, None, closed="neither"), None],
        "refit_head": ["boolean"],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "memory": [None, str, HasMethods(["cache"])],
        "shared_directory": [None, str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    _takes_dask = frozenset({"fit", "mean_influence", "score_samples"})
    _written_out = {**GroupRanker._written_out, "solver": "ConjugateGradient()"}

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Literal["influence", "newton", "grad_dot"] = "influence",
        normalize: Literal["theta", "loss", "gradient", "cosine"] | None = None,
        solver: Any = "auto",
        damping: float = 0.0,
        refine: float | None = None,
        refit_head: bool = True,
        n_influences: int | None = None,
        memory: Any = None,
        shared_directory: str | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.normalize = normalize
        self.solver = solver
        self.damping = damping
        self.refine = refine
        self.refit_head = refit_head
        self.n_influences = n_influences
        self.memory = memory
        self.shared_directory = shared_directory
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the estimator, polish its head and factor the Hessian.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes. Of a dask array each
            chunk of rows is read where it is worked on, and stays there: a frozen
            linear model, or a Pipeline that ends in one, or an unfitted
            ``LogisticRegression``, ``Ridge``, ``LinearRegression`` or
            ``RidgeClassifier`` without an l1 penalty, which is then fitted by Newton
            steps.
        y : array-like of shape (n_train,) or (n_train, n_targets), default=None
            Class labels or real targets; needed, beside a Dataset too. Of dask's or
            not where X is; likewise ``sample_weight``.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, non-negative; passed to the last step of a Pipeline.

        Returns
        -------
        self : InfluenceRanker

        Raises
        ------
        TypeError
            If no linear head is known for the estimator.
        ValueError
            If targets are multilabel, or the estimator's penalty is not supported.
        SingularHessianError
            If the objective has no unique optimum and ``damping`` is 0.
        """
        rows = training(self, X, y, sample_weight)
        tracker = FitTracker(self, rows.X, rows.y)
        with tracker.task("fit the estimator"):
            estimator = rows.fit_estimator()
        rows.read(estimator)
        task = tracker.task("polish the head and factor its Hessian")
        with task, on_threads(self.n_jobs):
            fitted = rows.factor()
            solver_info = describe_solver(fitted, self.damping)
        reading = rows.reading(fitted, tracker.each)
        # Nothing is set before all is done: an interrupted fit leaves no half of one.
        self.estimator_, self.reading_, self.head_ = estimator, reading, reading.head
        self.solver_info_, self.stationarity_gap_ = solver_info, fitted.gap
        self._begin(reading.n_rows, estimator, reading.head.classes)
        tracker.done()
        return self

    def fit_transform(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Any:
        """Fit, and the influence of every training row on the predictions for all.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in memory: each is a query too.
        y : array-like of shape (n_train,) or (n_train, n_targets), default=None
        sample_weight : array-like of shape (n_train,), default=None
        **fit_params : dict
            As `fit` takes them.

        Returns
        -------
        influence : ndarray or CSR matrix of shape (n_train, n_train)
            As `transform` gives it.
        """
        # Said here so that rows on a cluster are refused before they are fitted.
        if sample_weight is not None:
            fit_params["sample_weight"] = sample_weight
        return super().fit_transform(X, y, **fit_params)
