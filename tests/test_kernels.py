"""The runs of `make test-kernels`: no file is missed, no ignored name unnoticed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

HERE = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(f"_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


KERNELS = load("kernels")
SSE, AVX2, AVX512 = KERNELS.SETTINGS
EVERY_CHOICE = {
    "OPENBLAS_CORETYPE": "Nonsense",
    "ATEN_CPU_CAPABILITY": "nonsense",
    "MKL_CBWR": "NONSENSE",
}


def openblas(architecture):
    return {
        "internal_api": "openblas",
        "architecture": architecture,
        "filepath": f"lib{architecture}.so",
    }


def test_a_file_is_numeric_unless_it_is_excepted(request):
    assert request.node.get_closest_marker("numeric")


def test_what_is_excepted_exists():
    excepted = load("conftest").NOT_NUMERIC
    assert excepted <= {file.name for file in HERE.rglob("test_*.py")}


@pytest.mark.parametrize(
    ("libraries", "capability", "mkl", "named"),
    [
        ([openblas("Katmai")], "DEFAULT", "CNR:COMPATIBLE", None),
        ([openblas("Katmai"), openblas("Zen")], "DEFAULT", "CNR:COMPATIBLE", "Zen"),
        ([], "DEFAULT", "CNR:COMPATIBLE", "no OpenBLAS"),
        ([openblas("Katmai")], "AVX2", "CNR:COMPATIBLE", "torch runs AVX2"),
        ([openblas("Katmai")], "DEFAULT", "CNR:OFF", "MKL does not say"),
        ([openblas("Katmai")], "DEFAULT", "CNR:COMPATIBLE (Intel(R) AVX2)", "'AVX'"),
        ([openblas("Katmai")], "DEFAULT", "", None),  # torch built without MKL
    ],
)
def test_what_is_not_in_force_is_named(libraries, capability, mkl, named):
    said = KERNELS.complaints(SSE, libraries, capability, mkl)
    assert len(said) == (named is not None)
    assert named is None or named in said[0]


@pytest.mark.skipif(
    KERNELS.lacks(SSE, "DEFAULT") != "", reason="x86 instructions, another processor"
)
@pytest.mark.parametrize("variable", EVERY_CHOICE)
def test_an_ignored_name_ends_the_run(variable):
    if variable == "MKL_CBWR" and not KERNELS.mkl_verbose():
        pytest.skip("torch is built without MKL here")
    wrong = {variable: EVERY_CHOICE[variable]}
    command = [sys.executable, "-m", "pytest", "-p", "kernels", "--co", "-q", __file__]
    run = subprocess.run(
        command, env={**SSE.environment(), **wrong}, capture_output=True, text=True
    )
    assert run.returncode == 3, run.stdout
    assert "Prescott: " in run.stdout + run.stderr


@pytest.mark.parametrize("lacking", [AVX2, AVX512])
def test_settings_that_the_processor_lacks_are_named(lacking, monkeypatch):
    monkeypatch.setattr(KERNELS.platform, "machine", lambda: "x86_64")
    assert lacking.capability in KERNELS.lacks(lacking, "DEFAULT")
    assert KERNELS.lacks(lacking, lacking.capability) == ""
    monkeypatch.setattr(KERNELS.platform, "machine", lambda: "arm64")
    assert "arm64" in KERNELS.lacks(lacking, "DEFAULT")


def test_the_callers_choices_are_not_inherited(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    assert "MKL_CBWR" not in AVX512.environment()
    assert AVX512.environment()["OPENBLAS_CORETYPE"] == "SkylakeX"
    assert os.environ["MKL_CBWR"] == "AVX2"
