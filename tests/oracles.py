"""What says that each public number is right: number, oracle, test.

    python tests/oracles.py          writes the table into doc/contributing.rst
    python tests/oracles.py --check  fails where the table, or an oracle, is missing

The public numbers are found by introspection: for every class that a topic exports the
fitted attributes and the methods that return numbers, and every function. `ORACLES`
says of each which test holds it against something that is not our own code: a refit,
dense algebra, another library, a loop by hand, or another public number that has such
an oracle ("identity").
"""

import argparse
import ast
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import NamedTuple

import sklinfluence

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "doc" / "contributing.rst"
BEGIN, END = ".. oracles begin\n", ".. oracles end\n"


class Oracle(NamedTuple):
    """Numbers that one kind of test holds against one kind of truth.

    Attributes
    ----------
    owners : str
        Public classes, or functions where ``numbers`` is empty.
    numbers : str
        Their attributes and methods.
    truth : str
        What they are held against.
    tests : str
        "file::function", from tests/ on.
    """

    owners: str
    numbers: str
    truth: str
    tests: str


HEADS = "InfluenceRanker RepresenterRanker ExpectedRanker"
NETS = "DeepInfluenceRanker TracInRanker HydraRanker SGDInfluenceRanker"
BOOSTED = "LeafInfluenceRanker LeafRefitRanker BoostInRanker"
TREES = f"{BOOSTED} ForestRanker TrexRanker"
RANKERS = f"{HEADS} {TREES} {NETS}"
SOLVERS = "Cholesky ConjugateGradient LiSSA Arnoldi Nystrom Sketch"
EVERY = "test_every_ranker.py::"

ORACLES = [
    # curvature
    Oracle(
        SOLVERS,
        "solve",
        "dense pseudo-inverse of torch's Hessian; residuals and steps replayed",
        "curvature/test_every_solver.py::test_solutions_are_the_pseudo_inverses "
        "curvature/test_every_solver.py::test_residuals_reported_are_the_solutions_own",
    ),
    Oracle(
        "EKFAC",
        "solve",
        "dense inverse where H is a Kronecker product; diagonal in its basis elsewhere",
        "curvature/test_approximate_solvers.py"
        "::test_ekfac_is_exact_where_h_is_a_kronecker_product "
        "curvature/test_approximate_solvers.py::test_ekfac_diagonal_is_corrected",
    ),
    Oracle(
        "EKFAC",
        "solve",
        "dense Gauss-Newton where it is exact; diagonal in its basis elsewhere",
        "deep/test_kronecker.py::test_exact_for_a_softmax_whose_rows_bend_alike "
        "deep/test_kronecker.py::test_diagonal_is_that_of_the_matrix_in_the_basis "
        "deep/test_kronecker.py::test_corrected_by_every_direction_it_is_exact",
    ),
    Oracle(
        "Solver",
        "solve",
        "Cholesky's numbers, by solvers written in the tests",
        "curvature/test_own_solver.py::test_numbers_are_those_of_cholesky",
    ),
    Oracle(
        "Solver",
        "tol",
        "a residual above it warns",
        "curvature/test_own_solver.py::test_what_is_declared_is_heeded",
    ),
    Oracle(
        "SolverState",
        "values_per_row",
        "identity: row by row, Cholesky's numbers",
        "curvature/test_own_solver.py::test_what_is_declared_is_heeded",
    ),
    Oracle(
        "choose_solver",
        "",
        "bytes of the factors, counted",
        "curvature/test_block_conjugate_gradient.py"
        "::test_choice_counts_the_bytes_of_the_factors",
    ),
    # base
    Oracle(
        "BaseRanker",
        "influence mean_influence transform proponents opponents ranking_",
        "a kernel matrix by scikit-learn, sorted by numpy",
        "test_base.py::test_matrix_mean_and_transform "
        "test_base.py::test_proponents_and_opponents "
        "test_base.py::test_ranking_breaks_ties_by_order_and_puts_nan_first",
    ),
    Oracle(
        "BaseRanker",
        "label_scores self_influence_",
        "the subclass's own self-influence",
        "test_base.py::test_label_scores_know_self_influence_alone",
    ),
    Oracle(
        "BaseRanker",
        "predict predict_proba decision_function score",
        "the wrapped model's own",
        f"test_base.py::test_wrapped_predictions "
        f"{EVERY}test_predictions_are_the_models_own",
    ),
    Oracle(
        "BaseValuer",
        "ranking_ label_scores",
        "the values sorted by hand",
        "test_base.py::test_values_are_ranked_from_the_lowest",
    ),
    Oracle(
        "BaseValuer",
        "predict predict_proba decision_function score",
        "the wrapped model's own",
        "test_base.py::test_wrapped_predictions "
        "test_base.py::test_values_are_ranked_from_the_lowest",
    ),
    # neighbors
    Oracle(
        "KNNShapleyRanker KNNLeaveOneOutRanker",
        "values_ influence mean_influence transform proponents opponents",
        "sums over all subsets, row by row",
        "neighbors/test_rankers.py::test_labels "
        "neighbors/test_rankers.py::test_real_targets "
        "test_base.py::test_matrix_mean_and_transform "
        "test_base.py::test_proponents_and_opponents",
    ),
    Oracle(
        "KNNShapleyRanker KNNLeaveOneOutRanker",
        "ranking_ label_scores self_influence_",
        "the values, identity; no self-influence is defined, so there is none",
        "neighbors/test_rankers.py::test_flipped_labels_are_worth_least",
    ),
    Oracle(
        "KNNShapleyRanker KNNLeaveOneOutRanker",
        "predict predict_proba decision_function score",
        "scikit-learn's model of the same rows",
        "neighbors/test_rankers.py::test_weight_zero_is_absence "
        "test_base.py::test_wrapped_predictions",
    ),
    # trees
    Oracle(
        "LeafRefitRanker",
        "influence self_influence_ score_samples",
        "boosting by hand with the row deleted, or joined",
        "trees/test_boosting_rankers.py::test_leaf_refit_is_boosting_without_the_row "
        "trees/test_boosting_rankers.py::test_own_rise_in_the_refit "
        "trees/test_boosting_rankers.py::test_new_rows_in_the_refit "
        "trees/test_boosting_rankers.py::"
        "test_one_tree_of_squares_gives_leave_one_out_means_of_leaves",
    ),
    Oracle(
        "LeafInfluenceRanker",
        "influence",
        "central differences of weights of boosting by hand; its derivative forwards; "
        "exact refits",
        "trees/test_boosting_rankers.py::"
        "test_derivative_is_the_central_difference_of_weights "
        "trees/test_boosting_rankers.py::test_backwards_is_forwards "
        "trees/test_boosting_rankers.py::test_removal_backwards_is_forwards "
        "trees/test_boosting_rankers.py::test_removal_is_near_the_refit",
    ),
    Oracle(
        "LeafInfluenceRanker BoostInRanker",
        "self_influence_ score_samples",
        "identity: the diagonal, a training row as a new one; one tree by hand",
        f"{EVERY}test_self_influence_is_the_diagonal "
        f"{EVERY}test_a_training_row_asked_about_as_a_new_one "
        "trees/test_boosting_rankers.py::test_a_row_that_joins_one_tree",
    ),
    Oracle(
        "BoostInRanker",
        "influence",
        "a loop over stages, queries and rows",
        "trees/test_boosting_rankers.py::test_boostin_is_the_sum_over_stages",
    ),
    Oracle(
        BOOSTED,
        "mean_influence",
        "identity: the weighted mean of the matrix",
        "trees/test_boosting_rankers.py::test_weighted_means_over_queries",
    ),
    Oracle(
        BOOSTED,
        "label_scores loo_decision_function_ loo_proba_ loo_prediction_",
        "each row's own leaves recomputed by hand without it",
        "trees/test_boosting_rankers.py::test_label_scores "
        "trees/test_boosting_rankers.py::test_leave_one_out_predictions "
        "trees/test_boosting_rankers.py::test_own_leaves_of_one_tree_are_the_refit",
    ),
    Oracle(
        BOOSTED,
        "in_fit_",
        "rows without influence",
        "trees/test_boosting_rankers.py"
        "::test_rows_that_early_stopping_held_out_have_no_influence",
    ),
    # retraining
    Oracle(
        "ShapleyRanker BanzhafRanker AMERanker DownsamplingRanker LeaveOneOutRanker",
        "values_ values_stderr_ n_failed_",
        "sums over all subsets by refits; sampled values within their error",
        "retraining/test_semivalues.py::test_enumeration_of_labels "
        "retraining/test_semivalues.py::test_banzhaf_by_enumeration "
        "retraining/test_semivalues.py::"
        "test_marginal_effects_are_means_over_their_sets "
        "retraining/test_semivalues.py::test_reused_sets_come_within_their_error "
        "retraining/test_semivalues.py::test_leave_one_out_refits "
        "retraining/test_semivalues.py::test_failed_fits_leave_their_gains_out",
    ),
    Oracle(
        "ShapleyRanker BanzhafRanker AMERanker DownsamplingRanker LeaveOneOutRanker",
        "group_values_",
        "the game of the groups, by enumeration; their rows share it",
        "retraining/test_players.py::test_groups_are_players",
    ),
    Oracle(
        "LeaveOneOutRanker DownsamplingRanker",
        "influence mean_influence transform proponents opponents self_influence_",
        "losses of refits without each row",
        "retraining/test_influence.py::test_leave_one_out_is_the_loss_of_refits "
        "retraining/test_influence.py::test_downsampling_is_the_mean_loss_of_refits "
        "test_base.py::test_matrix_mean_and_transform "
        "test_base.py::test_proponents_and_opponents",
    ),
    Oracle(
        "DownsamplingRanker",
        "spread",
        "the sample variances of both sides, by hand",
        "retraining/test_influence.py::test_downsampling_is_the_mean_loss_of_refits",
    ),
    Oracle(
        "DownsamplingRanker",
        "values_ influence self_influence_",
        "of density models: mean log densities of its own draws, in a loop",
        "retraining/test_density.py::test_log_densities_of_subsets",
    ),
    Oracle(
        "ExpectedRanker",
        "values_ values_std_",
        "refits without each row, in a loop over seeds and orders",
        "retraining/test_expected_values.py::test_expected_leave_one_out_by_a_loop",
    ),
    Oracle(
        "ShapleyRanker BanzhafRanker LeaveOneOutRanker",
        "values_",
        "in closed form: refits by scikit-learn; leaves' means in loops over trees",
        "retraining/test_closed_forms.py::test_ridge_is_its_refits "
        "retraining/test_closed_forms.py::test_votes_of_neighbors_are_their_refits "
        "retraining/test_closed_forms.py::test_leaves_are_means_of_the_rows_of_a_set",
    ),
    Oracle(
        "DataOOBRanker",
        "values_ values_stderr_ n_oob_",
        "a loop over the members and the rows that each did not see",
        "retraining/test_data_oob.py::test_loop_over_members",
    ),
    Oracle(
        "consistency_score",
        "",
        "a loop over subsets of the same draws",
        "retraining/test_consistency.py::test_loop_over_subsets",
    ),
    Oracle(
        "shapley_interaction",
        "",
        "sums over all subsets by refits, and the mean over all permutations",
        "retraining/test_interaction.py::test_enumeration "
        "retraining/test_interaction.py::test_the_mean_over_all_permutations_is_the_index",
    ),
    Oracle(
        "ShapleyRanker BanzhafRanker AMERanker DownsamplingRanker LeaveOneOutRanker "
        "DataOOBRanker",
        "ranking_ label_scores predict predict_proba decision_function score",
        "the values sorted by hand; the model of all rows, identity",
        "retraining/test_players.py::test_values_are_ranked_and_the_model_predicts",
    ),
    # trees
    Oracle(
        "ForestRanker",
        "influence self_influence_ label_scores",
        "a row deleted from the statistics of its leaves, in loops over trees",
        "trees/test_forest.py::test_influence_is_the_rise_when_a_row_leaves_its_leaves "
        "trees/test_forest.py"
        "::test_self_influence_is_a_row_deleted_from_its_own_leaves "
        "trees/test_forest.py::test_label_scores_are_losses",
    ),
    Oracle(
        "ForestRanker",
        "representer_weights",
        "scikit-learn's predictions, to which weights times targets sum",
        "trees/test_forest.py::test_predictions_are_sums_over_training_rows",
    ),
    Oracle(
        "ForestRanker",
        "score_samples",
        "rows put into the leaves' statistics, in loops over trees",
        "trees/test_forest.py::test_new_rows_are_put_into_leaves_and_taken_out",
    ),
    Oracle(
        "ForestRanker",
        "loo_proba_ loo_prediction_",
        "scikit-learn's oob_decision_function_ and oob_prediction_",
        "trees/test_forest.py::test_out_of_bag_is_scikit_learns",
    ),
    Oracle(
        "ForestRanker",
        "most_damaging",
        "leaves recomputed without the rows; each single row tried",
        "trees/test_forest.py"
        "::test_rows_found_flip_the_prediction_and_none_is_idle "
        "trees/test_forest.py::test_one_row_that_is_enough_is_found",
    ),
    Oracle(
        "LeafEmbedding",
        "transform n_leaves_",
        "scikit-learn's one-hot encoder and decision paths; kernels in loops",
        "trees/test_embedding.py"
        "::test_leaf_path_is_scikit_learns_encoding_of_leaves "
        "trees/test_embedding.py::test_kernels_of_leaves_are_sums_over_trees "
        "trees/test_embedding.py::test_feature_path_is_scikit_learns_decision_path "
        "trees/test_embedding.py::test_tree_output_is_what_each_tree_says",
    ),
    Oracle(
        "TrexRanker",
        "influence",
        "the loss without a row's term, in a loop over rows",
        "trees/test_trex.py::test_influence_is_the_loss_without_a_rows_term",
    ),
    Oracle(
        "TrexRanker",
        "contributions decomposition_gap_",
        "the surrogate's decision, to which the terms sum; kernels by hand",
        "trees/test_trex.py::test_terms_sum_to_the_surrogates_decision "
        "trees/test_trex.py::test_terms_are_representer_values_times_the_kernel",
    ),
    Oracle(
        "TrexRanker",
        "alpha_",
        "residual over the penalty",
        "trees/test_trex.py::test_representer_values_are_residuals_over_the_penalty",
    ),
    Oracle(
        "TrexRanker",
        "self_influence_ score_samples label_scores",
        "identity: diagonal of influence",
        f"{EVERY}test_self_influence_is_the_diagonal "
        f"{EVERY}test_a_training_row_asked_about_as_a_new_one "
        f"{EVERY}test_label_scores_by_self_influence",
    ),
    # every ranker
    Oracle(
        RANKERS,
        "ranking_",
        "identity: order of self_influence_",
        f"{EVERY}test_ranking_is_by_self_influence",
    ),
    Oracle(
        RANKERS,
        "mean_influence",
        "identity: mean of influence over the queries",
        f"{EVERY}test_mean_influence_is_the_mean",
    ),
    Oracle(
        RANKERS,
        "transform",
        "identity: influence, the largest of each query",
        f"{EVERY}test_transform_is_influence",
    ),
    Oracle(
        RANKERS,
        "proponents opponents",
        "identity: influence, sorted",
        f"{EVERY}test_proponents_and_opponents_are_entries_of_the_matrix",
    ),
    Oracle(
        RANKERS,
        "predict predict_proba decision_function score",
        "the wrapped models' own",
        f"{EVERY}test_predictions_are_the_models_own",
    ),
    Oracle(
        NETS,
        "label_scores",
        "identity: self_influence_; losses and gradients by torch",
        f"{EVERY}test_label_scores_by_self_influence",
    ),
    # gradient
    Oracle(
        "InfluenceRanker",
        "fit_transform",
        "scikit-learn's Ridge refitted without each row",
        "gradient/test_influence_ranker.py"
        "::test_fit_transform_is_what_each_row_pushes_each_prediction_up_by",
    ),
    Oracle(
        "InfluenceRanker",
        "influence",
        "refits without each row; torch's dense Hessian",
        "gradient/test_leave_one_out.py::test_leaving_out_is_refitting "
        "gradient/test_influence_ranker.py"
        "::test_first_order_influence_is_the_dense_formula "
        "gradient/test_influence_ranker.py::test_newton_step_is_the_dense_formula",
    ),
    Oracle(
        "InfluenceRanker",
        "self_influence_",
        "identity: diagonal of influence",
        f"{EVERY}test_self_influence_is_the_diagonal",
    ),
    Oracle(
        "InfluenceRanker",
        "score_samples",
        "refits with each new row; dense formula",
        "gradient/test_leave_one_out.py"
        "::test_scores_of_new_rows_are_what_training_on_them_takes_off",
    ),
    Oracle(
        "InfluenceRanker",
        "label_scores",
        "formulas on scikit-learn's predictions; statsmodels",
        "gradient/test_label_scores.py"
        "::test_plain_scores_are_those_of_the_predictions "
        "gradient/test_leave_one_out.py::test_ols_diagnostics_are_statsmodels",
    ),
    Oracle(
        "InfluenceRanker",
        "loo_prediction_",
        "refits without each row",
        "gradient/test_leave_one_out.py::test_leaving_out_is_refitting",
    ),
    Oracle(
        "InfluenceRanker",
        "loo_decision_function_",
        "refits without each row; one dense Newton step",
        "gradient/test_leave_one_out.py::test_ridge_classifier_is_exact_too "
        "gradient/test_influence_ranker.py"
        "::test_leave_one_out_predictions_are_one_newton_step",
    ),
    Oracle(
        "InfluenceRanker",
        "loo_proba_ loo_score_",
        "probabilities and losses at one dense Newton step",
        "gradient/test_influence_ranker.py"
        "::test_leave_one_out_probabilities_and_their_score",
    ),
    Oracle(
        "InfluenceRanker",
        "leverage_",
        "statsmodels; trace with torch's dense Hessian",
        "gradient/test_leave_one_out.py::test_ols_diagnostics_are_statsmodels "
        "gradient/test_influence_ranker.py::test_leverage_of_each_row",
    ),
    Oracle(
        "InfluenceRanker",
        "loo_error_bound_",
        "refits lie within it; width by its formula with dense inverses",
        "gradient/test_error_bound.py::test_the_refit_lies_within_the_bound "
        "gradient/test_width_of_bounds.py"
        "::test_error_bounds_are_as_wide_as_their_formula",
    ),
    Oracle(
        "InfluenceRanker",
        "certify",
        "refits lie within it; width by its formula with dense inverses",
        "gradient/test_certify.py::test_intervals_hold_the_retrained_value "
        "gradient/test_width_of_bounds.py"
        "::test_intervals_are_as_wide_as_their_formula",
    ),
    Oracle(
        "InfluenceRanker",
        "active_set_changes_",
        "signs of the coefficients of refits",
        "gradient/test_active_set.py"
        "::test_leave_one_out_is_the_refit_where_the_set_holds",
    ),
    Oracle(
        "InfluenceRanker",
        "stationarity_gap_",
        "predictions before and after polishing",
        "gradient/test_ranker_contract.py"
        "::test_the_gap_is_the_largest_change_of_a_training_prediction",
    ),
    Oracle(
        "InfluenceRanker",
        "solver_info_",
        "eigenvalues by numpy",
        "gradient/test_ranker_contract.py::test_solver_info_is_whole_and_true",
    ),
    Oracle(
        "InfluenceRanker",
        "damping_path",
        "dense algebra; identity: a fit at each damping",
        "gradient/test_damping_path.py::test_path_against_numpy "
        "gradient/test_damping_path.py"
        "::test_path_is_what_fits_at_each_damping_give",
    ),
    Oracle(
        "InfluenceRanker",
        "group_influence",
        "refits without each group",
        "gradient/test_group_influence.py::test_exact_is_the_refit "
        "gradient/test_group_influence.py"
        "::test_least_squares_groups_are_exact_in_one_step",
    ),
    Oracle(
        "InfluenceRanker",
        "most_damaging",
        "refits without the sets; all sets tried",
        "gradient/test_group_influence.py"
        "::test_most_damaging_sets_flip_a_refit_and_are_minimal "
        "gradient/test_group_influence.py"
        "::test_most_damaging_finds_the_smallest_where_all_can_be_tried",
    ),
    Oracle(
        "InfluenceRanker",
        "parameter_influence",
        "refits; statsmodels' DFBETA",
        "gradient/test_leave_one_out.py::test_leaving_out_is_refitting "
        "gradient/test_leave_one_out.py::test_ols_diagnostics_are_statsmodels",
    ),
    Oracle(
        "RepresenterRanker",
        "influence contributions",
        "scikit-learn's decision, to which the terms sum; kernels by hand",
        "gradient/test_representers.py"
        "::test_l2_terms_sum_to_the_decision_less_the_intercept "
        "gradient/test_representers.py::test_l2_values_are_minus_c_times_the_residual "
        "gradient/test_representers.py"
        "::test_lje_terms_sum_to_the_prediction_of_the_newton_point",
    ),
    Oracle(
        "RepresenterRanker",
        "alpha_",
        "residual over the penalty; identity: a row's own term over x'Mx",
        "gradient/test_representers.py::test_l2_values_are_minus_c_times_the_residual "
        "gradient/test_representers.py"
        "::test_alpha_is_what_a_row_puts_into_its_own_prediction",
    ),
    Oracle(
        "RepresenterRanker",
        "self_influence_ score_samples label_scores",
        "identity: diagonal of contributions, for every kind",
        "gradient/test_representers.py::test_self_influence_is_the_diagonal "
        "gradient/test_representers.py"
        "::test_new_rows_score_what_their_residual_makes_of_them "
        f"{EVERY}test_label_scores_by_self_influence",
    ),
    Oracle(
        "RepresenterRanker",
        "decomposition_gap_ stationarity_gap_",
        "the sum of contributions, the move of a prediction, by numpy",
        "gradient/test_representers.py"
        "::test_the_gap_is_the_largest_miss_of_the_sum "
        "gradient/test_representers.py"
        "::test_the_stationarity_gap_is_the_largest_move_of_a_prediction",
    ),
    Oracle(
        "ExpectedRanker",
        "influence spread self_influence_ self_influence_std_ score_samples "
        "label_scores orders_",
        "models fitted by scikit-learn alone from the seeds, gradients by numpy",
        "gradient/test_expected.py::test_mean_and_spread_over_members",
    ),
    Oracle(
        "select_diverse",
        "",
        "the objective of every subset",
        "gradient/test_select_diverse.py::test_greedy_reaches_the_best_of_all_subsets",
    ),
    # deep
    Oracle(
        "DeepInfluenceRanker",
        "influence self_influence_ score_samples",
        "dense curvature and gradients from torch's Jacobians",
        "deep/test_deep_influence.py::test_influence_is_the_dense_solution "
        "deep/test_deep_influence.py::test_self_influence_and_normalisations",
    ),
    Oracle(
        "DeepInfluenceRanker",
        "gradient_norm_ solver_info_",
        "dense gradient and eigenvalues from torch's Jacobians",
        "deep/test_deep_influence.py"
        "::test_gradient_norm_is_the_largest_entry_of_the_mean_gradient "
        "deep/test_deep_influence.py::test_solver_info_is_of_the_dense_matrix",
    ),
    Oracle(
        "TracInRanker",
        "influence self_influence_ score_samples",
        "a loop by hand over checkpoints, plain backward",
        "deep/test_tracin.py::test_checkpoint_is_a_sum_of_products "
        "deep/test_tracin.py::test_normalisations",
    ),
    Oracle(
        "HydraRanker",
        "influence",
        "unrolling by hand; retraining without each row",
        "deep/test_hydra.py::test_fast_form_without_weight_decay_is_survey_65 "
        "deep/test_hydra.py"
        "::test_with_hessians_it_follows_retraining_without_the_row",
    ),
    Oracle(
        "HydraRanker",
        "parameter_influence",
        "finite differences of training in a row's weight",
        "deep/test_hydra.py::test_derivative_by_a_small_change_of_weight",
    ),
    Oracle(
        "SGDInfluenceRanker",
        "influence",
        "unrolling by hand in float64; identity: HydraRanker's",
        "deep/test_dtype.py::test_float64_is_computed_in_float64 "
        "deep/test_hydra.py::test_backward_and_forward_unrolling_agree",
    ),
    Oracle(
        "HydraRanker SGDInfluenceRanker",
        "self_influence_ score_samples",
        "identity: diagonal of influence; in one batch of all rows, its own",
        "deep/test_hydra.py::test_self_influence_is_the_diagonal "
        f"{EVERY}test_a_training_row_asked_about_as_a_new_one",
    ),
    Oracle(
        "TracInAnomalyDetector",
        "score_samples rows_",
        "identity: distance of the mean influence from its median",
        "deep/test_anomaly.py"
        "::test_scores_are_distances_of_mean_influence_from_its_median "
        "deep/test_anomaly.py::test_a_sample_of_rows",
    ),
    Oracle(
        "TracInAnomalyDetector",
        "center_ offset_ decision_function predict",
        "medians and percentiles by numpy",
        "deep/test_anomaly.py::test_where_outliers_begin",
    ),
    Oracle(
        "SkorchEmbedding",
        "transform",
        "the module's own layers",
        "deep/test_embedding.py::test_names_and_sides",
    ),
    # heads
    Oracle(
        "LinearHead linear_head",
        "",
        "stationarity of scikit-learn's fits in the objective that the head states",
        "heads/test_logistic.py::test_gradient_vanishes_at_the_fit "
        "heads/test_least_squares.py::test_regressors "
        "heads/test_sgd.py::test_classifier_follows_the_gradient "
        "heads/test_mlp.py::test_classifier_follows_the_gradient "
        "heads/test_l1.py::test_subgradient_conditions "
        "heads/test_skorch.py::test_objective_is_the_nets_own "
        "heads/test_linear_head.py::test_arrays_are_float64_of_the_promised_shapes",
    ),
    # filtering
    Oracle(
        "MislabelFilter",
        "scores_",
        "rounds of refits without each row, EM by enumeration",
        "filtering/test_label_models.py"
        "::test_scores_of_a_ranker_are_those_of_refits_row_by_row "
        "filtering/test_noise_model.py::test_posterior_log_odds_and_risk_by_enumeration",
    ),
    Oracle(
        "MislabelFilter",
        "scores_ label_quality_ score_samples",
        "of copies: refits without all of them; identity: rows of their weight",
        "gradient/test_leaving_together.py"
        "::test_least_squares_is_the_refit_without_them "
        "filtering/test_ridge_smoother.py"
        "::test_groups_leave_as_in_refits_without_them "
        "filtering/test_copies.py::test_a_weight_of_four_is_four_copies",
    ),
    Oracle(
        "MislabelFilter",
        "threshold_ get_support",
        'threshold="fdr": Bayes\' rule under the truth; all lists of flags tried',
        "filtering/test_calibration.py"
        "::test_posteriors_are_those_of_bayes_rule_under_the_truth "
        "filtering/test_calibration.py"
        "::test_flags_are_the_longest_list_of_so_low_a_mean_by_trying_all",
    ),
    Oracle(
        "MislabelFilter",
        "label_quality_ suggested_labels_",
        "refits without each row; members, folds without it; coins on pure noise",
        "filtering/test_evidence.py"
        "::test_label_quality_and_suggestions_are_those_of_refits "
        "filtering/test_any_estimator.py"
        "::test_nearest_neighbours_are_left_out_exactly "
        "filtering/test_any_estimator.py"
        "::test_out_of_bag_probabilities_are_those_of_members_without_the_row "
        "filtering/test_any_estimator.py"
        "::test_cross_fitted_probabilities_are_those_of_models_without_the_fold "
        "filtering/test_any_estimator.py"
        "::test_on_pure_noise_no_evidence_is_right_more_often_than_chance "
        "filtering/test_precomputed.py"
        "::test_without_a_noise_model_the_order_is_that_of_self_confidence",
    ),
    Oracle(
        "MislabelFilter",
        "threshold_ get_support",
        "rows that are known to be wrong; shares, counted",
        "filtering/test_filter.py"
        "::test_flags_the_wrong_rows_and_suggests_the_right_labels "
        "filtering/test_filter.py"
        "::test_contamination_flags_that_share_the_worst_first",
    ),
    Oracle(
        "MislabelFilter",
        "scores_ label_quality_ get_support",
        "real targets: scipy's Student t, a grid of laws; forests of scikit-learn",
        "filtering/test_error_law.py::test_of_clean_residuals_is_scipys_fit "
        "filtering/test_error_law.py::test_no_law_near_it_is_likelier "
        "filtering/test_forest_vote.py"
        "::test_of_given_targets_is_scikit_learns_out_of_bag",
    ),
    Oracle(
        "MislabelFilter",
        "sample_indices_ transform fit_transform",
        "identity: the kept rows, donors of the same label",
        "filtering/test_filter.py::test_fit_transform_is_not_transform_on_noisy_data "
        "filtering/test_donors.py::test_donors_are_kept_rows_of_the_same_label",
    ),
    Oracle(
        "MislabelFilter",
        "report",
        "identity: scores_, label_quality_, suggested_labels_",
        "filtering/test_label_models.py::test_report_is_worst_first_by_score",
    ),
    Oracle(
        "MislabelFilter",
        "score_samples",
        "identity: scores of the rows held out of a fit",
        "filtering/test_label_models.py::test_folds_and_groups "
        "filtering/test_label_models.py"
        "::test_score_samples_of_new_rows_match_held_out_quality",
    ),
    Oracle(
        "MislabelSampler",
        "scores_ threshold_ label_quality_ suggested_labels_ get_support report "
        "score_samples",
        "identity: MislabelFilter's",
        "filtering/test_sampler.py::test_numbers_are_those_of_the_filter",
    ),
    Oracle(
        "MislabelSampler",
        "fit_resample sample_indices_",
        "rows that are known to be wrong; leave-one-out predictions by refits",
        "filtering/test_sampler.py::test_drop filtering/test_sampler.py::test_relabel "
        "filtering/test_sampler.py"
        "::test_relabelled_targets_are_leave_one_out_predictions",
    ),
    Oracle(
        "FilteredClassifier",
        "sample_indices_ predict predict_proba predict_log_proba decision_function",
        "scikit-learn's fit on the kept rows",
        "filtering/test_filtered.py::test_is_a_fit_on_the_kept_rows",
    ),
    Oracle(
        "FilteredRegressor",
        "sample_indices_ predict",
        "scikit-learn's fit on the kept rows",
        "filtering/test_filtered.py::test_regression_is_a_fit_on_the_kept_rows",
    ),
    # model_selection
    Oracle(
        "LeaveOneOutSearch",
        "cv_results_ best_score_ best_params_ best_index_",
        "RidgeCV; refits without each row",
        "model_selection/test_search.py::test_ridge_scores_are_those_of_ridge_cv "
        "model_selection/test_copies.py"
        "::test_ridge_scores_are_those_of_leaving_each_group_out "
        "model_selection/test_search.py::test_logistic_scores_by_brute_force "
        "model_selection/test_search.py"
        "::test_results_have_the_keys_of_grid_search_with_one_split",
    ),
    Oracle(
        "LeaveOneOutSearch",
        "refit_time_",
        "a clock around an estimator that sleeps",
        "model_selection/test_search.py::test_times_are_those_that_a_clock_shows",
    ),
    # metrics, inspection, datasets
    Oracle(
        "detection_curve",
        "",
        "counts by hand",
        "metrics/test_detection_curve.py::test_curve_is_what_counting_gives",
    ),
    Oracle(
        "flip_detection_scorer",
        "",
        "one draw by hand",
        "metrics/test_flip_detection.py::test_one_draw_by_hand",
    ),
    Oracle(
        "lds",
        "",
        "refits on subsets, in a loop",
        "metrics/test_fidelity.py::test_lds_by_a_loop",
    ),
    Oracle(
        "loo_correlation",
        "",
        "refits without each row, in a loop",
        "metrics/test_fidelity.py::test_loo_correlation_by_a_loop",
    ),
    Oracle(
        "metric_influence",
        "",
        "scikit-learn's metrics, moved and differentiated; refits without each row",
        "metrics/test_metric_influence.py::test_metrics_are_scikit_learns "
        "metrics/test_metric_influence.py"
        "::test_measured_anew_is_near_a_refit_without_the_row",
    ),
    Oracle(
        "RawChange",
        "",
        "refits; boosting by hand; loops over trees",
        "gradient/test_raw_change.py::test_each_row_without_which_it_is_refitted "
        "gradient/test_raw_change.py"
        "::test_along_a_gradient_is_the_difference_of_weights "
        "trees/test_boosting_rankers.py"
        "::test_raw_predictions_without_a_row_are_the_refits "
        "trees/test_forest.py"
        "::test_raw_change_is_the_prediction_when_a_row_leaves_its_leaves",
    ),
    Oracle(
        "pbrf",
        "",
        "refits of heads; minima by torch and by finite differences",
        "metrics/test_pbrf.py::test_of_a_head_at_its_optimum_it_is_retraining "
        "metrics/test_pbrf.py::test_damping_holds_a_head_to_its_parameters "
        "metrics/test_pbrf.py::test_a_net_by_torchs_own_minimum",
    ),
    Oracle(
        "poisoning_ratio",
        "",
        "shares of means by hand",
        "metrics/test_poisoning.py::test_shares_of_means",
    ),
    Oracle(
        "stability",
        "",
        "scipy's correlations; counted overlaps",
        "metrics/test_stability.py::test_correlations_are_scipys "
        "metrics/test_stability.py::test_overlap_counts_the_most_influential",
    ),
    Oracle(
        "DetectionCurveDisplay",
        "inspected found prevalence average_precision roc_auc",
        "counts and their definitions by hand",
        "inspection/test_detection_curve.py::test_curve_is_what_counting_gives "
        "inspection/test_detection_curve.py"
        "::test_average_precision_and_auroc_by_their_definitions",
    ),
    Oracle(
        "DiagnosticsDisplay",
        "leverage residual cooks_distance row_names",
        "identity: the table; its contours by the distances of rows on them",
        "inspection/test_displays.py::test_contours_are_where_cooks_distance_is_that "
        "inspection/test_displays.py::test_rows_of_a_model_bear_their_names",
    ),
    Oracle(
        "ProponentsDisplay",
        "cells_",
        "identity: the ranker's strongest rows",
        "inspection/test_displays.py::test_rows_are_the_rankers_strongest "
        "inspection/test_displays.py::test_images_and_texts",
    ),
    Oracle(
        "InfluenceDisplay",
        "points influence queries",
        "identity: the ranker's; areas of artists",
        "inspection/test_displays.py::test_influence_is_the_rankers "
        "inspection/test_displays.py::test_area_and_marker_are_the_influence",
    ),
    Oracle(
        "NoiseDisplay",
        "transition text_ display_labels",
        "counts by hand",
        "inspection/test_displays.py::test_transition_is_counted_by_hand",
    ),
    Oracle(
        "RemovalCurveDisplay",
        "removed scores chance_scores",
        "refits by hand",
        "inspection/test_displays.py::test_scores_are_those_of_refits",
    ),
    Oracle(
        "diagnostics",
        "",
        "statsmodels; refits with a penalty",
        "inspection/test_diagnostics.py"
        "::test_least_squares_is_as_statsmodels_has_it "
        "inspection/test_diagnostics.py::test_logistic_is_as_statsmodels_has_it "
        "inspection/test_diagnostics.py::test_penalised_weighted_ridge_against_refits",
    ),
    Oracle(
        "add_backdoor",
        "",
        "rows counted; a model that obeys the trigger",
        "datasets/test_backdoor.py::test_rows_of_other_classes_get_trigger_and_target",
    ),
    Oracle(
        "apply_review",
        "",
        "the lines of random reviews, followed by hand",
        "datasets/test_review.py::test_any_review_of_any_labels_is_applied_as_written",
    ),
    Oracle(
        "corrupt_targets",
        "",
        "rows counted, moves in units of the spread",
        "datasets/test_targets.py"
        "::test_the_asked_share_moves_by_one_to_two_times_the_scale",
    ),
    Oracle(
        "flip_labels",
        "",
        "rows counted, transitions followed to the row",
        "datasets/test_labels.py::test_exactly_the_asked_share_is_flipped "
        "datasets/test_labels.py::test_transition_matrix_is_followed_to_the_row",
    ),
]


# --- which numbers there are ----------------------------------------------------------

# What scikit-learn's own classes have, with its meaning.
SCIKIT_LEARNS = {"classes_", "n_features_in_", "feature_names_in_"}
# What names or counts, and measures nothing.
NAMES_AND_COUNTS = {"label_score_names_", "n_train_", "groups_", "n_evaluations_"}
NUMERIC = re.compile(
    r"ndarray|float|int\b|dict|list of ndarray|(pandas\.)?DataFrame|array-like|\{array"
    r"|CSR matrix"
)
# Methods whose arrays or dicts are no results.
NO_RESULT = re.compile(r"set_\w+_request|get_params|get_metadata_routing|get_feature.*")


def public_objects():
    """Name to class or function, of all that a topic exports."""
    found = {}
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if module.name.startswith("_"):
            continue
        topic = importlib.import_module(f"sklinfluence.{module.name}")
        for name in getattr(topic, "__all__", ()):
            public = getattr(topic, name)
            if not (inspect.isclass(public) and issubclass(public, Exception)):
                found[name] = public
    return found


def described(thing, title):
    """(names, type) of the entries of one section of a numpydoc docstring."""
    pattern = rf"^{title}\n-{{{len(title)}}}\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)"
    docstring = inspect.getdoc(thing) or ""
    match = re.search(pattern, docstring, flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^(\S[^\n]*?) : (.*)$", match.group(1) if match else "", re.M)
    return [(names.split(", "), kind) for names, kind in heads]


def numeric_names(thing, title):
    return {
        name
        for names, kind in described(thing, title)
        for name in names
        if NUMERIC.match(kind)
    }


def numbers_of(cls):
    """Attributes and methods of a class that are numbers."""
    found = numeric_names(cls, "Attributes")
    if not hasattr(cls, "fit") and not hasattr(cls, "solve"):
        # What is made whole holds its numbers in its parameters.
        found |= numeric_names(cls, "Parameters")
    for name in dir(cls):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if name.startswith("_") or not owner.__module__.startswith("sklinfluence"):
            continue
        member = inspect.getattr_static(cls, name)
        if isinstance(member, property) and name.endswith("_"):
            found |= {name} - {"training_path_"}
        elif callable(getattr(cls, name, None)) and not NO_RESULT.fullmatch(name):
            method = getattr(cls, name)
            # A guard against dask's arrays is ours, what it guards may not be.
            is_ours = method.__module__.startswith("sklinfluence")
            if is_ours and numeric_names(method, "Returns"):
                found.add(name)
    return found - SCIKIT_LEARNS - NAMES_AND_COUNTS


def is_value(cls):
    """Whether its instances are one number each, parts and all: frozen dataclasses."""
    return dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen


@functools.cache
def public_numbers():
    """(owner, number) of each; functions are numbers themselves, ("lds", "")."""
    found = set()
    for name, public in public_objects().items():
        if not inspect.isclass(public) or is_value(public):
            found.add((name, ""))
        else:
            found |= {(name, number) for number in numbers_of(public)}
    return found


# --- what the list lacks --------------------------------------------------------------


def listed():
    """(owner, number) to its oracles."""
    found = {}
    for oracle in ORACLES:
        for owner in oracle.owners.split():
            for number in oracle.numbers.split() or [""]:
                found.setdefault((owner, number), []).append(oracle)
    return found


@functools.cache
def tests_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def missing():
    """What is wrong, in words: empty where every public number has its oracle."""
    known, numbers = listed(), public_numbers()
    faults = [
        f"{'.'.join(filter(None, number))} has no oracle: write a test with one and "
        "enter it in tests/oracles.py"
        for number in sorted(numbers - set(known))
    ]
    faults += [
        f"{'.'.join(filter(None, number))} is in tests/oracles.py and is no public "
        "number"
        for number in sorted(set(known) - numbers)
    ]
    for (owner, number), oracles in known.items():
        texts = ""
        for oracle in oracles:
            for test in oracle.tests.split():
                file, _, function = test.partition("::")
                path = ROOT / "tests" / file
                if not path.exists() or function not in tests_in(path):
                    faults.append(f"tests/{test} does not exist")
                else:
                    texts += path.read_text(encoding="utf-8")
        for word in filter(None, (owner, number)):
            if not re.search(rf"\b{word}\b", texts):
                faults.append(f"{owner}.{number}: its tests never name {word}")
    return sorted(set(faults))


# --- the table ------------------------------------------------------------------------


def table():
    """The list as reStructuredText."""
    lines = [
        ".. list-table::",
        "   :class: stacked",
        "   :header-rows: 1",
        "   :widths: 30 40 30",
        "",
        "   * - Public number",
        "     - Oracle",
        "     - Test file",
    ]
    for oracle in ORACLES:
        owners = ", ".join(f"``{owner}``" for owner in oracle.owners.split())
        numbers = ", ".join(f"``{name}``" for name in oracle.numbers.split())
        files = dict.fromkeys(t.partition("::")[0] for t in oracle.tests.split())
        lines += [
            f"   * - {owners}{': ' if numbers else ''}{numbers}",
            f"     - {as_written(oracle.truth)}",
            f"     - {', '.join(f'``{file}``' for file in files)}",
        ]
    return "\n" + "\n".join(lines) + "\n\n"


def as_written(text):
    """The text, names that end in an underscore set as code: bare they are links."""
    return re.sub(r"(?<![`\w])(\w+_)(?!\w)", r"``\1``", text)


def with_table(text):
    """The page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    only_check = parser.parse_args().check
    faults, text = missing(), TABLE.read_text(encoding="utf-8")
    if with_table(text) != text:
        if only_check:
            faults.append("doc/contributing.rst is behind: run python tests/oracles.py")
        else:
            TABLE.write_text(with_table(text), encoding="utf-8")
    print("\n".join(faults) or f"{len(public_numbers())} public numbers, all with one")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
