"""Random generators are read, set and seeded for the net's devices alone."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklinfluence._nets._generators import (  # noqa: E402
    preserved,
    random_states,
    seed,
)


def test_seed_is_torchs(device):
    torch.manual_seed(5)
    expected = torch.rand(3), torch.rand(3, device=device)
    seed(5, device)
    assert torch.equal(torch.rand(3), expected[0])
    assert torch.equal(torch.rand(3, device=device), expected[1])


def test_generators_are_put_back(device):
    before = random_states(device)
    with preserved(device):
        seed(1, device)
        torch.rand(3, device=device)
    after = random_states(device)
    assert set(before) == {"cpu", device}
    assert all(torch.equal(before[kind], after[kind]) for kind in before)


def test_other_devices_are_left_alone():
    """torch.manual_seed would reseed them."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    before = torch.cuda.get_rng_state()
    seed(1, "cpu")
    assert torch.equal(before, torch.cuda.get_rng_state())
