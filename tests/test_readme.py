"""The README's Python blocks run where only what it says to install is installed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILT = [".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", "_build"]
# What would lend an environment packages that it does not hold.
LENDING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@pytest.fixture(scope="module")
def readme():
    spec = importlib.util.spec_from_file_location("_readme", HERE / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_blocks_run(readme, tmp_path, monkeypatch):
    # A block may save a picture: not into the checkout.
    monkeypatch.chdir(tmp_path)
    assert readme.blocks("python"), "README.md shows no Python"
    readme.run_python_blocks()


def pip_install(readme):
    """The one line by which the README says to install the package."""
    lines = re.findall(
        r"^pip install (.*)$", "".join(readme.blocks("sh")), re.MULTILINE
    )
    assert len(lines) == 1, f"README.md says to install in {len(lines)} ways: {lines}"
    return lines[0].strip("'\"")


@pytest.mark.slow
def test_python_blocks_run_after_what_the_readme_installs(readme, tmp_path):
    """In an environment of its own, from a copy that lies where the README has it."""
    asked = pip_install(readme)
    clone = tmp_path / asked.partition("[")[0]
    shutil.copytree(HERE.parent, clone, ignore=shutil.ignore_patterns(*BUILT))
    environment = {k: v for k, v in os.environ.items() if k not in LENDING}

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    run(sys.executable, "-m", "venv", "own")
    own = tmp_path / "own" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(own, "-m", "pip", "install", "--quiet", f"./{asked}")
    run(own, clone / "tests" / "readme.py")
