"""Fixtures that more than one test folder uses."""

import importlib.util
import os
from pathlib import Path

import pytest

# Scripts and their parts: `make fuzz` runs them, tests/test_fuzz.py asks them.
collect_ignore = ["fuzz.py", "fuzz_inputs.py", "fuzz_recipes.py"]

# Before anything imports matplotlib: tests draw, and none may open a window.
os.environ.setdefault("MPLBACKEND", "Agg")

# Tests of words and wiring. Every other test is numeric and runs under each set of
# instructions (`make test-kernels`): a new file is, unless it is named here.
NOT_NUMERIC = {"test_fuzz.py", "test_public_api.py"}
NOT_NUMERIC_FOLDERS = {"browser", "command"}
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    """Mark as numeric what compares numbers, doctests and guide pages included."""
    for item in items:
        is_of_words = item.path.parent.name in NOT_NUMERIC_FOLDERS
        if item.path.name not in NOT_NUMERIC and not is_of_words:
            item.add_marker(pytest.mark.numeric)


@pytest.fixture
def pyplot():
    """matplotlib.pyplot, every figure closed before and after the test."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.close("all")
    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="session")
def shared_data():
    """Loader of the real data sets that lie beside a development checkout.

    ``shared_data("spambase")`` returns a dict with `X`, `y` and what else is known of
    the set. A test that asks for it is skipped where the folder is absent: what ships
    is tested without it.
    """
    loader = SHARED_DATA / "load.py"
    if not loader.exists():
        pytest.skip("the shared data sets are not beside this checkout")
    spec = importlib.util.spec_from_file_location("shared_data_loader", loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load
