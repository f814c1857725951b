"""How far the given label leads, at any parameters of a net."""

import math

import numpy as np
import torch

from sklinfluence._nets import net_loss


def margins(function, state, rows):
    """Lead of the given label over the others, in nats: (n_rows,).

    Parameters
    ----------
    function : FunctionalNet
        Of a classifier.
    state : dict
    rows : Rows
    """
    output = function.raw(state, rows)
    output = output[0] if isinstance(output, tuple) else output
    output = output.reshape(len(rows), -1)
    raw = _as_raw(function.net, output)
    if raw.shape[1] == 1:
        sign = np.where(_to_float64(rows.y) > 0.5, 1.0, -1.0)
        return _to_float64(raw.reshape(-1)) * sign.reshape(-1)
    given = torch.nn.functional.one_hot(rows.y.long(), raw.shape[1]).bool()
    other = torch.where(given, -torch.inf, raw).amax(dim=1)
    return _to_float64(raw[given] - other)


def _as_raw(net, output):
    """Logits, or log probabilities, from what the module returns."""
    try:
        raw = net_loss(net, output.shape[1]).raw_from_output(output)
    except ValueError:
        # A criterion of the user's own: nothing but the output is there to compare.
        return output
    # A sigmoid that has reached 0 or 1 exactly: as far as its type can tell.
    info = torch.finfo(raw.dtype)
    return torch.nan_to_num(
        raw, nan=torch.nan, posinf=-math.log(info.eps), neginf=math.log(info.tiny)
    )


def _to_float64(tensor):
    return tensor.detach().cpu().double().numpy()


def area_under_margin(margins):
    """Mean over the checkpoints of how far the given label leads (Pleiss et al. 2020).

    Parameters
    ----------
    margins : ndarray of shape (n_checkpoints, n_rows)
        Log probability of the given label less the largest of another.

    Returns
    -------
    area : ndarray of shape (n_rows,)
        Low where the label is likelier wrong.
    """
    return np.mean(margins, axis=0)


def forgetting_events(margins):
    """How often a row went from right to wrong (Toneva et al. 2019).

    Rows that were never right count one event more than there could be, as they do in
    the paper's ordering.

    Parameters
    ----------
    margins : ndarray of shape (n_checkpoints, n_rows)

    Returns
    -------
    n_events : ndarray of shape (n_rows,)
    """
    right = np.asarray(margins) > 0
    events = np.sum(right[:-1] & ~right[1:], axis=0)
    return np.where(right.any(axis=0), events, len(right)).astype(float)
