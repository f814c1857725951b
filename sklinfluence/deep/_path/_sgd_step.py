"""One recorded step of stochastic gradient descent, as a linear map."""

from dataclasses import dataclass

import numpy as np


@dataclass
class SGDStep:
    """One step of SGD as a linear map of what came before, row weights varied.

    With G = dg/de + lambda dtheta/de, buffers v' = mu v + (1 - tau) G (v' = G at a
    fresh optimiser), u = G + mu v' in Nesterov's form, v' otherwise, and
    theta' = theta - eta u. Every number may be a vector over the parameters.

    Attributes
    ----------
    rate, momentum, dampening, decay : float or ndarray of shape (n_parameters,)
    nesterov : bool or ndarray of bool of shape (n_parameters,)
    fresh : bool
    """

    rate: object
    momentum: object
    dampening: object
    decay: object
    nesterov: object
    fresh: bool

    @classmethod
    def of(cls, path, step, names, sizes):
        def get(name):
            return path.setting(name, step, names, sizes)

        return cls(
            rate=get("lr"),
            momentum=get("momentum"),
            dampening=get("dampening"),
            decay=get("weight_decay"),
            # Of each parameter: one group may have Nesterov's form and others not.
            nesterov=np.not_equal(get("nesterov"), 0.0),
            fresh=bool(path.fresh[step]),
        )

    @property
    def _entering(self):
        """Share of a gradient that enters the buffer."""
        return 1.0 if self.fresh else 1.0 - self.dampening

    @property
    def _kept(self):
        return 0.0 if self.fresh else self.momentum

    def forward(self, change, buffer, gradient):
        """Push dtheta/de and dv/de through the step, in place (S 58-61).

        Parameters
        ----------
        change, buffer : ndarray of shape (n_rows, n_parameters)
        gradient : ndarray of shape (n_rows, n_parameters)
            dg/de: the row's own share of the gradient, and H dtheta/de if Hessians
            are taken into account. Overwritten.
        """
        gradient += self.decay * change
        buffer *= self._kept
        buffer += self._entering * gradient
        moved = buffer
        if np.any(self.nesterov):
            gradient += self.momentum * buffer
            moved = gradient
            if not np.all(self.nesterov):
                moved = np.where(self.nesterov, gradient, buffer)
        change -= self.rate * moved

    def backward(self, adjoint, buffer):
        """Pull a query's gradient back through the step.

        Parameters
        ----------
        adjoint, buffer : ndarray of shape (n_queries, n_parameters)
            Derivatives of the query's loss with respect to theta' and to v'.

        Returns
        -------
        through : ndarray of shape (n_queries, n_parameters)
            Its derivative with respect to the step's gradient g; theta is reached
            through it by (H + lambda) and directly.
        buffer : ndarray of shape (n_queries, n_parameters)
            Its derivative with respect to v.
        """
        reach = np.where(self.nesterov, self.momentum, 1.0)
        buffer = buffer - self.rate * reach * adjoint
        through = self._entering * buffer
        if np.any(self.nesterov):
            through -= np.where(self.nesterov, self.rate, 0.0) * adjoint
        return through, self._kept * buffer
