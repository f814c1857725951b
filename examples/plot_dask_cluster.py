"""
===========================================
Rows on a cluster: influence where they lie
===========================================

Embeddings in a Zarr store, a head that fits on a laptop, and workers that read the rows
where they are: :class:`~sklinfluence.gradient.InfluenceRanker` and
:class:`~sklinfluence.filtering.MislabelFilter` take a dask array as any other.
The guide says what moves, and what it costs: :ref:`cluster`.
"""

# %%
# A store and a cluster
# ---------------------
# Twelve thousand rows in chunks of two thousand stand for a hundred million. Labels of
# five per cent are wrong, and it is known which.
import tempfile
from pathlib import Path

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import zarr
from distributed import Client, LocalCluster
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

N_ROWS = 12_000
N_COLUMNS = 16
CHUNK = 2_000

X, truth = make_classification(
    N_ROWS, N_COLUMNS, n_informative=8, n_classes=3, class_sep=2.0, random_state=0
)
y, is_wrong = flip_labels(truth, rate=0.05, random_state=0)
folder = Path(tempfile.mkdtemp())
zarr.create_array(store=str(folder / "X.zarr"), data=X, chunks=(CHUNK, N_COLUMNS))

# %%
# Two workers of one thread each. (Here they are threads of this process, so that the
# page builds anywhere; without ``processes=False`` they are processes, and a script
# then starts them under ``if __name__ == "__main__"``.)
cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
)
client = Client(cluster)
rows = da.from_zarr(str(folder / "X.zarr"))
labels = da.from_array(y, chunks=CHUNK)
print(rows)

# %%
# Influence
# ---------
# The head was trained on what fitted: on the first chunk. It is polished on all rows,
# its Hessian summed where they lie and factored here.
head = LogisticRegression(C=0.1).fit(X[:CHUNK], y[:CHUNK])
ranker = InfluenceRanker(FrozenEstimator(head)).fit(rows, labels)

# %%
# What has a number a row is lazy. Asked for together, it is one pass over the rows, and
# goes to a store without passing through this process.
scores = [ranker.self_influence_, ranker.leverage_]
stores = [
    zarr.create_array(store=str(folder / name), shape=N_ROWS, chunks=CHUNK, dtype=float)
    for name in ("self_influence.zarr", "leverage.zarr")
]
da.store(scores, stores, lock=False)
self_influence = zarr.open(str(folder / "self_influence.zarr"))[:]

# %%
# The rows that a prediction leans on are found by the best of each chunk.
influence, index = ranker.proponents(X[:2], y[:2], n=3)
print(index)

# %%
# Wrong labels
# ------------
# The filter's own votes, a linear head and a kernel, are tuned where the rows lie. A
# number a row comes back: flags, and a table of the worst.
mislabel_filter = MislabelFilter(
    pool=("linear",), noise="class", n_rounds=1, random_state=0
).fit(rows, labels)
kept = mislabel_filter.get_support()
flagged = np.flatnonzero(~kept.compute())
n_found = is_wrong[flagged].sum()
print(
    f"{n_found} of {len(flagged)} flagged labels are wrong, of {is_wrong.sum()} in all"
)
print(mislabel_filter.report(n=5))

# %%
# Kept rows stay lazy too: an estimator that takes dask arrays goes on from there.
clean = rows[kept]

# %%
# Both point at the wrong labels; the filter, whose models never saw the row they judge,
# does so by far more clearly.
fig, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for ax, name, values in zip(
    axes,
    ("log10 self-influence", "log odds that the label is wrong"),
    (np.log10(self_influence), np.asarray(mislabel_filter.scores_)),
    strict=True,
):
    bins = np.linspace(*np.quantile(values, [0.0, 1.0]), 60)
    ax.hist(values[~is_wrong], bins, density=True, alpha=0.6, label="right")
    ax.hist(values[is_wrong], bins, density=True, alpha=0.6, label="wrong")
    ax.set_xlabel(name)
axes[0].legend(title="labels")
plt.show()

# %%
client.close()
cluster.close()
