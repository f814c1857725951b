"""Flags that fall on one class: wrong labels, or honest rows of a rare kind?"""

import numpy as np
from scipy.stats import hypergeom

from sklinfluence._messages import printable
from sklinfluence._warn import warn_user

# A class that loses more than this share, and more than so many times the share that
# the other classes lose, ...
LARGE_CLASS_SHARE = 0.1
LARGE_RATIO = 2.0
# ... though rows flagged without regard to their class would do that to it with less
# than this probability: three of twenty are no pattern.
RARE = 1e-3
# Classes named in one warning.
MAX_NAMED = 5


def warn_about_classes(flags, given, classes):
    """Name the classes that lose many more of their rows than the others do.

    Parameters
    ----------
    flags : ndarray of shape (n_samples,), dtype=bool
    given : ndarray of shape (n_samples,), int
        Codes of the given classes.
    classes : ndarray of shape (n_classes,)
    """
    n_rows = np.bincount(given, minlength=len(classes))
    n_flagged = np.bincount(given[flags], minlength=len(classes))
    n_all, n_lost = len(flags), np.count_nonzero(flags)
    share = n_flagged / np.maximum(n_rows, 1)
    others = (n_lost - n_flagged) / np.maximum(n_all - n_rows, 1)
    chance = hypergeom.sf(n_flagged - 1, n_all, n_lost, n_rows)
    is_hit = (share > LARGE_CLASS_SHARE) & (share > LARGE_RATIO * others)
    hit = np.flatnonzero(is_hit & (chance < RARE))
    if not len(hit):
        return
    losses = ", ".join(
        f"{printable(classes[code])} loses {share[code]:.0%} of its rows (the others "
        f"{others[code]:.1%})"
        for code in hit[:MAX_NAMED]
    )
    more = f", and {len(hit) - MAX_NAMED} more classes" if len(hit) > MAX_NAMED else ""
    warn_user(
        f"The flags are uneven: class {losses}{more}. Either its labels are that much "
        "worse, or its rows are honest and rarer than those they lie among: dropping "
        "them would bias the model against it. Look at report(); a smaller max_share "
        "bounds the loss of every class.",
    )
