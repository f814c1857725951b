"""The rule from evidence to flags, against the same rows counted by hand."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._evidence._label_evidence import LabelEvidence
from sklinfluence.filtering._flagging import FlagRule

CLASSES = np.array(["no", "yes"])
GIVEN = np.array([0, 0, 0, 0, 1, 1, 1, 1])
# The probability of "yes": rows 0, 1 and 5 are taken for the other class.
YES = np.array([0.9, 0.8, 0.2, 0.1, 0.9, 0.3, 0.7, 0.8])
PROBABILITY = np.column_stack([1 - YES, YES])
SCORES = -np.log(PROBABILITY[np.arange(8), GIVEN])
VERDICT = LabelEvidence(SCORES, PROBABILITY, CLASSES).on(CLASSES[GIVEN])
EVERY = np.ones(8, dtype=bool)

pytestmark = pytest.mark.filterwarnings("ignore:38% of the rows are flagged")


def rule(**parameters):
    return FlagRule.of(MislabelFilter(max_share=1.0).set_params(**parameters))


@pytest.mark.parametrize(
    ("parameters", "flagged"),
    [
        ({}, [0, 1, 5]),
        ({"threshold": 1.3}, [0, 1]),
        ({"contamination": 0.125}, [0]),
        ({"contamination": 0.5}, [0, 1, 5, 6]),
        ({"max_share": 0.25}, [0, 5]),
        ({"min_per_class": 3}, [0, 5]),
        ({"threshold": 1.3, "max_share": 0.25}, [0]),
        ({"contamination": 0.25, "max_share": 0.25}, [0, 5]),
    ],
)
def test_flags_of_classes(parameters, flagged):
    flags = rule(**parameters).flag(SCORES, VERDICT, EVERY)
    assert_array_equal(np.flatnonzero(flags), flagged)


@pytest.mark.parametrize(
    "parameters", [{}, {"threshold": -9.0}, {"contamination": 0.5}]
)
def test_rows_of_weight_zero_are_neither_flagged_nor_counted(parameters):
    in_use = EVERY.copy()
    in_use[[0, 4]] = False
    rest = VERDICT.take(in_use)
    alone = rule(**parameters).flag(SCORES[in_use], rest, np.ones(6, dtype=bool))
    flags = rule(**parameters).flag(SCORES, VERDICT, in_use)
    assert_array_equal(flags[in_use], alone)
    assert not flags[~in_use].any()


def test_real_targets_are_one_stratum_judged_by_p_values():
    p_values = np.array([1e-9, 1e-8, 0.5, np.nan, 0.9, 0.02, 0.7, 0.3])
    evidence = LabelEvidence(SCORES, np.zeros(8), p_values=p_values)
    verdict = evidence.on(np.zeros(8))
    # Benjamini and Hochberg at .05: 1e-8 <= .05 * 2/8, and .02 > .05 * 3/8.
    flags = rule().flag(SCORES, verdict, EVERY)
    assert_array_equal(np.flatnonzero(flags), [0, 1])
    flags = rule(fdr=0.1).flag(SCORES, verdict, EVERY)
    assert_array_equal(np.flatnonzero(flags), [0, 1, 5])
    flags = rule(min_per_class=7).flag(SCORES, verdict, EVERY)
    assert_array_equal(np.flatnonzero(flags), [0])


def test_the_threshold_is_the_given_one_or_the_lowest_flagged_score():
    flags = np.isin(np.arange(8), [0, 5])
    assert rule(threshold=2).threshold_in_force(SCORES, flags) == 2.0
    assert rule().threshold_in_force(SCORES, flags) == SCORES[5]
    assert rule(contamination=0.2).threshold_in_force(SCORES, flags) == SCORES[5]
    assert rule().threshold_in_force(SCORES, ~EVERY) == np.inf


def test_the_verdict_is_on_the_given_labels():
    assert_array_equal(VERDICT.given, GIVEN)
    assert_array_equal(VERDICT.quality, np.where(GIVEN == 1, YES, 1 - YES))
    assert_array_equal(VERDICT.predicted_labels, np.where(YES > 0.5, "yes", "no"))
    assert_array_equal(np.flatnonzero(VERDICT.contradicted), [0, 1, 5])


def test_where_nothing_is_known_the_given_label_stands():
    tied = LabelEvidence(np.zeros(3), np.full((3, 2), 0.5), CLASSES)
    assert_array_equal(tied.on(CLASSES[[1, 0, 1]]).predicted, [1, 0, 1])
    unknown = LabelEvidence(np.zeros(2), np.full((2, 2), np.nan), CLASSES)
    verdict = unknown.on(CLASSES[[1, 0]])
    assert_array_equal(verdict.predicted, [1, 0])
    assert not verdict.contradicted.any()
    targets = np.array([1.5, -2.0])
    real = LabelEvidence(targets, np.array([np.nan, 3.0]), p_values=np.ones(2))
    assert_array_equal(real.on(targets).predicted_labels, [1.5, 3.0])
