"""pyDVL's part of benchmarks/valuation.py, run by the Python that pyDVL lies in.

    PYTHON benchmarks/_pydvl.py FILE neighbors
    PYTHON benchmarks/_pydvl.py FILE permutation SCORING N_UPDATES

FILE holds X, y, X_val, y_val. The last line printed is the CPU seconds and, for
permutations, how many utilities were evaluated.
"""

import sys
import time
import warnings

import numpy as np
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier


def main():
    from pydvl.valuation import Dataset, ModelUtility, SupervisedScorer
    from pydvl.valuation.methods import KNNShapleyValuation, ShapleyValuation
    from pydvl.valuation.samplers import PermutationSampler
    from pydvl.valuation.stopping import MinUpdates

    warnings.simplefilter("ignore")
    path, what, *options = sys.argv[1:]
    data = np.load(path)
    train = Dataset(data["X"], data["y"])
    test = Dataset(data["X_val"], data["y_val"])
    if what == "neighbors":
        method = KNNShapleyValuation(KNeighborsClassifier(5), test, progress=False)
        start = time.process_time()
        with parallel_config(n_jobs=1):
            method.fit(train)
        np.save(path + ".npy", method.result.values)
        print(time.process_time() - start)
        return
    scoring, n_updates = options[0], int(options[1])
    counted = Counted(max_iter=1000)
    scorer = SupervisedScorer(scoring, test, default=0.0)
    utility = ModelUtility(counted, scorer)
    method = ShapleyValuation(
        utility, PermutationSampler(seed=0), MinUpdates(n_updates)
    )
    start = time.process_time()
    with parallel_config(n_jobs=1):
        method.fit(train)
    print(time.process_time() - start, Counted.n_fits)


class Counted(LogisticRegression):
    """A logistic regression that says how often any was fitted."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Counted.n_fits += 1
        return super().fit(X, y, sample_weight)


if __name__ == "__main__":
    main()
