"""What ships: the typed marker, an sdist whose tests run, files that agree."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import sklinfluence

ROOT = Path(__file__).resolve().parents[1]
BUILT = [".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", "_build"]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def test_the_package_says_that_it_is_typed():
    assert (Path(sklinfluence.__file__).parent / "py.typed").exists()
    assert SETUP["options.package_data"]["sklinfluence"] == "py.typed"


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", text, re.M)[1] == sklinfluence.__version__
    assert re.search(r"^license: (.*)$", text, re.M)[1] == SETUP["metadata"]["license"]


def test_the_changelog_knows_this_version():
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert f"Version {sklinfluence.__version__}" in text
    page = (ROOT / "doc" / "whats_new.rst").read_text(encoding="utf-8")
    assert page.strip() == ".. include:: ../CHANGELOG.rst"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The folder that an sdist unpacks to, built from a copy of the checkout."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("sdist")
    copy = folder / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*BUILT))
    code = f"import setuptools.build_meta as b; print(b.build_sdist({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.mark.slow
def test_the_sdist_holds_every_file_that_is_kept(sdist):
    kept = ["sklinfluence", "tests", "benchmarks", "examples", "doc/user_guide"]
    for folder in kept:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".pyc", ".pyo"):
                assert (sdist / file.relative_to(ROOT)).exists(), file
    for name in ("CHANGELOG.rst", "CITATION.cff", "CONTRIBUTING.md", "Makefile"):
        assert (sdist / name).exists()


@pytest.mark.slow
def test_the_tests_of_the_sdist_run(sdist):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    targets = ["tests/test_readme.py", "tests/test_packaging.py", "tests/datasets"]
    done = subprocess.run(
        [*command, *targets, "tests/curvature/test_losses.py"],
        cwd=sdist,
        env={**os.environ, "PYTHONPATH": str(sdist)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
