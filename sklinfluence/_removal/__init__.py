"""A linear head at its optimum, factored, and what it becomes without rows."""

from sklinfluence._removal._block_objective import (
    BlockObjective,
    objective_of_source,
)
from sklinfluence._removal._block_reading import BlockReading
from sklinfluence._removal._certificate import certify_removal, loss_interval
from sklinfluence._removal._embedding import (
    check_embedding,
    polished,
    warn_about_moments,
    warn_about_offset,
)
from sklinfluence._removal._fit_head import (
    fit_head,
    fit_objective,
    training_objective,
)
from sklinfluence._removal._fitted_head import FittedHead, gradient_rows, outer_rows
from sklinfluence._removal._flip import smallest_flip
from sklinfluence._removal._groups import (
    ORDERS,
    class_codes,
    group_changes,
    group_indices,
    linear_rise,
    move_of_group,
    refuse_emptied,
    shifts_of,
)
from sklinfluence._removal._label_scores import (
    CLASSIFICATION_SCORES,
    REGRESSION_SCORES,
    deleted_variance,
    margin,
    noise_variance,
    opposition,
    prediction_error,
    studentized,
)
from sklinfluence._removal._normalize import (
    NORMALIZATIONS,
    moving_coefficients,
    own_influence,
    query_scale,
    self_scale,
)
from sklinfluence._removal._one_row import (
    apply_block,
    remove_each,
    remove_each_along,
    removed_residual,
)
from sklinfluence._removal._queries import (
    Queries,
    _gradient_products,
    added_row,
    apply_gradients,
    first_order,
    gradient_lengths,
    inverse_ratio,
    loss_rise,
    mean_first_order,
    mean_gradient,
    one_step_newton,
    parameter_change,
    query_curvature,
    solved_gradients,
    solved_mean,
)
from sklinfluence._removal._reading import (
    HeadReading,
    leave_each_out,
    leave_together,
    refined_from,
)
from sklinfluence._removal._representers import (
    REPRESENTERS,
    check_penalty,
    take_apart,
)
from sklinfluence._removal._scales import check_scales
from sklinfluence._removal._solver_report import describe_solver
from sklinfluence._removal._together import (
    JointRemoval,
    move_without,
    remove_together,
)
