"""CheckpointRecorder: a skorch callback that writes down how a net was trained."""

from collections import deque
from functools import partial
from hashlib import sha256
from numbers import Integral
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from skorch.callbacks import Callback
from torch.utils.data import DataLoader, IterableDataset, Subset

from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._nets import was_interrupted
from sklinfluence._typing import Rows
from sklinfluence.deep._path._fingerprint import fingerprint
from sklinfluence.deep._path._net_state import (
    generator_arrays,
    module_arrays,
    optimizer_arrays,
    set_generators,
    set_module,
    set_optimizer,
    to_array,
    trained_parameters,
)
from sklinfluence.deep._path._store import FolderStore, MemoryStore
from sklinfluence.deep._path._training_path import SETTINGS


class CheckpointRecorder(InMemoryMixin, Callback):
    """Record parameters, learning rates, batches and optimiser state of a training run.

    What rankers along the training path read: :class:`TracInRanker`,
    :class:`HydraRanker`, :class:`SGDInfluenceRanker`. Rankers that train the net
    themselves add a recorder on their own; give one to the net to keep the run in a
    folder, or to train it elsewhere.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    path : str or path-like, default=None
        Folder to write to, in NumPy's own format, without pickles. None keeps the run
        in memory, on the callback.
    every : "step" or int, default=1
        "step": parameters before every step, and after the last. An int: after every
        so many epochs. Rows, rates and settings are of every step in either case.
    resume : bool, default=False
        What to do when the folder holds a run. True takes the net to its end,
        parameters, optimiser and random generators, and continues as if it had never
        stopped. False continues only a net that stands there, after ``partial_fit`` or
        with ``warm_start``, and refuses any other. In memory, a new run replaces the
        old.

    Attributes
    ----------
    training_path_ : object
        The run as arrays: ``batches`` (rows of each step, in order), ``settings``
        (learning rate, momentum and so on of each step), ``steps`` (steps taken at
        each checkpoint), ``load(c)`` (parameters at checkpoint c) and more.

    See Also
    --------
    TracInRanker : Influence from the gradients along the run.

    Notes
    -----
    Rows are those of the X that ``fit`` was given; those that ``train_split`` holds out
    are in no batch. Everything is written at the end of an epoch, so a run that breaks
    off resumes at the last one it finished. The generators that are kept are torch's,
    of the CPU and of the net's device, and the training loader's own, so batches are
    shuffled and units dropped as they would have been; those of NumPy and of Python
    are not. Learning-rate schedules are callbacks of their own and resume in their own
    way.

    A folder's ``manifest.json`` lists its files with their SHA-256, the number of steps
    and a fingerprint of X and y. Readers raise a ValueError that names what is missing,
    damaged, of another run, or of other data. A run that Ctrl-C breaks off inside a
    ranker's ``fit`` stands, in its folder, at the end of the last epoch.

    Where a callback takes the net back to an earlier epoch at the end of training
    (``EarlyStopping(load_best=True)``), the run is cut there: what came later is no
    part of how the net came to be.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNetClassifier
    >>> from sklinfluence.deep import CheckpointRecorder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 3)).astype(np.float32)
    >>> y = (X[:, 0] > 0).astype(np.int64)
    >>> net = NeuralNetClassifier(
    ...     torch.nn.Linear(3, 2), criterion=torch.nn.CrossEntropyLoss, max_epochs=2,
    ...     batch_size=10, train_split=None, verbose=0,
    ...     callbacks=[CheckpointRecorder()],
    ... ).fit(X, y)
    >>> path = dict(net.callbacks_)["CheckpointRecorder"].training_path_
    >>> path.steps, path.batches[0]
    (array([2, 4]), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    """

    def __init__(
        self,
        path: str | PathLike | None = None,
        every: Literal["step"] | int = 1,
        resume: bool = False,
    ) -> None:
        self.path = path
        self.every = every
        self.resume = resume

    def on_train_begin(
        self, net: Any, X: Rows | None = None, y: ArrayLike | None = None, **kwargs: Any
    ) -> None:
        """Wait for the training loader.

        Parameters
        ----------
        net : skorch.NeuralNet
        X, y : object, default=None
        **kwargs : dict
        """
        if not (
            self.every == "step"
            or (isinstance(self.every, Integral) and self.every > 0)
        ):
            raise ValueError(
                f"every of CheckpointRecorder must be 'step' or an int above 0, got "
                f"{self.every!r}."
            )
        # The loader is made inside the fit loop, from a dataset whose rows carry no
        # numbers, and no callback is shown it. It passes through this method once, and
        # then the method is the net's own again (anything left in the net's __dict__
        # would count as one of its parameters).
        net.__dict__.pop("get_iterator", None)
        net.get_iterator = partial(self._hand_over, net)

    def _hand_over(self, net, dataset, training=False):
        if training:
            net.__dict__.pop("get_iterator", None)
        loader = type(net).get_iterator(net, dataset, training=training)
        if training:
            self._begin(net, dataset, loader)
        return loader

    def _begin(self, net, dataset, loader):
        n_rows, self._rows_ = _rows_of(dataset)
        self._ends_ = {}
        self._drawn_ = _listen(loader)
        self._generator_ = loader.generator
        meta = {
            **_describe(net),
            "n_rows": n_rows,
            "every": self.every,
            "data": fingerprint(dataset),
        }
        if self.path is not None:
            self.store_ = FolderStore(self.path, meta)
            self._continue(net)
        elif not hasattr(self, "store_") or not self._stands_at_end(net, meta):
            self.store_ = MemoryStore(meta)

    def _stands_at_end(self, net, meta=None):
        store = self.store_
        if meta is not None and meta != store.meta:
            return False
        last, now = store.last("module"), module_arrays(net)
        return store.n_steps == 0 or all(np.array_equal(last[k], now[k]) for k in now)

    def _continue(self, net):
        if not self.resume and self._stands_at_end(net):
            return
        if not self.resume:
            raise ValueError(
                f"{self.path} holds a training run of {self.store_.n_steps} steps, and "
                "the net does not stand at its end. CheckpointRecorder(resume=True) "
                "takes it there and continues; another path starts a new run."
            )
        if not self.store_.resume:
            return
        set_module(net, self.store_.last("module"))
        set_optimizer(net, self.store_.last("optimizer"))
        set_generators(net, self._generator_, self.store_.last("generators"))

    def _flush(self, net):
        self.store_.flush(
            module=module_arrays(net),
            optimizer=optimizer_arrays(net),
            generators=generator_arrays(net, self._generator_),
        )

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool | None = None, **kwargs: Any
    ) -> None:
        """Record the parameters that a step starts from.

        Parameters
        ----------
        net : skorch.NeuralNet
        batch : object, default=None
        training : bool, default=None
        **kwargs : dict
        """
        if not training:
            return
        self._step_ = (self._rows_[self._drawn_.popleft()], *_settings(net))
        if self.every != "step":
            return
        # There is one of the end of the last epoch. Other callbacks had a say since.
        if not self.store_.has_checkpoint() or self._moved_since_epoch(net):
            self.store_.add_checkpoint(module_arrays(net))

    def on_grad_computed(
        self, net: Any, named_parameters: Any = None, **kwargs: Any
    ) -> None:
        """Note the settings again: callbacks may have changed them for this step.

        Parameters
        ----------
        net : skorch.NeuralNet
        named_parameters : object, default=None
        **kwargs : dict
        """
        if hasattr(self, "_step_"):
            self._step_ = (self._step_[0], *_settings(net))

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool | None = None, **kwargs: Any
    ) -> None:
        """Record the step that was taken.

        Parameters
        ----------
        net : skorch.NeuralNet
        batch : object, default=None
        training : bool, default=None
        **kwargs : dict
        """
        if training:
            self.store_.add_step(*self._step_)

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Record the epoch, and write.

        Parameters
        ----------
        net : skorch.NeuralNet
        dataset_train, dataset_valid : object, default=None
        **kwargs : dict
        """
        self.store_.end_epoch()
        self._ends_[self.store_.n_steps] = _digest(net)
        every_step = self.every == "step"
        if every_step or len(self.store_.epoch_ends) % self.every == 0:
            self.store_.add_checkpoint(module_arrays(net))
        self._flush(net)
        self._take_place(net, first=False)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Come before other callbacks until the epoch has ended.

        Parameters
        ----------
        net : skorch.NeuralNet
        dataset_train, dataset_valid : object, default=None
        **kwargs : dict
        """
        self._take_place(net, first=True)

    def _take_place(self, net, first):
        # One that stops training in on_epoch_end keeps that event from those after it:
        # we come first. One that restores parameters does so in on_train_end: we come
        # last, and see them. (A new list: skorch is going through the old one.)
        own = [item for item in net.callbacks_ if item[1] is self]
        others = [item for item in net.callbacks_ if item[1] is not self]
        net.callbacks_ = own + others if first else others + own

    def _moved_since_epoch(self, net):
        end = self._ends_.get(self.store_.n_steps)
        return end is not None and end != _digest(net)

    def on_train_end(
        self, net: Any, X: Rows | None = None, y: ArrayLike | None = None, **kwargs: Any
    ) -> None:
        """Record where the run ends, and write.

        Parameters
        ----------
        net : skorch.NeuralNet
        X, y : object, default=None
        **kwargs : dict
        """
        # An epoch that was broken off is no part of what is resumed.
        if not hasattr(self, "store_") or was_interrupted(net):
            return
        restored = self._restored(net)
        if restored is not None:
            self.store_.cut(restored)
        wanted = self.every == "step" or (restored and not self.store_.has_any())
        if wanted and not self.store_.has_checkpoint():
            self.store_.add_checkpoint(module_arrays(net))
        self._flush(net)

    def _restored(self, net):
        """Steps taken at the earlier epoch whose parameters the net has again."""
        if not self._moved_since_epoch(net):
            return None
        now = _digest(net)
        return max((n for n, end in self._ends_.items() if end == now), default=None)

    @property
    def training_path_(self):
        """The recorded run as arrays."""
        if not hasattr(self, "store_"):
            raise AttributeError("Nothing was recorded yet: fit the net first.")
        return self.store_.path()


class _Listener:
    """A batch sampler that notes down what it hands out."""

    def __init__(self, sampler, drawn):
        self._sampler = sampler
        self._drawn = drawn

    def __iter__(self):
        # Workers may ask for batches well ahead; they are handed out in this order.
        self._drawn.clear()
        for index in self._sampler:
            index = list(index)
            self._drawn.append(np.asarray(index, dtype=int))
            yield index

    def __len__(self):
        return len(self._sampler)

    def __getattr__(self, name):
        return getattr(self._sampler, name)


def _listen(loader):
    """Have a loader note down its batches; the queue they are put in."""
    if (
        not isinstance(loader, DataLoader)
        or isinstance(loader.dataset, IterableDataset)
        or loader.batch_sampler is None
    ):
        raise TypeError(
            "CheckpointRecorder has to know which rows make a batch, and reads it off "
            "the batch sampler of a torch DataLoader over a dataset with numbered "
            f"rows; iterator_train made a {type(loader).__name__} without one."
        )
    drawn = deque()
    # DataLoader forbids setting this once it is made, for fear of users who expect
    # batch_size to follow. This loader was made a moment ago and is the fit loop's own.
    object.__setattr__(loader, "batch_sampler", _Listener(loader.batch_sampler, drawn))
    return drawn


def _rows_of(dataset):
    """Number of rows of the whole data, and which of them a dataset's are."""
    if isinstance(dataset, Subset):
        n_rows, outer = _rows_of(dataset.dataset)
        return n_rows, outer[np.asarray(dataset.indices, dtype=int)]
    return len(dataset), np.arange(len(dataset))


def _describe(net):
    trained = list(trained_parameters(net))
    return {
        "names": [name for name, _, _ in trained],
        "shapes": [list(parameter.shape) for _, parameter, _ in trained],
        "dtypes": [str(parameter.dtype) for _, parameter, _ in trained],
        "groups": [group for _, _, group in trained],
        "optimizer": type(net.optimizer_).__name__,
    }


def _digest(net):
    """What the parameters are known by again, without keeping them."""
    digest = sha256()
    for parameter in net.module_.parameters():
        digest.update(to_array(parameter).tobytes())
    return digest.digest()


def _settings(net):
    """`SETTINGS` of the coming step by group, and whether the optimiser is fresh."""
    groups = net.optimizer_.param_groups
    used = range(max([g for _, _, g in trained_parameters(net)], default=0) + 1)
    settings = {
        name: np.array([float(groups[g].get(name, 0.0) or 0.0) for g in used])
        for name in SETTINGS
    }
    held = [net.optimizer_.state.get(p, {}) for _, p, _ in trained_parameters(net)]
    fresh = all(state.get("momentum_buffer") is None for state in held)
    return settings, fresh
