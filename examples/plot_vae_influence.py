"""
==========================================
Influence without labels: an autoencoder
==========================================

Influence needs a loss for every row, not a label. Here the loss is the evidence lower
bound of a variational autoencoder (with its sign turned), on scikit-learn's digits; the
labels are only used afterwards, to look at the result.
"""

# %%
# A variational autoencoder in skorch
# -----------------------------------
# ``get_loss`` is the whole definition: reconstruction error plus the divergence of the
# code from a standard normal. In training the code is drawn at random; in evaluation it
# is its mean, so that a row's loss is a number.
import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNet

X, digit = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X, digit = X[:600], digit[:600]


class VAE(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh())
        self.code = torch.nn.Linear(32, 16)
        self.decoder = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 64)
        )

    def forward(self, X):
        mean, log_variance = self.code(self.encoder(X)).chunk(2, dim=-1)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(code), mean, log_variance


class ELBONet(NeuralNet):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        reconstruction, mean, log_variance = y_pred
        error = 0.5 * ((reconstruction - X) ** 2).sum(dim=-1) / 0.1
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=-1)
        return (error + divergence).mean()


net = ELBONet(
    VAE,
    criterion=torch.nn.MSELoss,  # not used: get_loss says it all
    optimizer=torch.optim.Adam,
    lr=0.005,
    max_epochs=30,
    batch_size=32,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)

# %%
# Proponents look alike
# ---------------------
# TracIn at a checkpoint every tenth epoch, gradients scaled to unit length so that rows
# that fit badly do not crowd out the rest.
from sklinfluence.deep import TracInRanker

ranker = TracInRanker(net, normalize="cosine", every=10, random_state=0).fit(X[:500])
_, index = ranker.proponents(X[500:], n=5)
same = (digit[index] == digit[500:, None]).mean()
print(f"{same:.0%} of the proponents show the query's digit; by chance, 10%")

import matplotlib.pyplot as plt

fig, axes = plt.subplots(4, 6, figsize=(6, 4), layout="constrained")
for row, (query, found) in zip(axes, zip(X[500:504], index, strict=False), strict=True):
    for ax, image in zip(row, [query, *X[found]], strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_axis_off()
axes[0, 0].set_title("query")
axes[0, 1].set_title("proponents", loc="left")

# %%
# Rows that are not like the others
# ---------------------------------
# The mean influence of the training rows on a row says how much training did to its
# loss, and that is much the same for all digits. What is no digit begins and ends with
# a loss far off theirs, and every step moves it more. The detector calls the tails of
# that distribution outliers; here gradients keep their length.
from sklearn.metrics import roc_auc_score

from sklinfluence.deep import TracInAnomalyDetector

rng = np.random.default_rng(0)
scrambled = X[500:][:, rng.permutation(64)]
traced = TracInRanker(net, every=10, random_state=0)
detector = TracInAnomalyDetector(traced, contamination=0.05).fit(X[:500])
scores = detector.score_samples(np.vstack([X[500:], scrambled]))
is_digit = np.arange(len(scores)) < 100
print(f"area under the ROC curve {roc_auc_score(is_digit, scores):.2f}")

_, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, chosen in [("digits", is_digit), ("scrambled digits", ~is_digit)]:
    ax.hist(scores[chosen], bins=20, alpha=0.6, label=name)
ax.axvline(detector.offset_, color="k", lw=1, label="offset_")
ax.set(xlabel="score_samples", ylabel="rows")
ax.legend()
plt.show()
