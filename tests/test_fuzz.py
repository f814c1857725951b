"""A slice of `make fuzz`, and that the run sees what it is there to see."""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

for needed in ("matplotlib", "pandas", "polars", "skorch"):
    pytest.importorskip(needed)

HERE = Path(__file__).parent
SLICE = 160


@pytest.fixture(scope="module")
def fuzz():
    """The script and the two files it is made of, as it imports them itself."""
    sys.path.insert(0, str(HERE))
    yield importlib.import_module("fuzz")
    sys.path.remove(str(HERE))


def test_a_slice_of_the_run_finds_nothing(fuzz, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--n", str(SLICE), "--seed", "3"])
    code = fuzz.main()
    assert code == 0, capsys.readouterr().out


def test_a_public_name_without_a_recipe_fails_the_run(fuzz, capsys, monkeypatch):
    assert fuzz.missing_recipes() == []
    monkeypatch.delitem(fuzz.RECIPES, "InfluenceRanker")
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--n", "1"])
    assert fuzz.main() == 1
    assert "InfluenceRanker" in capsys.readouterr().out


def test_a_parameter_without_values_fails_the_run(fuzz):
    class New:
        def __init__(self, *, unheard_of=None):
            self.unheard_of = unheard_of

    recipes = importlib.import_module("fuzz_recipes")
    with pytest.raises(LookupError, match="no values for unheard_of"):
        recipes.options(fuzz.Case(0, 0), New)


def test_an_input_is_a_function_of_the_seed_and_its_number(fuzz):
    (name, *first), (again, *second) = fuzz.run_one(5, 7), fuzz.run_one(5, 7)
    assert (name, first[1]) == (again, second[1])
    assert [f.detail for f in first[2]] == [f.detail for f in second[2]]
    assert fuzz.run_one(6, 7)[2] != first[1]


def ours(name, **code):
    """A function that lives in a module of the package, as its frames say."""
    space = {"__name__": f"sklinfluence.{name}", "np": np, "warnings": warnings}
    exec(code["source"], space)
    return space["f"]


ENDS = {
    "result": "def f(): return 1.0",
    "clear error": "def f(): raise ValueError('y has 3 rows, and X has 2: give one')",
    "silent NaN or inf": "def f(): return np.array([1.0, np.nan])",
    "unrelated exception": "def f(): return [][0]",
    "leaked warning": "def f(): return np.float64(1e300) * np.float64(1e300) > 0",
    "warned NaN": "def f(): warnings.warn('no value for row 1'); return np.nan",
}


@pytest.mark.parametrize("outcome", ENDS)
def test_each_end_of_a_call_is_told(fuzz, outcome):
    case = fuzz.Case(0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = case.hear
        case.call("f", ours("_module", source=ENDS[outcome]))
    assert case.worst() == outcome


# Each is what NumPy or Python says of its own, though of the right class.
@pytest.mark.parametrize(
    "source",
    [
        "def f(): return np.zeros(3) + np.zeros(2)",
        "def f(): return int('text')",
        "def f(): return bool(np.zeros(2))",
        "def f(): raise ValueError('bad')",
    ],
)
def test_an_error_that_nobody_wrote_is_not_clear(fuzz, source):
    case = fuzz.Case(0, 0)
    case.call("f", ours("_module", source=source))
    assert case.worst() == "unrelated exception"


def test_an_endless_input_is_cut_short(fuzz, monkeypatch):
    def endless(case, public):
        case.call("loop", ours("_module", source="def f():\n while True: pass"))

    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    name = fuzz.names_in_turn()[0]
    monkeypatch.setitem(fuzz.RECIPES, name, endless)
    assert fuzz.run_one(0, 0)[1] == "past the time limit"
