"""What copies of rows mean to a filter: one row of their weight, judged from outside.

Losses that are linear in their targets (softmax, logistic, least squares) are fitted to
equal rows as to one of their summed weight and mean target. To leave that one out is to
leave all copies out, exactly; and four copies come out as a weight of 4 does.
"""

from dataclasses import replace

import numpy as np

from sklinfluence._warn import warn_user

# Fewer distinct rows than this share: copies are the table's nature, no accident.
FEW_DISTINCT = 1 / 3


class SharedSurrogate:
    """A surrogate of the distinct rows, for all of them.

    Parameters
    ----------
    surrogate : surrogate
        Fitted on one row for each distinct row.
    copies : Copies
    sample_weight : ndarray of shape (n,)
    """

    def __init__(self, surrogate, copies, sample_weight):
        self.surrogate = surrogate
        self.copies = copies
        self.sample_weight = sample_weight
        of_group = np.bincount(copies.of_rows, weights=sample_weight)
        # All that is in use leaves with these rows.
        self.unheard = (of_group == of_group.sum())[copies.of_rows]

    def refit(self, targets):
        """Fit to the copies' mean memberships; every copy is told the same."""
        shared = self.copies.mean(targets, self.sample_weight)
        loo_log_proba, model = self.surrogate.refit(shared)
        loo_log_proba = loo_log_proba[self.copies.row]
        loo_log_proba[self.unheard] = -np.log(targets.shape[1])
        return loo_log_proba, model


def weighing_once(sample_weight, copies, given=None):
    """What rows weigh where every distinct row weighs one, (n,).

    Parameters
    ----------
    sample_weight : ndarray of shape (n,)
    copies : Copies or None
    given : ndarray of shape (n,), default=None
        Those of ``sample_weight`` that count rows; what else is in it stays.
    """
    given = sample_weight if given is None else given
    total = given if copies is None else copies.total(given)[copies.row]
    once = np.zeros(len(total))
    return np.divide(sample_weight, total, out=once, where=total > 0)


def distinct_objective(objective, copies):
    """A head's objective on one row for each distinct row; `refit` brings targets."""
    return replace(
        objective,
        design=objective.design.take(copies.first),
        weights=copies.total(objective.weights),
        targets=None,
    )


def warn_about_copies(copies, n_rows):
    """Say how many rows have copies, and what that means where few are distinct.

    Parameters
    ----------
    copies : Copies or None
    n_rows : int
    """
    if copies is None:
        return
    message = (
        f"{copies.n_copied} of the {n_rows} rows have copies: each is judged by models "
        "that saw none of its copies either."
    )
    if copies.n_groups < FEW_DISTINCT * n_rows:
        message += (
            f" Only {copies.n_groups} rows are distinct, and a label is judged by what "
            "the others among these say. If equal rows are cases of their own (a table "
            "of a few categories) and not one case written down several times, set "
            "duplicates=None: each row then leaves alone, and its equals speak for it."
        )
    warn_user(message)
