"""Fixtures of the tests that compute with torch."""

import pytest


@pytest.fixture(params=["cpu", "cuda"], scope="session")
def device(request):
    """Where a test computes; an accelerator only where there is one."""
    torch = pytest.importorskip("torch")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return request.param
