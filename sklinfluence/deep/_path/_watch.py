"""A callback that stops a training run from which nothing can be read."""

import torch
from skorch.callbacks import Callback

from sklinfluence._nets import check_initialized, refuse_non_finite
from sklinfluence.deep._path._path_loss import check_output


class Watch(Callback):
    """Stops a training run at its first batch if nothing could be read off it."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        check_initialized(net)

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        loss, output = kwargs.get("loss"), kwargs.get("y_pred")
        if not training or not torch.is_tensor(loss):
            return
        X, y = batch if isinstance(batch, tuple | list) else (batch, None)
        if output is not None:
            check_output(net, output, y)
        refuse_non_finite(net, X, loss, when="in training")
