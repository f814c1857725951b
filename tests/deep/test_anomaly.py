"""The detector's scores are means of influence, and planted outliers stand out."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from skorch import NeuralNet  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    TracInAnomalyDetector,
    TracInRanker,
)


class Autoencoder(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(6, 2), torch.nn.Linear(2, 6))


class Reconstruction(NeuralNet):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        return 0.5 * ((y_pred - X.to(y_pred)) ** 2).sum(dim=1).mean()


@pytest.fixture(scope="module")
def planted():
    """Rows in a plane, and a few off it: as long as the others, another direction."""
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    X = rng.standard_normal((150, 2)) @ plane[:2]
    X[:10] = 2.0 * rng.standard_normal((10, 2)) @ plane[2:4]
    return X.astype(np.float32), np.arange(150) < 10


def ranker(device="cpu"):
    net = Reconstruction(
        Autoencoder,
        criterion=torch.nn.MSELoss,
        lr=0.05,
        max_epochs=15,
        batch_size=16,
        train_split=None,
        device=device,
        verbose=0,
    )
    return TracInRanker(net, normalize="cosine", every=3, random_state=0)


def test_scores_are_distances_of_mean_influence_from_its_median(planted, device):
    X, is_outlier = planted
    detector = TracInAnomalyDetector(ranker(device)).fit(X)
    mean = detector.ranker_.influence(X).mean(axis=1)
    expected = -np.abs(mean - np.median(mean))
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)
    low = TracInAnomalyDetector(ranker(device), tail="low", contamination=0.1).fit(X)
    np.testing.assert_allclose(low.score_samples(X), mean - np.median(mean), rtol=1e-9)
    assert np.sum(low.predict(X) == -1) == 15
    # Training on the plane takes nothing off rows across it.
    assert roc_auc_score(~is_outlier, low.score_samples(X)) > 0.9
    np.testing.assert_array_equal(low.predict(X[:20]), low.predict(X)[:20])


@pytest.mark.parametrize("tail", ["both", "low", "high"])
@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_where_outliers_begin(planted, tail, contamination):
    X, _ = planted
    detector = TracInAnomalyDetector(ranker(), tail=tail, contamination=contamination)
    detector.fit(X)
    mean = detector.ranker_.influence(X).mean(axis=1)
    center = np.median(mean)
    assert detector.center_ == pytest.approx(center, rel=1e-9)
    scores = detector.score_samples(X)
    if contamination == "auto":
        # Three standard deviations, by the median of distances from the median.
        offset = -3 * 1.4826 * np.median(np.abs(mean - center))
    else:
        offset = np.percentile(scores, 10)
    assert detector.offset_ == pytest.approx(offset, rel=1e-9)
    decision = detector.decision_function(X)
    np.testing.assert_allclose(decision, scores - offset, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(detector.predict(X), np.where(decision < 0, -1, 1))


def test_a_sample_of_rows(planted):
    X, _ = planted
    detector = TracInAnomalyDetector(ranker(), max_rows=20, random_state=0).fit(X)
    assert len(detector.rows_) == 20
    mean = detector.ranker_.influence(X)[:, detector.rows_].mean(axis=1)
    np.testing.assert_allclose(
        detector.score_samples(X), -np.abs(mean - np.median(mean)), rtol=1e-9
    )


def test_a_frozen_net_stays_in_its_mode(planted):
    """Neither asked by the detector nor by a ranker of a net that is no classifier."""
    X, _ = planted
    net = ranker().estimator.set_params(callbacks=[CheckpointRecorder()]).fit(X)
    detector = TracInAnomalyDetector(TracInRanker(FrozenEstimator(net))).fit(X)
    net.module_.train()
    before = torch.get_rng_state()
    detector.predict(X)
    detector.ranker_.predict(X)
    assert all(module.training for module in net.module_.modules())
    assert torch.equal(before, torch.get_rng_state())


def test_rows_that_are_not_finite_are_named(planted):
    X = planted[0].copy()
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        TracInAnomalyDetector(ranker()).fit(X)
