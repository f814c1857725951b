"""Which of a module's parameters a net's training moves."""


def untrained(net):
    """Names of the parameters that the net's training leaves as they are.

    Those without ``requires_grad``, those that its optimiser does not hold, and those
    of a parameter group whose learning rate is 0.

    Parameters
    ----------
    net : NeuralNet
        Initialised.

    Returns
    -------
    names : set of str
    """
    parameters = dict(net.module_.named_parameters())
    still = {name for name, part in parameters.items() if not part.requires_grad}
    optimizer = getattr(net, "optimizer_", None)
    if optimizer is None or not hasattr(optimizer, "param_groups"):
        return still  # a net trimmed for prediction
    moved = {
        id(part)
        for group in optimizer.param_groups
        if _moves(net, group)
        for part in group["params"]
    }
    return still | {name for name, part in parameters.items() if id(part) not in moved}


def _moves(net, group):
    """Whether a group's rate was ever above 0, as far as the net remembers."""
    if group.get("initial_lr", group["lr"]) != 0:
        return True
    # A schedule of one's own may end at rate 0 for all of them.
    groups = net.optimizer_.param_groups
    ended = all(other["lr"] == 0 for other in groups)
    return ended and net.get_params_for("optimizer").get("lr", net.lr) != 0


def refuse_untrained(net, layer):
    """Raise unless training moves all parameters of a layer.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    layer : str
        Name of a module in ``net.module_.named_modules()``.
    """
    own = [name for name, _ in net.module_.get_submodule(layer).named_parameters()]
    prefix = f"{layer}." if layer else ""
    still = sorted({prefix + name for name in own} & untrained(net))
    if still:
        raise ValueError(
            f"Training of {type(net).__name__} leaves {', '.join(still)} of its last "
            f"layer {layer!r} as it is (requires_grad=False, a learning rate of 0, or "
            "not in the optimiser), so rows have no influence there. Train that layer, "
            "or put SkorchEmbedding(net) and a linear estimator in a Pipeline."
        )
