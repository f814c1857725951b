"""Derivatives of any module: vectorised and forward where that works, else plainly.

torch vectorises over rows (:func:`torch.func.vmap`) and differentiates forwards
(:func:`torch.func.jvp`), which is what makes influence of networks affordable; but not
every operation of torch knows both. Recurrent layers and branches on values do not.
What fails is tried again row by row, and in reverse mode alone.
"""

from contextlib import contextmanager

import torch
from torch.backends import cudnn, mha, mkldnn
from torch.func import grad, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from sklinfluence._nets import first_of, map_tensors

# Directions that one call multiplies with a Hessian at a time.
_PRODUCTS_AT_ONCE = 128


def stack(parts):
    """Results of rows or directions, tensors or dicts of them, along a first axis."""
    if isinstance(parts[0], dict):
        return {key: torch.stack([part[key] for part in parts]) for key in parts[0]}
    return torch.stack(parts)


@contextmanager
def differentiable_attention():
    """Attention by operations that have derivatives of every kind."""
    fast = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(fast)


@contextmanager
def _plain_layers():
    """Recurrent layers made of operations that can be differentiated twice."""
    with mkldnn.flags(enabled=False), cudnn.flags(enabled=False):
        yield


class Differentiation:
    """How the derivatives of one module are taken; learns what does not work.

    Parameters
    ----------
    module : nn.Module
        Named in errors.
    """

    def __init__(self, module):
        self.module = module
        self._is_plain = set()

    def _first_that_works(self, what, usual, plain):
        if what not in self._is_plain:
            try:
                return usual()
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                pass  # the plain way tells whether it was the way, or the rows
        try:
            with _plain_layers():
                out = plain()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise self._refusal(error) from error
        # Only now is it known that it was the way that failed, and not the rows.
        self._is_plain.add(what)
        return out

    def _refusal(self, error):
        parts = [
            f"{name!r} ({type(part).__name__})"
            for name, part in self.module.named_modules()
            if name and not any(True for _ in part.children())
        ]
        parts = ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "")
        return ValueError(
            f"{type(self.module).__name__} cannot be differentiated: one of its parts, "
            f"{parts}, lacks a derivative that is asked for. torch says: "
            f"{str(error).splitlines()[0]} Use method='grad_dot' or TracInRanker, "
            "which need first derivatives only; layers='last', if that layer has the "
            "second ones; or InfluenceRanker, which differentiates nothing but the "
            "last layer."
        )

    def over_rows(self, function, selected, *rows):
        """function(selected, row) for every row of tensors (perhaps nested).

        Returns
        -------
        values : tensor or dict of tensors
            What the function returns, with a first axis of rows.
        """

        def usual():
            axes = (None, *[0] * len(rows))
            return vmap(function, axes, randomness="different")(selected, *rows)

        def plain():
            return stack(
                [
                    function(selected, *map_tensors(lambda t, i=i: t[i], rows))
                    for i in range(len(first_of(rows[-1])))
                ]
            )

        return self._first_that_works("rows", usual, plain)

    def hessian_products(self, total, selected, directions, unflatten):
        """The Hessian of total(selected) times every direction, stacked."""

        def along(direction):
            return jvp(grad(total), (selected,), (unflatten(direction),))[1]

        def usual():
            of_all = vmap(along, randomness="same", chunk_size=_PRODUCTS_AT_ONCE)
            return of_all(directions)

        def plain():
            # The Hessian is symmetric: its products are those of its transpose.
            _, pull = vjp(grad(total), selected)
            return stack([pull(unflatten(direction))[0] for direction in directions])

        return self._first_that_works("hessian", usual, plain)

    def gauss_newton_products(self, function, selected, bend, directions, unflatten):
        """J^T bend(raw, J v) for every direction v; J of raw = function(selected)."""

        def usual():
            raw, backward = vjp(function, selected)

            def product(direction):
                tangent = unflatten(direction)
                moved = jvp(function, (selected,), (tangent,))[1]
                return backward(bend(raw, moved))[0]

            return vmap(product)(directions)

        def plain():
            raw, backward = vjp(function, selected)

            def pull(cotangents):
                return vjp(function, selected)[1](cotangents)[0]

            # J^T is linear, so J is its derivative, transposed, wherever it is taken.
            _, forward = vjp(pull, torch.zeros_like(raw))
            moved = [forward(unflatten(direction))[0] for direction in directions]
            return stack([backward(bend(raw, part))[0] for part in moved])

        return self._first_that_works("gauss_newton", usual, plain)
