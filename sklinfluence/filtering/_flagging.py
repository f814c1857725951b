"""From the verdict on labels to flags: the rule that parameters spell out."""

from dataclasses import dataclass

import numpy as np

from sklinfluence.filtering._thresholds import (
    bound_flags,
    flag_expected,
    flag_gross,
    flag_share,
    warn_about_share,
)
from sklinfluence.filtering._uneven import warn_about_classes
from sklinfluence.filtering._votes import relative_weights

# The evidence says how many rows are flagged, not a number.
_BY_EVIDENCE = ("auto", "fdr")


@dataclass(frozen=True)
class FlagRule:
    """Which rows a filter flags, by its parameters of the same names."""

    threshold: float | str
    fdr: float
    contamination: float | None
    min_per_class: int
    max_share: float

    @classmethod
    def of(cls, detector):
        """The rule of a filter or sampler."""
        return cls(**{name: getattr(detector, name) for name in cls.__annotations__})

    @property
    def is_automatic(self):
        """Whether it is for the evidence to say how many rows are flagged."""
        return self.threshold in _BY_EVIDENCE and self.contamination is None

    @property
    def fit_level(self):
        """Level at which gross errors leave the fits; None: a number says who goes."""
        return self.fdr if self.is_automatic else None

    def flag(self, scores, verdict, sample_weight):
        """Flag rows within the bounds, and warn where the flags look misled.

        Parameters
        ----------
        scores : ndarray of shape (n_samples,)
            Higher is worse; no NaN.
        verdict : Verdict
        sample_weight : ndarray of shape (n_samples,)
            A weight of 2 counts as a row twice; weights that are far from one on the
            mean are taken relative to it. Rows of weight zero are out already: neither
            flagged nor counted.

        Returns
        -------
        flags : ndarray of shape (n_samples,), dtype=bool
        """
        weight, in_use = relative_weights(sample_weight, len(scores)), sample_weight > 0
        flags, used = np.zeros(len(scores), dtype=bool), verdict.take(in_use)
        flags[in_use] = self._flag_used(scores[in_use], used, weight[in_use])
        if verdict.classes is not None:
            warn_about_classes(flags[in_use], used.given, verdict.classes)
        return flags

    def threshold_in_force(self, scores, flags):
        """The given threshold; else the lowest flagged score, infinite without one."""
        if self.contamination is None and self.threshold not in _BY_EVIDENCE:
            return float(self.threshold)
        return float(np.min(scores, where=flags, initial=np.inf))

    def _flag_used(self, scores, verdict, weight):
        # Real targets are one stratum: the bounds count all rows.
        is_real = verdict.classes is None
        strata = np.zeros(len(scores)) if is_real else verdict.given
        bounds = (scores, strata, self.min_per_class, self.max_share, weight)
        if self.contamination is not None:
            allowed = bound_flags(np.ones(len(scores), dtype=bool), *bounds)
            return flag_share(scores, self.contamination, allowed, weight)
        if self.threshold not in _BY_EVIDENCE:
            return bound_flags(scores >= self.threshold, *bounds)
        flags = verdict.contradicted
        if is_real:
            flags = flag_gross(verdict.right, self.fdr, weight)
        elif self.threshold == "fdr":
            flags = flag_expected(verdict.right, self.fdr, weight)
        warn_about_share(np.average(flags, weights=weight))
        return bound_flags(flags, *bounds)
