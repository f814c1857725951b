"""The state of a net in training as arrays, and back: what a checkpoint is made of."""

import numpy as np
import torch

from sklinfluence._nets import random_states, set_random_states


def to_array(tensor):
    """A tensor as an array of its own; bfloat16, unknown to NumPy, as float32."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy().copy()


def _named(net):
    module = net.module_
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def module_arrays(net):
    """Parameters and buffers of a net's module, by name."""
    return {name: to_array(tensor) for name, tensor in _named(net).items()}


def set_module(net, arrays):
    """The inverse of `module_arrays`."""
    with torch.no_grad():
        for name, tensor in _named(net).items():
            tensor.copy_(torch.as_tensor(arrays[name]))


def trained_parameters(net):
    """(name, parameter, group) of every parameter that the optimiser moves."""
    groups = {
        id(parameter): number
        for number, group in enumerate(net.optimizer_.param_groups)
        for parameter in group["params"]
    }
    for name, parameter in net.module_.named_parameters():
        if id(parameter) in groups and parameter.requires_grad:
            yield name, parameter, groups[id(parameter)]


def optimizer_arrays(net):
    """What the optimiser remembers of each parameter, by "name/what"."""
    arrays = {}
    for name, parameter, _ in trained_parameters(net):
        for key, value in net.optimizer_.state.get(parameter, {}).items():
            if torch.is_tensor(value):
                arrays[f"{name}/{key}"] = to_array(value)
            elif value is not None:
                arrays[f"{name}/{key}"] = np.asarray(value)
    return arrays


def set_optimizer(net, arrays):
    """The inverse of `optimizer_arrays`; learning rates and so on are the net's own."""
    optimizer = net.optimizer_
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    number = {id(parameter): k for k, parameter in enumerate(parameters)}
    state = {}
    for name, parameter, _ in trained_parameters(net):
        head = f"{name}/"
        own = {
            key[len(head) :]: torch.tensor(value)
            for key, value in arrays.items()
            if key.startswith(head)
        }
        if own:
            state[number[id(parameter)]] = own
    # The optimiser knows which of its numbers belong on the parameters' device, and in
    # their type; that differs between settings (fused, capturable).
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def generator_arrays(net, generator):
    """States of the generators that batches and dropout are drawn by.

    Parameters
    ----------
    net : skorch.NeuralNet
    generator : torch.Generator or None
        Of the training loader, where it has one of its own.
    """
    arrays = {kind: to_array(s) for kind, s in random_states(net.device).items()}
    if generator is not None:
        arrays["loader"] = to_array(generator.get_state())
    return arrays


def set_generators(net, generator, arrays):
    """The inverse of `generator_arrays`, as far as the same generators are there."""
    states = {kind: torch.as_tensor(array) for kind, array in arrays.items()}
    if generator is not None and "loader" in states:
        generator.set_state(states["loader"])
    set_random_states(states, net.device)
