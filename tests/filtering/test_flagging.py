"""The rule from evidence to flags, against the same rows counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._evidence._label_evidence import LabelEvidence
from sklinfluence.filtering._flagging import FlagRule
from sklinfluence.filtering._noise import fit_error_law

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


def test_real_targets_are_one_stratum_judged_by_the_law_of_residuals():
    rng = np.random.default_rng(0)
    residuals = np.r_[rng.standard_normal(60), 30.0, -25.0, np.nan]
    scores, every = np.abs(np.nan_to_num(residuals)), np.ones(63, dtype=bool)
    given = np.nan_to_num(residuals)
    verdict = LabelEvidence(scores, np.zeros(63), residuals=scores).on(given)
    law = fit_error_law(given)
    assert_allclose(verdict.right, law.local_fdr(given))
    assert_allclose(verdict.quality, law.p_values(given))
    flags = rule().flag(scores, verdict, every)
    assert_array_equal(np.flatnonzero(flags), [60, 61])
    flags = rule(min_per_class=62).flag(scores, verdict, every)
    assert_array_equal(np.flatnonzero(flags), [60])
    # A level below the surest row's rate flags none.
    low = 0.5 * np.nanmin(law.local_fdr(given))
    assert not rule(fdr=low).flag(scores, verdict, every).any()


def test_rows_of_no_weight_teach_no_law():
    rng = np.random.default_rng(0)
    residuals, weight = np.r_[rng.standard_normal(60), 1e3, 1e3], np.ones(62)
    weight[60:] = 0.0
    evidence = LabelEvidence(np.abs(residuals), np.zeros(62), residuals=residuals)
    alone = fit_error_law(residuals[:60]).p_values(residuals[:60])
    assert_allclose(evidence.on(residuals, weight).quality[:60], alone)


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": 1.3, "max_share": 0.5},
        {"contamination": 0.3},
        {"contamination": 0.3, "max_share": 0.4, "min_per_class": 3},
        {"min_per_class": 5},
        {"threshold": "fdr", "fdr": 0.3},
    ],
)
def test_a_weight_of_two_is_a_row_twice(parameters):
    weight = np.array([1, 2, 2, 1, 1, 1, 2, 1])
    right = np.linspace(0.02, 0.9, 8)
    verdict = replace(VERDICT, right=right)
    weighted = rule(**parameters).flag(SCORES, verdict, weight)
    rows = np.repeat(np.arange(8), weight)
    copies = SCORES[rows], verdict.take(rows), np.ones(len(rows))
    copied = rule(**parameters).flag(*copies)
    # All but those whose copies a bound divides: of them none.
    whole = np.array([copied[rows == row].all() for row in range(8)])
    assert_array_equal(weighted, whole)


def test_weights_far_from_one_are_relative():
    weight = np.array([1, 2, 2, 1, 1, 1, 2, 1])
    for parameters in ({"contamination": 0.4}, {"min_per_class": 3}):
        once = rule(**parameters).flag(SCORES, VERDICT, weight / weight.mean())
        tiny = rule(**parameters).flag(SCORES, VERDICT, 1e-9 * weight)
        assert_array_equal(tiny, once)


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
    real = LabelEvidence(targets, np.array([np.nan, 3.0]), residuals=targets)
    assert_array_equal(real.on(targets).predicted_labels, [1.5, 3.0])
