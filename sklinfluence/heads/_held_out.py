"""The rows that early stopping keeps out of the training objective.

They are known only when the split can be drawn again, from an integer
``random_state``.
"""

from numbers import Integral

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import (
    ShuffleSplit,
    StratifiedShuffleSplit,
    train_test_split,
)


def held_out_by_sgd(estimator, labels, n_rows):
    """A mask of the rows that an SGDClassifier or SGDRegressor did not learn from.

    ``labels`` are the integer classes, None for regression.
    """
    mask = np.zeros(n_rows, dtype=bool)
    if estimator.early_stopping:
        _check_repeatable(estimator)
        kind = ShuffleSplit if labels is None else StratifiedShuffleSplit
        splitter = kind(
            test_size=estimator.validation_fraction, random_state=estimator.random_state
        )
        _, held_out = next(splitter.split(np.zeros((n_rows, 1)), labels))
        mask[held_out] = True
    return mask


def held_out_by_mlp(estimator, targets):
    """A mask of the rows that an MLPClassifier or MLPRegressor did not learn from."""
    mask = np.zeros(len(targets), dtype=bool)
    if estimator.early_stopping and estimator.solver != "lbfgs":
        _check_repeatable(estimator)
        rng = np.random.RandomState(estimator.random_state)
        # The split is drawn from the generator that first drew every layer's
        # initial weights and biases.
        for layer in estimator.coefs_:
            rng.uniform(size=layer.shape)
            rng.uniform(size=layer.shape[1])
        binary = is_classifier(estimator) and targets.shape[1] == 1
        _, held_out = train_test_split(
            np.arange(len(targets)),
            random_state=rng,
            test_size=estimator.validation_fraction,
            stratify=targets if binary else None,
        )
        mask[held_out] = True
    return mask


def _check_repeatable(estimator):
    # A warm start of an MLP draws no initial weights, which shifts the split.
    mlp_restarted = estimator.warm_start and hasattr(estimator, "coefs_")
    if isinstance(estimator.random_state, Integral) and not mlp_restarted:
        return
    got = (
        "warm_start=True"
        if mlp_restarted
        else f"random_state={estimator.random_state!r}"
    )
    raise ValueError(
        f"{type(estimator).__name__} with early_stopping=True and {got} kept rows out "
        "of its training that cannot be told from outside. Fit it with an integer "
        "random_state, warm_start=False, or early_stopping=False; or set "
        "early_stopping=False on the fitted estimator to count every row as a "
        "training row."
    )
