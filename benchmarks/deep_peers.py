"""Other packages' influence of a whole network, on the work of ``benchmarks/deep.py``.

Each function takes that work, (net, X, y, X_query, y_query), and ``damping``: what is
added to the *mean* curvature, the optimiser's weight decay included. What it returns is
(n_queries, n_train) on the package's own scale, to be compared by ranks.

* pyDVL adds ``hessian_regularization`` (EK-FAC) or ``regularization`` (Nystroem) to the
  mean curvature; Nystroem is given the Gauss-Newton matrix.
* kronfluence divides its factors by the number of rows and adds ``damping_factor``.
* dattri's CG and Arnoldi add ``regularization`` to the Hessian of the function that
  they are given, here the mean loss over all rows in one batch (with more batches it
  adds up inverses). There is no Gauss-Newton matrix to choose, and where the Hessian is
  not definite more steps of CG are not better. Its EK-FAC adds ``damping`` to a mean
  over rows of squared gradients at the given labels.
"""

import copy
import tempfile

import torch
from torch import nn


def _tensors(work):
    net, *arrays = work
    return net.module_, *(torch.as_tensor(array) for array in arrays)


def pydvl(kind, work, damping):
    from pydvl.influence.torch import EkfacInfluence, NystroemSketchInfluence
    from pydvl.influence.torch.influence_function_model import SecondOrderMode

    module, X, y, X_query, y_query = _tensors(work)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(X, y), batch_size=256
    )
    if kind == "ekfac":
        model = EkfacInfluence(
            module, update_diagonal=True, hessian_regularization=damping
        )
    else:
        model = NystroemSketchInfluence(
            module,
            nn.functional.cross_entropy,
            regularization=damping,
            rank=300,
            second_order_mode=SecondOrderMode.GAUSS_NEWTON,
        )
    return model.fit(loader).influences(X_query, y_query, X, y).detach().numpy()


def kronfluence(kind, work, damping):
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            rows, labels = batch
            logits = model(rows)
            if sample:
                with torch.no_grad():
                    proba = torch.softmax(logits, dim=-1)
                    labels = torch.multinomial(proba, 1).flatten()
            return nn.functional.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    module, X, y, X_query, y_query = _tensors(work)
    task, sets = Classification(), torch.utils.data.TensorDataset

    model = prepare_model(copy.deepcopy(module).eval(), task)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "work", model, task, cpu=True, output_dir=folder, disable_tqdm=True
        )
        analyzer.fit_all_factors(
            "f",
            sets(X, y),
            per_device_batch_size=256,
            factor_args=FactorArguments(strategy=kind),
        )
        analyzer.compute_pairwise_scores(
            "s",
            "f",
            sets(X_query, y_query),
            sets(X, y),
            per_device_query_batch_size=100,
            per_device_train_batch_size=256,
            score_args=ScoreArguments(damping_factor=damping),
        )
        return analyzer.load_pairwise_scores("s")["all_modules"].float().numpy()


def dattri(kind, work, damping, steps=10):
    from dattri.algorithm import influence_function
    from dattri.task import AttributionTask

    module, X, y, X_query, y_query = _tensors(work)
    module = copy.deepcopy(module).eval()

    def mean_loss(params, batch):
        rows, labels = batch
        logits = torch.func.functional_call(module, params, (rows,))
        return nn.functional.cross_entropy(logits, labels)

    task = AttributionTask(
        loss_func=mean_loss, model=module, checkpoints=module.state_dict()
    )
    everything = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(X, y), batch_size=len(X)
    )
    queries = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(X_query, y_query), batch_size=len(X_query)
    )
    attributor = {
        "cg": lambda: influence_function.IFAttributorCG(
            task, max_iter=steps, regularization=damping
        ),
        "arnoldi": lambda: influence_function.IFAttributorArnoldi(
            # As many steps as dimensions leave negative eigenvalues of the Hessian
            # among those that it takes roots of, and the result is NaN.
            task,
            proj_dim=100,
            max_iter=300,
            regularization=damping,
        ),
        "ekfac": lambda: influence_function.IFAttributorEKFAC(task, damping=damping),
    }[kind]()
    attributor.cache(everything)
    return attributor.attribute(everything, queries).detach().numpy().T
