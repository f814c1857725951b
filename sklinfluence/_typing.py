"""Names in public signatures for what more than one type may be."""

from typing import Any, TypeAlias

import numpy as np

# Rows go to the wrapped estimator as they come: arrays, frames, sparse matrices, texts,
# a Dataset, whatever it takes. No narrower type is true of all.
Rows: TypeAlias = Any
RandomState: TypeAlias = int | np.random.RandomState | None
