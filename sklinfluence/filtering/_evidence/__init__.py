"""Where scores come from: what models that never saw a row say of its label."""

from sklinfluence.filtering._evidence._choice import model_for, ranker_of, target_model
from sklinfluence.filtering._evidence._cross_fitted_rankers import cross_fit
from sklinfluence.filtering._evidence._given_ranker import (
    PRECOMPUTED,
    goes_with_rows,
    has_head,
    is_estimator,
    is_precomputed,
    refuse_no_ranker,
)
from sklinfluence.filtering._evidence._label_evidence import (
    Verdict,
    kind_of,
    scorer,
    training_evidence,
)
from sklinfluence.filtering._evidence._net_targets import keeps_column
from sklinfluence.filtering._evidence._task import (
    score_to_ask,
)
from sklinfluence.filtering._evidence._trimming import fit_trimmed

__all__ = [
    "PRECOMPUTED",
    "Verdict",
    "cross_fit",
    "fit_trimmed",
    "goes_with_rows",
    "has_head",
    "is_estimator",
    "is_precomputed",
    "keeps_column",
    "kind_of",
    "model_for",
    "ranker_of",
    "refuse_no_ranker",
    "score_to_ask",
    "scorer",
    "target_model",
    "training_evidence",
]
