"""Any estimator, asked and fitted alike."""

from sklinfluence._estimators._ask import (
    ask,
    ends_in_net,
    fit_inputs,
    interruptible,
    register_if_net,
    reordered,
    seeded_nets,
    sliceable,
    takeable,
)
from sklinfluence._estimators._copies import Copies, find_copies, row_digests
from sklinfluence._estimators._counts import check_count, check_rows
from sklinfluence._estimators._fit import (
    _last_step,
    fit_weighted,
    refuse_weights,
    takes_weights,
    weight_keywords,
)
from sklinfluence._estimators._folds import check_folds
from sklinfluence._estimators._ranges import (
    LARGEST,
    LARGEST_VALUE,
    SMALLEST,
    check_numbers,
    check_values,
    check_weight_range,
    extreme,
    in_type,
)
from sklinfluence._estimators._refit import _refit_losses, query_losses
from sklinfluence._estimators._steps import (
    does_nothing,
    steps_before_last,
    transformed,
)
from sklinfluence._estimators._targets import (
    class_coder,
    encode_labels,
    encode_values,
    label_index,
    refuse_missing_labels,
    refuse_named_targets,
    refuse_sparse,
    refuse_unlike_labels,
    row_weights,
    target_array,
    value_coder,
)
from sklinfluence._estimators._task import (
    are_classes,
    default_estimator,
    kind_of_targets,
    takes_classes,
)
from sklinfluence._estimators._training_data import check_training
from sklinfluence._estimators._wrapped import WrappedEstimatorMixin
