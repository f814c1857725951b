"""
==================================
Saving a ranker, a filter, a run
==================================

What was fitted today is asked tomorrow, perhaps elsewhere. Rankers and filters pickle
as every scikit-learn estimator does; the recorded training run of a network has a
format of its own, which holds numbers only.
"""

# %%
# A ranker
# --------
# A fitted ranker keeps what its answers need: the model, the factored Hessian, and the
# embedding of every training row with its label. It therefore answers without the data
# it was fitted on, and is a file to guard like them.
import tempfile
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklinfluence.gradient import InfluenceRanker

X, y = load_digits(return_X_y=True)
X_train, y_train, X_new = X[:1300], y[:1300], X[1300:]
folder = Path(tempfile.mkdtemp())

model = make_pipeline(MinMaxScaler(), LogisticRegression(C=0.1))
ranker = InfluenceRanker(model, method="newton").fit(X_train, y_train)
joblib.dump(ranker, folder / "ranker.joblib", compress=3)
del ranker

# %%
# The loaded one is asked like the first:
import matplotlib.pyplot as plt

loaded = joblib.load(folder / "ranker.joblib")
predicted = loaded.predict(X_new[:3])
_, found = loaded.proponents(X_new[:3], n=5)
fig, axes = plt.subplots(3, 6, figsize=(7, 4), layout="constrained")
for row, query, digit, proponents in zip(
    axes, X_new[:3], predicted, found, strict=True
):
    for ax, image in zip(row, [query, *X_train[proponents]], strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_axis_off()
    row[0].set_title(f"predicted {digit}")
axes[0, 1].set_title("because of", loc="left")

# %%
# A filter
# --------
# A fitted filter keeps its ranker, its scores and its flags. What a colleague needs of
# it is often a table alone, which needs no package of ours to be read.
from sklinfluence.filtering import MislabelFilter

mislabel_filter = MislabelFilter(random_state=0).fit(X_train, y_train)
joblib.dump(mislabel_filter, folder / "filter.joblib")
same = joblib.load(folder / "filter.joblib")
print("flags agree:", np.array_equal(same.get_support(), mislabel_filter.get_support()))
mislabel_filter.report().to_csv(folder / "report.csv")

# %%
# What may be loaded where
# ------------------------
# ========================  ======================================  ==================
# file                      is read by                              may run code
# ========================  ======================================  ==================
# pickle, joblib            the versions of Python, scikit-learn    yes: load your own
#                           and sklinfluence that wrote it; your    files only
#                           own classes and functions importable
# ``report.csv``            anything                                no
# folder of a recorded run  this package, with NumPy                no
# ========================  ======================================  ==================
#
# A pickle is a program, whichever estimator it claims to hold. `scikit-learn's page on
# persistence <https://scikit-learn.org/stable/model_persistence.html>`_ weighs the
# alternatives; where a file comes from someone else, fit again from their rows.

# %%
# The run of a network
# --------------------
# :class:`~sklinfluence.deep.CheckpointRecorder` writes how a net was trained into a
# folder: JSON and NumPy's own format. The folder is read with pickles turned off, so
# nothing in it is ever executed, whoever sent it.
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier

from sklinfluence.deep import CheckpointRecorder, TracInRanker

images, labels = (X_train / 16).astype(np.float32), y_train
options = {
    "module": torch.nn.Linear,
    "module__in_features": 64,
    "module__out_features": 10,
    "criterion": torch.nn.CrossEntropyLoss,
    "lr": 0.5,
    "max_epochs": 5,
    "train_split": None,
    "verbose": 0,
}
recorder = CheckpointRecorder(folder / "run")
net = NeuralNetClassifier(**options, callbacks=[recorder]).fit(images, labels)
print(sorted({file.suffix for file in (folder / "run").iterdir()}))

# %%
# Whoever has the rows and the folder trains nothing: ``resume=True`` takes a net of the
# same shape to the end of the run.
there = CheckpointRecorder(folder / "run", resume=True)
resumed = NeuralNetClassifier(**{**options, "max_epochs": 0}, callbacks=[there])
resumed.fit(images, labels)
found = {
    name: TracInRanker(FrozenEstimator(fitted)).fit(images, labels).self_influence_
    for name, fitted in {"trained": net, "resumed": resumed}.items()
}
print("agree:", np.allclose(found["trained"], found["resumed"], rtol=1e-4))
plt.show()
