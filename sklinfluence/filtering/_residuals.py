"""Real targets: what out-of-sample predictions say of the targets given.

Every kind of out-of-sample prediction of real targets ends here: leave-one-out,
out-of-bag, cross-fitted, pooled or precomputed. What follows from the residuals
(scores, p-values) is said in this one place.
"""


def residual_evidence(targets, prediction, in_use):
    """Evidence on given targets, from predictions by models that never saw them.

    Parameters
    ----------
    targets : ndarray of shape (n,)
        Given targets.
    prediction : ndarray of shape (n,)
        Out-of-sample; NaN where there is none.
    in_use : ndarray of shape (n,), dtype=bool
        Rows of positive weight: the scale of the residuals is theirs.

    Returns
    -------
    evidence : LabelEvidence
        Scores are absolute residuals in units of their robust scale.
    """
    raise NotImplementedError
