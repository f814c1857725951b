"""Tensors in nested containers, as loaders of batches hand them out."""

import torch


def map_tensors(function, data):
    """Apply a function to every tensor of nested dicts, lists and tuples.

    Raises
    ------
    TypeError
        If there is something else.
    """
    if isinstance(data, dict):
        return {key: map_tensors(function, value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)([map_tensors(function, value) for value in data])
    if not isinstance(data, torch.Tensor):
        raise TypeError(
            f"X holds a {type(data).__name__}, {data!r:.40}: a net takes numbers. Put "
            "a transformer that makes numbers of it in front, in a Pipeline."
        )
    return function(data)


def concatenate(parts):
    """Batches, all nested alike, as one."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: concatenate([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        columns = zip(*parts, strict=True)
        return type(first)([concatenate(list(column)) for column in columns])
    return torch.cat(parts)


def first_of(data):
    """The first tensor of nested dicts, lists and tuples."""
    while isinstance(data, dict | list | tuple):
        data = next(iter(data.values() if isinstance(data, dict) else data))
    return data
