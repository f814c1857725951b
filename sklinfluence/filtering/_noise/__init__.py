"""Which class is given when another is true: the noise model, fitted, and how sure."""

from sklinfluence.filtering._noise._em import (
    GUARD,
    EMResult,
    Round,
    fit_em,
    suggest_codes,
)
from sklinfluence.filtering._noise._error_law import FIRST_EDGE, fit_error_law
from sklinfluence.filtering._noise._likelihood import (
    FixedProbabilities,
    as_spoken,
    noise_in_force,
)
from sklinfluence.filtering._noise._log_pool import (
    MAX_WEIGHT,
    fit_pool,
    newton_step,
    pool_log_proba,
)
from sklinfluence.filtering._noise._noise_model import (
    INITIAL_RATE,
    LOG_TINY,
    forward_risk,
    log_odds_wrong,
    posterior,
    tilt_counts,
    tilt_of,
    transition_counts,
    transition_of,
    uniform_transition,
    untilted,
)
from sklinfluence.filtering._noise._probability_right import probability_right
from sklinfluence.filtering._noise._temperature import CalibratedEvidence

__all__ = [
    "GUARD",
    "INITIAL_RATE",
    "LOG_TINY",
    "MAX_WEIGHT",
    "CalibratedEvidence",
    "EMResult",
    "FixedProbabilities",
    "Round",
    "as_spoken",
    "fit_em",
    "fit_pool",
    "forward_risk",
    "log_odds_wrong",
    "newton_step",
    "noise_in_force",
    "pool_log_proba",
    "posterior",
    "probability_right",
    "suggest_codes",
    "tilt_counts",
    "tilt_of",
    "transition_counts",
    "transition_of",
    "uniform_transition",
    "untilted",
]
