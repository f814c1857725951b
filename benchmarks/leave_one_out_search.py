"""LeaveOneOutSearch against GridSearchCV(cv=5): what they choose and what it takes.

Both search the same 15 values of C for the same scaled logistic regression, one after
the other in one run, on scikit-learn's bundled sets and, where they lie beside the
checkout, on larger ones. "test loss" is the held-out log loss of the refitted winner.

    OMP_NUM_THREADS=1 python benchmarks/leave_one_out_search.py [--quick]
"""

import argparse
import time
import warnings

import _data
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.model_selection import LeaveOneOutSearch

GRID = {"logisticregression__C": np.logspace(-4, 3, 15)}


def data_sets(quick):
    yield "breast cancer", load_breast_cancer(return_X_y=True)
    yield "wine", load_wine(return_X_y=True)
    if quick:
        return
    yield "digits", load_digits(return_X_y=True)
    for name in _data.present(["spambase", "satimage"]):
        data = _data.load(name)
        yield name, (np.asarray(data["X"], dtype=float), data["y"])


def timed(search, X, y):
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore", ConvergenceWarning)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    print(
        f"{'set':14s} {'rows':>5s} {'cols':>4s} {'classes':>7s} {'LOO s':>7s} "
        f"{'cv=5 s':>7s} {'ratio':>6s} {'C':>8s} {'C cv=5':>8s} {'loss':>6s} "
        f"{'cv=5':>6s}"
    )
    for name, (X, y) in data_sets(quick):
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=0.3, random_state=0, stratify=y
        )
        ours = LeaveOneOutSearch(model, GRID)
        theirs = GridSearchCV(model, GRID, scoring="neg_log_loss")
        seconds = timed(ours, X, y), timed(theirs, X, y)
        chosen = [s.best_params_["logisticregression__C"] for s in (ours, theirs)]
        losses = [log_loss(y_test, s.predict_proba(X_test)) for s in (ours, theirs)]
        print(
            f"{name:14s} {X.shape[0]:5d} {X.shape[1]:4d} {len(np.unique(y)):7d} "
            f"{seconds[0]:7.2f} {seconds[1]:7.2f} {seconds[0] / seconds[1]:6.2f} "
            f"{chosen[0]:8.3g} {chosen[1]:8.3g} {losses[0]:6.3f} {losses[1]:6.3f}"
        )


if __name__ == "__main__":
    main()
