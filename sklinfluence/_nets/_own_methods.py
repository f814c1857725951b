"""Which of skorch's methods a net's class has of its own."""

_METHODS_OF_THE_LOSS = ("get_loss", "train_step_single", "train_step")


def overridden(net, names):
    """Those of the methods that the net's class does not have from skorch."""
    own = [
        base for base in type(net).__mro__ if not base.__module__.startswith("skorch")
    ]
    return [name for name in names if any(name in vars(base) for base in own)]


def is_weighted_by_hand(net):
    """Whether the net's class computes the training loss itself.

    This is how nets of skorch take sample weights: the criterion is not reduced, and
    an own ``get_loss`` takes the weighted mean.
    """
    return bool(overridden(net, _METHODS_OF_THE_LOSS))
