"""Any classifier or regressor in the ranker's place, with a ranker's face.

What it fits is the cheapest evidence that is honest, each kind in a file of its own:

- classes: ``refit(targets) -> (out-of-sample log-probabilities, model)`` for soft
  ``targets`` of shape (n, K): what `fit_em` asks;
- real targets: ``refit(kept) -> (out-of-sample predictions, model)`` for a mask
  ``kept`` of the rows to train on; predictions are of all rows.

Both hold ``evidence``, its name: "leave-one-out", "out-of-bag", "cross-fitted".
"""
