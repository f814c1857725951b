"""The benchmarks run where no real data set lies beside the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
if not BENCHMARKS.exists():
    pytest.skip("no benchmarks beside these tests", allow_module_level=True)
SCRIPTS = sorted(file.name for file in BENCHMARKS.glob("[a-z]*.py"))
# The least work of each, and a set that a stranger's clone lacks where it takes any.
LEAST = {
    "cluster.py": "--rows 3000 --columns 8 --classes 3 --chunk 500 --chunks 20",
    "copies.py": "--sets iris sms_spam --rows 60 --seeds 1",
    "deep.py": "--mislabels mnist",
    "deep_peers.py": "",
    "detection.py": "--sets iris adult --seeds 0 --rows 60 --rates 0.1 --kinds uniform",
    "influence.py": "--quick",
    "leave_one_out_search.py": "",
    "metric_influence.py": "--quick",
    "regression_detection.py": "--sets diabetes concrete --seeds 1 --rows 60",
    "solvers.py": "ekfac --sets iris letter --C 1",
    "stability.py": "--quick --skip-loo --data mnist",
    "streaming.py": "--rows 2000 --columns 8 --classes 2",
    "trees.py": "--quick",
    "valuation.py": "--quick",
}
SKIPPED = {
    "copies.py": "sms_spam",
    "deep.py": "mnist_train5k",
    "detection.py": "adult",
    "leave_one_out_search.py": "spambase",
    "regression_detection.py": "concrete",
    "solvers.py": "letter",
    "stability.py": "mnist_train5k",
    "valuation.py": "spambase",
}


@pytest.fixture
def clone(tmp_path):
    """The benchmarks where nothing lies beside them."""
    return shutil.copytree(BENCHMARKS, tmp_path / "clone" / "benchmarks")


def run(clone, script, options):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script, *options.split()],
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"},
        cwd=clone,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sets_are_looked_for_in_one_place():
    readers = [
        file.name for file in BENCHMARKS.glob("*.py") if "parents[" in _code(file)
    ]
    assert readers == ["_data.py"]


def _code(file):
    return file.read_text(encoding="utf-8")


def test_what_is_not_there_is_skipped_by_name(clone):
    (clone / "probe.py").write_text(
        "import _data\nprint('left:', _data.present(['digits', 'adult'], ['digits']))\n"
    )
    said = run(clone, "probe.py", "")
    assert "adult: skipped" in said
    assert "left: ['digits']" in said


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_runs_in_a_strangers_clone(clone, script):
    pytest.importorskip("torch")
    pytest.importorskip("cleanlab")
    said = run(clone, script, LEAST[script])
    if script in SKIPPED:
        assert f"{SKIPPED[script]}: skipped" in said
