"""The worked examples of the contributing page: short, and right by their own truths.

Each ends in a comparison with what is not this package's code, or with its exact
solver; here the comparison is shown to bite.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from sklinfluence.heads import linear_head

DOC = Path(__file__).resolve().parents[1] / "doc"
SCRIPTS = sorted((DOC / "worked").glob("*.py"))
if not SCRIPTS:
    pytest.skip("no documentation beside these tests", allow_module_level=True)
# What each gets wrong when a line of it is changed.
WRONG = {
    "own_head.py": ("estimator.lambda_ / estimator.alpha_)", "estimator.lambda_)"),
    "own_ranker.py": ("less = kernel * self.y_, kernel", "less = kernel, kernel"),
    "own_score.py": ("proba = self.loo_proba_ if X", "proba = self.loo_proba_**2 if X"),
    "own_solver.py": ("maxiter=self.max_iter", "maxiter=2"),
}


@pytest.fixture
def heads_as_they_were():
    """Unknown again afterwards: heads that a script registers."""
    before = dict(linear_head.registry)
    yield
    # A registry only grows: what is new goes back to the general answer.
    for kind in set(linear_head.registry) - set(before):
        linear_head.register(kind)(before[object])


def run(script, source):
    exec(compile(source, script.name, "exec"), {"__name__": "worked"})


@pytest.mark.usefixtures("heads_as_they_were")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_runs_and_its_comparison_bites(script):
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    run(script, source)
    right, wrong = WRONG[script.name]
    assert source.count(right) == 1
    with pytest.raises(AssertionError), np.errstate(all="ignore"):
        run(script, source.replace(right, wrong))


def test_the_page_shows_all_of_them():
    page = (DOC / "contributing.rst").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. literalinclude:: worked/(\w+\.py)$", page, re.MULTILINE)
    assert sorted(shown) == [script.name for script in SCRIPTS]
