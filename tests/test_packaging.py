"""What ships: the typed marker, an sdist whose tests run, files that agree."""

import configparser
import importlib
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
# What would lend an environment packages that it does not hold.
LENDING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
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


def test_the_command_is_an_entry_point_and_its_page_is_packaged():
    (script,) = SETUP["options.entry_points"]["console_scripts"].split("\n")[1:]
    name, _, place = script.partition(" = ")
    module, _, function = place.partition(":")
    assert name == "sklinfluence"
    assert callable(getattr(importlib.import_module(module), function))
    folder = Path(sklinfluence.__file__).parent / "inspection" / "_report"
    packaged = SETUP["options.package_data"]["sklinfluence.inspection._report"]
    endings = {ending.strip("* ") for ending in packaged.split(",")}
    assert {f.suffix for f in folder.iterdir() if f.is_file()} - {".py"} == endings


def test_tests_ask_for_all_that_reports_do():
    extras = SETUP["options.extras_require"]
    assert set(extras["report"].split()) <= set(extras["test"].split())


def test_tests_ask_for_all_that_clusters_do():
    extras = SETUP["options.extras_require"]
    assert set(extras["dask"].split()) <= set(extras["test"].split())
    assert "zarr" in extras["test"].split()


DATA = "x,colour,label\n" + "".join(
    f"{i % 2 * 5 + i / 40},{'rb'[i % 2]},{'yn'[(i + (i == 7)) % 2]}\n"
    for i in range(40)
)


@pytest.mark.slow
def test_the_wheel_and_its_extra_are_all_that_the_command_needs(tmp_path):
    """Built from a copy, installed into a bare environment, run where no source is."""
    pytest.importorskip("setuptools")
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*BUILT))
    environment = {k: v for k, v in os.environ.items() if k not in LENDING}

    def run(*command, folder=tmp_path):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"
    run(sys.executable, "-c", code, folder=copy)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", "own")
    own = tmp_path / "own" / ("Scripts" if os.name == "nt" else "bin")
    run(own / "python", "-m", "pip", "install", "--quiet", f"{wheel}[report]")
    (tmp_path / "data.csv").write_text(DATA, encoding="utf-8")
    asked = ["suspects", "data.csv", "--target", "label", "--report", "report.html"]
    assert "40 rows" in run(own / "sklinfluence", *asked)
    assert "<table" in (tmp_path / "report.html").read_text(encoding="utf-8")


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
