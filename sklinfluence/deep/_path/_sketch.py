"""Random projections of gradients."""

import numpy as np

# Entries of a projection that are drawn together.
_SKETCH_BLOCK = 4096


class GaussianSketch:
    """Gradients times a seeded matrix of N(0, 1/d): products keep their mean.

    Parameters
    ----------
    n_parameters : int
    n_components : int
        d.
    seed : int
    """

    def __init__(self, n_parameters, n_components, seed):
        self.shape = (n_parameters, n_components)
        self.seed = seed

    def __call__(self, gradients):
        """(n_rows, n_parameters) to (n_rows, n_components).

        The matrix is drawn block by block, each from its own seed, and never kept.
        """
        n_parameters, d = self.shape
        out = np.zeros((len(gradients), d))
        for number, start in enumerate(range(0, n_parameters, _SKETCH_BLOCK)):
            block = gradients[:, start : start + _SKETCH_BLOCK]
            rng = np.random.default_rng([self.seed, number])
            out += block @ rng.standard_normal((block.shape[1], d))
        return out / np.sqrt(d)
