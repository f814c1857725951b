"""The inverse Hessian as a Kronecker product with corrected eigenvalues."""

from sklinfluence.curvature._row_blocks import KroneckerBlocks
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._base import project
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradient
from sklinfluence.curvature._solvers._low_rank import inverse_range


class EKFAC(ApproximateSolver):
    """Inverse Hessian in the eigenbasis of a Kronecker product.

    H is close to diagonal in the basis of the eigenvectors of the mean curvature of
    the outputs, times those of the second moment of the rows and the penalty; what
    its diagonal holds there is computed exactly, the rest left out. Needs three
    passes over the rows, n_outputs^2 + n_columns^2 numbers and, for the leave-one-out
    quantities, n_outputs numbers a row: for heads too wide to factor, a thousand
    classes with two thousand features.

    See Also
    --------
    ConjugateGradient : Solves to a tolerance, and comes closer with
        ``rows="preconditioner"`` where blocks of single outputs fit in memory.

    Notes
    -----
    Self-influence and leave-one-out predictions come close to the exact ones.
    Influence on single queries does so less: prefer `ConjugateGradient` for it.
    In the second moment a row counts by the root of its curvature's trace: those that
    the model is sure of are hardly in H.

    References
    ----------
    .. [1] George, T., Laurent, C., Bouthillier, X., Ballas, N. and Vincent, P.
       (2018). Fast approximate natural gradient descent in a Kronecker-factored
       eigenbasis.
    .. [2] Grosse, R. et al. (2023). Studying large language model generalization with
       influence functions.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker(solver="ekfac").fit(X[:500] / 16, y[:500])
    >>> ranker.self_influence_.shape
    (500,)
    """

    _parameter_constraints: dict = {}

    @property
    def polisher(self):
        return ConjugateGradient(preconditioner="ekfac")

    def init(self, operator):
        """Find the basis and the eigenvalues.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.

        Raises
        ------
        ValueError
            For heads with an l1 penalty, whose active set is no Kronecker product.
        """
        return EKFACState(operator, operator.kronecker_factors())


class EKFACState:
    """The factors, and what is read off them."""

    rows_from = "ekfac"

    def __init__(self, operator, factors):
        self.operator = operator
        self.factors = factors
        self.basis = operator.null_space()
        # Least squares is a Kronecker product, where one penalty serves all outputs.
        self.has_exact_rows = operator.has_equal_blocks
        # What a row takes while its block is worked on.
        self.values_per_row = 2 * operator.n_columns + 16 * operator.n_outputs

    def apply_inverse(self, B):
        """The approximate inverse applied to B, (p, m)."""
        return project(self.basis, self.factors.solve(project(self.basis, B)))

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^-1 (I (x) x_i) of each row, diagonal in one basis for all.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : KroneckerBlocks, or ndarray of shape (n_chosen, K) if outputs do not \
                interact
        """
        values = self.factors.row_values(rows)
        if self.factors.outputs is None:
            return values
        return KroneckerBlocks(self.factors.outputs, values)

    def eigenvalue_range(self):
        """Estimates of the smallest and largest eigenvalue of H on its range."""
        return inverse_range(self.apply_inverse, self.operator, self.basis)
