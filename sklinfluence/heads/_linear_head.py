"""The linear head of a fitted estimator, and the function that finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklinfluence._estimators import register_if_net
from sklinfluence._in_memory import InMemoryMixin, in_memory
from sklinfluence._typing import Rows


@dataclass(frozen=True, eq=False, repr=False)
class LinearHead(InMemoryMixin):
    r"""The last, linear layer of a fitted estimator and the objective it minimises.

    With embeddings :math:`x_i` (and a 1 after them when there is an intercept), raw
    predictions :math:`f_i = \theta x_i` and training weights :math:`s_i`, the
    objective is scikit-learn's own, in sum form:

    .. math:: J(\theta) = \sum_i s_i \ell(y_i, f_i)
              + \tfrac12 \sum_{kj} \Lambda_{kj} \theta_{kj}^2

    Below, n_outputs counts raw predictions a row: one for a binary classifier.

    Parameters
    ----------
    loss : object
        The training loss :math:`\ell`, one of those in ``sklinfluence.curvature``:
        it has ``loss``, ``gradient`` and ``curvature`` of (coded targets, raw
        predictions).

    coef : ndarray of shape (n_outputs, n_embedding)
        Weights, in float64.

    intercept : ndarray of shape (n_outputs,)
        Intercepts, in float64; zeros when there are none.

    fit_intercept : bool
        Whether the intercepts are parameters of the objective.

    penalty : ndarray of shape (n_outputs, n_parameters)
        The diagonal of :math:`\Lambda`. n_parameters is n_embedding, plus one when
        ``fit_intercept``: the intercept's entry comes last.

    targets : ndarray of shape (n_rows, n_outputs)
        The training targets, coded: one-hot or {0, 1} for classes, -1 and +1 for
        classes fitted by least squares, the values themselves for real targets.

    weights : ndarray of shape (n_rows,)
        What each training row's loss is multiplied with: sample weight times class
        weight.

    classes : ndarray of shape (n_classes,) or None
        The class labels; None for regression.

    embed : callable
        ``embed(X)`` gives the embedding of rows, validated by the estimator itself:
        a dense or CSR array of shape (n_rows, n_embedding). It must pickle.

    encode : callable
        ``encode(y)`` gives coded targets of shape (n_rows, n_outputs). It must
        pickle.

    l1 : ndarray of shape (n_outputs, n_parameters), default=None
        The strength of the l1 penalty on every parameter, which the objective adds as
        :math:`\sum_{kj} l_{kj} |\theta_{kj}|`. None: there is none.

    penalty_advice : str, optional
        What to do where the objective has no unique optimum, as errors and warnings
        end; by default in the words of scikit-learn's linear models.

    training_advice : str, optional
        What to do where ``coef`` is far from the optimum, likewise.

    settle : callable, default=None
        ``settle(head, X)`` gives the head with the weights and the penalty that the
        model's own loss has on its training rows, where those tell. None: ``weights``
        and ``penalty`` are known without them.

    See Also
    --------
    linear_head : Find the linear head of a fitted estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklinfluence.heads import linear_head
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> head = linear_head(model, y)
    >>> raw = head.embed(X) @ head.coef.T + head.intercept
    >>> bool(np.allclose(raw, model.decision_function(X)))
    True
    >>> head.penalty.shape  # three classes, four features and an intercept
    (3, 5)
    """

    loss: object
    coef: np.ndarray
    intercept: np.ndarray
    fit_intercept: bool
    penalty: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    classes: np.ndarray | None
    embed: Callable
    encode: Callable
    l1: np.ndarray | None = None
    penalty_advice: str = (
        "Penalise the estimator (a finite C, an alpha above 0), scale the columns, or "
        "set damping above 0."
    )
    training_advice: str = (
        "Raise the estimator's max_iter or lower its tol, or pass refit_head=False to "
        "read the head as it is."
    )
    settle: Callable | None = None

    def trained_on(self, X: Rows) -> "LinearHead":
        """The head, settled on the training rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The training rows, as the estimator takes them.

        Returns
        -------
        head : LinearHead
        """
        return self if self.settle is None else self.settle(self, X)

    def __post_init__(self):
        if np.ndim(self.coef) != 2:
            raise ValueError(
                "coef of a LinearHead must have shape (n_outputs, n_embedding), "
                f"got {np.shape(self.coef)}."
            )
        n_outputs, n_embedding = self.coef.shape
        n_rows = len(self.targets)
        expected = {
            "intercept": (n_outputs,),
            "penalty": (n_outputs, n_embedding + bool(self.fit_intercept)),
            "targets": (n_rows, n_outputs),
            "weights": (n_rows,),
        }
        if self.l1 is not None:
            expected["l1"] = expected["penalty"]
        for name, shape in expected.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(
                    f"{name} of a LinearHead must have shape {shape}, as its coef has "
                    f"shape {self.coef.shape}, its targets have {n_rows} rows and "
                    f"fit_intercept={self.fit_intercept}; got "
                    f"{np.shape(getattr(self, name))}."
                )
        for name in ("coef", "intercept", "penalty", "weights"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise ValueError(
                    f"{name} of a LinearHead must be finite, and holds NaN or "
                    "infinity: the fit of its estimator failed, or its class or "
                    "sample weights overflow. Scale X, y or the weights and fit it "
                    "again."
                )

    def __repr__(self):
        # The arrays would fill screens.
        n_outputs, n_embedding = self.coef.shape
        return (
            f"LinearHead({type(self.loss).__name__}, n_outputs={n_outputs}, "
            f"n_embedding={n_embedding}, n_rows={len(self.targets)})"
        )


@in_memory
@singledispatch
def linear_head(
    estimator: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> "LinearHead":
    """Find the linear head of a fitted estimator.

    A function that dispatches on the type of its first argument
    (:func:`functools.singledispatch`). For an estimator of your own, register a
    function that returns its :class:`LinearHead`::

        @linear_head.register(MyEstimator)
        def my_head(estimator, y, sample_weight=None): return LinearHead(...)

    Parameters
    ----------
    estimator : estimator
        A fitted estimator: one of scikit-learn's with a linear last layer, a
        Pipeline that ends in one, a search that was refitted on one, or a
        FrozenEstimator around any of these. It is never changed.

    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        The targets that it was fitted on.

    sample_weight : array-like of shape (n_rows,), default=None
        The sample weights that it was fitted with. Class weights are multiplied in
        here, as the estimator itself does it.

    Returns
    -------
    head : LinearHead
        Parameters, penalty, loss, coded targets and weights, and the functions that
        embed rows and code targets.

    Raises
    ------
    TypeError
        If no head is registered for the type of ``estimator``.
    ValueError
        If the estimator's type is known, but not the objective that its parameters
        ask for, such as an l1 penalty.

    See Also
    --------
    LinearHead : What is returned.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklinfluence.heads import linear_head
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), Ridge(alpha=10.0)).fit(X, y)
    >>> head = linear_head(model, y)
    >>> head
    LinearHead(SquaredLoss, n_outputs=1, n_embedding=10, n_rows=442)
    >>> head.penalty
    array([[10., 10., 10., 10., 10., 10., 10., 10., 10., 10.,  0.]])
    """
    # The adapter of skorch's nets is loaded when the first one is met.
    if register_if_net(estimator):
        import_module("sklinfluence.heads._skorch")
    found = linear_head.dispatch(type(estimator))
    if found is not linear_head.dispatch(object):
        return found(estimator, y, sample_weight)
    known = sorted(kind.__name__ for kind in linear_head.registry if kind is not object)
    name = type(estimator).__name__
    raise TypeError(
        f"No linear head is known for {name}. linear_head knows "
        f"{', '.join(known)}. Register your own with\n\n"
        f"    @linear_head.register({name})\n"
        "    def head(estimator, y, sample_weight=None): return LinearHead(...)\n\n"
        "where linear_head and LinearHead come from sklinfluence.heads."
    )
