"""What a solver may ask of the curvature that it inverts."""


class Operator:
    """Symmetric positive semi-definite operator of shape (p, p).

    Parameters run over ``n_outputs`` first, ``n_columns`` second. Every operator has
    ``shape``, ``n_rows``, ``matvec``, ``dense``, ``trace``, ``null_space``,
    ``diagonal_terms`` (the penalty), ``diagonal_blocks``, ``is_block_diagonal``,
    ``has_equal_blocks``, ``row_bounds``, ``sampled`` and ``kronecker_factors``; what
    only some have is declared here, and None elsewhere.

    Attributes
    ----------
    design : Design or None
        The rows of a linear head. None: a network's parameters are no columns.
    active : ndarray of shape (n_outputs, n_columns) or None
        Which parameters an l1 penalty leaves; None: all.
    block_products : method or None
        What the rows give to each output's block, times vectors.
    smallest_eigenvalue : float or None
        Where it had to be found out already.
    rows_at_hand : bool
        Whether single rows can be asked for.
    is_rowless : bool
        Whether there are no rows at all, so that it has no products.
    """

    design = None
    active = None
    block_products = None
    smallest_eigenvalue = None
    rows_at_hand = True
    is_rowless = False

    @property
    def has_one_set(self):
        """Whether all outputs have the same columns: not so under most l1 penalties."""
        return self.active is None or bool(self.active.all())
