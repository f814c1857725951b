"""Which class is given when another is true: the noise model, fitted, and how sure."""

from sklinfluence.filtering._noise._em import fit_em, suggest_codes
from sklinfluence.filtering._noise._error_law import FIRST_EDGE, fit_error_law
from sklinfluence.filtering._noise._likelihood import (
    FixedProbabilities,
    as_spoken,
    noise_in_force,
)
from sklinfluence.filtering._noise._noise_model import LOG_TINY
from sklinfluence.filtering._noise._pool import fit_pool
from sklinfluence.filtering._noise._probability_right import probability_right
from sklinfluence.filtering._noise._temperature import CalibratedEvidence

__all__ = [
    "FIRST_EDGE",
    "LOG_TINY",
    "CalibratedEvidence",
    "FixedProbabilities",
    "as_spoken",
    "fit_em",
    "fit_error_law",
    "fit_pool",
    "noise_in_force",
    "probability_right",
    "suggest_codes",
]
