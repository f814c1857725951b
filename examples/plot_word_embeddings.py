"""
==================================================
Which sentences taught a network what a word means
==================================================

A network for text begins with a table of word vectors, and most of what a sentence
teaches it lands in the rows of that table that belong to its words. Influence through
the table alone (TracIn for word embeddings) therefore explains a prediction by the
sentences that share words with it, where the last layer sees little but the label.
"""

# %%
# Sentences from a small grammar
# ------------------------------
# Reviews are made of neutral words and one or two that carry the verdict. One of those,
# "sharp", is praise for knives and a complaint about chairs.
import numpy as np

NEUTRAL = "the it was a very thing box room came with we got and".split()
GOOD, BAD = "great lovely solid clever".split(), "awful flimsy noisy dull".split()
WORDS = ["<pad>", *NEUTRAL, *GOOD, *BAD, "knife", "chair", "sharp"]
CODE = {word: number for number, word in enumerate(WORDS)}
LENGTH = 7


def encode(sentence):
    codes = [CODE[word] for word in sentence.split()]
    return codes + [0] * (LENGTH - len(codes))


rng = np.random.default_rng(0)
sentences, labels = [], []
for _ in range(240):
    good = rng.random() < 0.5
    words = list(rng.choice(NEUTRAL, 4))
    if rng.random() < 0.3:
        words += ["sharp", "knife" if good else "chair"]
    else:
        words += [rng.choice(GOOD if good else BAD), rng.choice(["knife", "chair"])]
    sentences.append(" ".join(rng.permutation(words)))
    labels.append(int(good))
X = np.array([encode(sentence) for sentence in sentences])
y = np.array(labels)

# %%
# A network and its training path
# -------------------------------
# Word vectors, their mean and their largest entries, one hidden layer. The ranker
# trains a clone and keeps a checkpoint every fifth epoch; ``layers="words"`` restricts
# the gradients to the table, and ``normalize="cosine"`` compares their directions
# alone.
import torch
from skorch import NeuralNetClassifier

from sklinfluence.deep import TracInRanker


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(len(WORDS), 8, padding_idx=0)
        self.hidden = torch.nn.Linear(16, 8)
        self.verdict = torch.nn.Linear(8, 2)

    def forward(self, codes):
        vectors = self.words(codes)
        pooled = torch.cat([vectors.mean(dim=1), vectors.amax(dim=1)], dim=1)
        return self.verdict(torch.tanh(self.hidden(pooled)))


net = NeuralNetClassifier(
    Reader,
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.02,
    max_epochs=20,
    batch_size=24,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)
options = {"every": 5, "normalize": "cosine", "random_state": 0}
by_words = TracInRanker(net, layers="words", **options).fit(X, y)
by_last = TracInRanker(net, layers="last", **options).fit(X, y)
print(f"training accuracy {by_words.score(X, y):.2f}")

# %%
# Proponents of one verdict
# -------------------------
# What made the network call a sharp chair bad? Through the word vectors the answer is
# other sharp chairs, or a sentence of almost the same words. The last layer brings in a
# dull knife, which for it is as bad.
query = ["the chair was very sharp"]
codes = np.array([encode(sentence) for sentence in query])
for name, ranker in [("word vectors", by_words), ("last layer", by_last)]:
    _, index = ranker.proponents(codes, n=5)
    print(f"{name}: called {'good' if ranker.predict(codes)[0] else 'bad'} because of")
    for i in index[0]:
        print(f"   {sentences[i]!r} ({'good' if y[i] else 'bad'})")

# %%
# Shared words
# ------------
# Sentences without a common word have no influence on one another through the table: it
# is zero, not small. Through the last layer every sentence touches every other.
import matplotlib.pyplot as plt

influence = {
    "word vectors": by_words.influence(codes)[0],
    "last layer": by_last.influence(codes)[0],
}
said = set(query[0].split())
shared = np.array([len(said & set(sentence.split())) for sentence in sentences])
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharex=True, layout="constrained")
for ax, (name, values) in zip(axes, influence.items(), strict=True):
    jitter = rng.uniform(-0.15, 0.15, len(shared))
    kinds = ((1, "good", "C0", "o"), (0, "bad", "C3", "s"))
    for label, verdict, color, marker in kinds:
        said_so = y == label
        style = {"s": 14, "edgecolor": color, "marker": marker, "label": verdict}
        style["facecolor"] = color if label else "none"
        ax.scatter((shared + jitter)[said_so], values[said_so], **style)
    ax.axhline(0, color="0.7", lw=0.8)
    ax.set(title=name, xlabel="words shared with the query")
axes[0].set_ylabel("influence on the query's loss")
axes[1].legend(title="sentence is", loc="center right")
plt.show()
