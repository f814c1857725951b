"""Influence of the few training rows nearest to each query (FastIF), on networks."""

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from sklinfluence._nets import (
    cast,
    find_last_linear,
    listening,
    module_dtype,
    to_array,
    unwrap,
)
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.curvature import LiSSA

# The settings that Guo et al. (2021) recommend: steps, rows a step, and what the mean
# curvature is divided by.
_DEPTH, _BATCH, _SCALE = 1000, 1, 1e4


def fastif_solver(operator):
    """LiSSA as Guo et al. set it."""
    total = float(operator.objective.weights.sum())
    return LiSSA(scale=_SCALE * total, depth=_DEPTH, batch_size=_BATCH)


def embedding_layer(estimator, X):
    """Name of the last linear layer, whose input is the embedding.

    Raises
    ------
    ValueError
        If no linear layer gives the module's output.
    """
    net = unwrap(estimator)
    some = cast(_safe_indexing(X, slice(0, 8)), module_dtype(net))
    name = find_last_linear(net, some)
    if name is None:
        raise ValueError(
            f"candidates= takes the rows nearest in what the last linear layer is "
            f"given, and no linear layer gives {type(net.module_).__name__}'s output. "
            "Leave candidates out."
        )
    return name


def nearest_rows(objective, layer, rows, candidates, weighted):
    """The training rows nearest to each query, nearest first, (n_queries, c)."""
    search = NearestNeighbors(n_neighbors=candidates)
    search.fit(_embedded(objective, layer, objective.rows)[weighted])
    asked = _embedded(objective, layer, rows)
    return weighted[search.kneighbors(asked, return_distance=False)]


def _embedded(objective, layer, rows):
    """What a layer is given for each row, (n_rows, n_embedding)."""
    found = dict(objective.net.net.module_.named_modules())[layer]
    parts = []
    for block in objective.blocks(len(rows)):
        with (
            objective.net.evaluating(),
            torch.no_grad(),
            listening({layer: found}) as heard,
        ):
            function, selected = objective._raw_function(rows.take(block))
            raw = function(selected)
        taken, _ = heard[layer][-1]
        parts.append(to_array(taken).reshape(len(raw), -1))
    return np.concatenate(parts)
