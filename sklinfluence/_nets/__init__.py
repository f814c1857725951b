"""The toolbox of skorch nets; loaded when the first net is met."""

from sklinfluence._nets._asking import _ask, _fit_inputs
from sklinfluence._nets._before_training import check_before_training, check_loss
from sklinfluence._nets._containers import rows_and_targets, sliceable
from sklinfluence._nets._criterion import (
    NetLoss,
    net_loss,
)
from sklinfluence._nets._forward import (
    cast,
    explained,
    iterate,
    layer_inputs,
    listening,
    module_dtype,
    to_array,
)
from sklinfluence._nets._generators import (
    given_back,
    preserved,
    random_states,
    seed,
    set_random_states,
)
from sklinfluence._nets._given import given_net, is_frozen, unwrap
from sklinfluence._nets._interrupts import interruptible, was_interrupted
from sklinfluence._nets._layer import (
    check_last,
    find_last_linear,
    guess_last_linear,
    layer_parameters,
)
from sklinfluence._nets._nested import concatenate, first_of, map_tensors
from sklinfluence._nets._own_loss import own_loss, warn_about_own_steps
from sklinfluence._nets._own_methods import overridden
from sklinfluence._nets._penalty import (
    decay_factor,
    rows_in_training,
    warn_about_held_out,
    weight_decay,
)
from sklinfluence._nets._refusals import (
    check_initialized,
    refuse_broadcasting,
    refuse_frame,
    refuse_improbable,
    refuse_non_finite,
)
from sklinfluence._nets._slope import slope
from sklinfluence._nets._stand_in import EVALUATING, double
from sklinfluence._nets._states import Reseed, add_callback, seeded_nets
from sklinfluence._nets._targets import NETS
from sklinfluence._nets._trained import refuse_untrained, untrained
