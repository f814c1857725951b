"""Which kept row stands in for a dropped one, where rows cannot be dropped."""

import numpy as np
from sklearn.utils import check_random_state


def assign_donors(support, given, random_state=None, in_use=None):
    """Give every dropped row a kept row of the same given label.

    A scikit-learn Pipeline carries y past its transformers unchanged, so a transformer
    can only take a row out by putting another one *of the same label* in its place.
    Donors are taken in turn from a shuffle of their class, so that no row of a class
    is copied twice before every other was copied once.

    Parameters
    ----------
    support : ndarray of shape (n_samples,), dtype=bool
        The rows that are kept.

    given : ndarray of shape (n_samples,)
        The given label of every row, or its code.

    random_state : int, RandomState instance or None, default=None
        Seeds the shuffle.

    in_use : ndarray of shape (n_samples,), dtype=bool, default=None
        Rows that may be donors: those of positive weight. None: all.

    Returns
    -------
    sample_indices : ndarray of shape (n_samples,)
        ``sample_indices[i] == i`` for a kept row, the donor's number for a dropped
        one; ``given[sample_indices] == given``.
    """
    rng = check_random_state(random_state)
    sample_indices = np.arange(len(support))
    eligible = support if in_use is None else support & in_use
    for label in np.unique(given[~support]):
        of_label = given == label
        dropped = np.flatnonzero(of_label & ~support)
        donors = rng.permutation(np.flatnonzero(of_label & eligible))
        sample_indices[dropped] = np.resize(donors, len(dropped))
    return sample_indices
