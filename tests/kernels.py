"""The numeric tests under three sets of instructions: what `make test-kernels` runs.

    python tests/kernels.py [--targets tests/deep] [arguments of pytest]

Sums round differently on another processor, because its instructions add up in another
order; a test that passes on one by luck fails on the next. OpenBLAS (numpy, scipy),
torch and MKL (torch's products) each choose by a variable of their own and ignore a
name that they do not know without a word. Each run therefore starts by asking what is
in force.

As a script this runs pytest once a setting; within those runs it is a plugin of pytest
and does the asking. A setting that the processor lacks is skipped and named.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHOSEN = "SKLINFLUENCE_KERNELS"
TARGETS = ["tests", "sklinfluence", "doc/user_guide"]
OPTIONS = ["--doctest-modules", "--doctest-glob=*.rst", "-m", "numeric and not slow"]
CAPABILITIES = ["DEFAULT", "AVX2", "AVX512"]


@dataclass(frozen=True)
class Setting:
    """What is asked of each library, and how each calls it once it is in force."""

    coretype: str
    architectures: tuple  # threadpoolctl's names for it
    capability: str  # torch's
    mkl: dict
    mkl_says: tuple  # each in what MKL_VERBOSE prints
    mkl_never_says: tuple
    threads: int

    def environment(self):
        """The caller's, with every variable that chooses instructions our own."""
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        chosen = {
            "OPENBLAS_CORETYPE": self.coretype,
            "ATEN_CPU_CAPABILITY": self.capability.lower(),
            CHOSEN: self.coretype,
            "MPLBACKEND": "Agg",
            "PYTHONPATH": path,
            # Threads that wait sleep: spinning ones starve the other processes.
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
            "OPENBLAS_THREAD_TIMEOUT": "4",  # 2**4 cycles, the fewest it takes
        }
        for library in ("OMP", "OPENBLAS", "MKL"):
            chosen[f"{library}_NUM_THREADS"] = str(self.threads)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MKL_")}
        return {**inherited, **chosen, **self.mkl}


SETTINGS = [
    # OpenBLAS has one table for the processors before AVX and calls it by the oldest.
    Setting(
        coretype="Prescott",
        architectures=("Prescott", "Katmai"),
        capability="DEFAULT",
        mkl={"MKL_CBWR": "COMPATIBLE"},
        mkl_says=("CNR:COMPATIBLE",),
        mkl_never_says=("AVX",),
        threads=1,
    ),
    Setting(
        coretype="Haswell",
        architectures=("Haswell",),
        capability="AVX2",
        mkl={"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
        mkl_says=(),
        mkl_never_says=("AVX-512",),
        threads=2,
    ),
    Setting(
        coretype="SkylakeX",
        architectures=("SkylakeX",),
        capability="AVX512",
        mkl={},
        mkl_says=(),
        mkl_never_says=(),
        threads=2,
    ),
]


# --- what is in force: the plugin -----------------------------------------------------


def complaints(setting, libraries, capability, mkl):
    """A sentence for every library that does not do as it was told.

    Parameters
    ----------
    setting : Setting
    libraries : list of dict
        As threadpoolctl gives them.
    capability : str
        torch's.
    mkl : str
        What a product under MKL_VERBOSE prints; empty where torch has no MKL.
    """
    found = [lib for lib in libraries if lib["internal_api"] == "openblas"]
    wrong = [lib for lib in found if lib["architecture"] not in setting.architectures]
    said = [
        f"{lib['filepath']} runs {lib['architecture']} kernels, not "
        f"{' or '.join(setting.architectures)}"
        for lib in wrong
    ]
    if not found:
        said.append("no OpenBLAS is loaded, so OPENBLAS_CORETYPE chooses nothing")
    if capability != setting.capability:
        said.append(f"torch runs {capability} kernels, not {setting.capability}")
    if mkl:
        said += [f"MKL does not say {t!r}" for t in setting.mkl_says if t not in mkl]
        said += [f"MKL says {t!r}" for t in setting.mkl_never_says if t in mkl]
    return said


def mkl_verbose():
    """MKL's own account of one product; it prints where Python cannot catch it."""
    code = (
        "import torch\n"
        "if torch.backends.mkl.is_available(): torch.ones(99, 99) @ torch.ones(99, 99)"
    )
    verbose = {**os.environ, "MKL_VERBOSE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=verbose, capture_output=True, text=True
    ).stdout


def in_force():
    """Libraries, torch's capability and MKL's account, as this process has them."""
    import scipy.linalg  # noqa: F401  (loads scipy's own OpenBLAS)
    import threadpoolctl
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return threadpoolctl.threadpool_info(), capability, mkl_verbose()


def pytest_sessionstart():
    setting = next(s for s in SETTINGS if s.coretype == os.environ[CHOSEN])
    said = complaints(setting, *in_force())
    if said:
        pytest.exit(f"{setting.coretype}: {'; '.join(said)}", returncode=3)


# --- one run a setting: the script ----------------------------------------------------


def capability_of_the_processor():
    """The most that torch would use if nothing were asked of it."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    free = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=free, capture_output=True, text=True
    )
    run.check_returncode()
    return run.stdout.strip()


def lacks(setting, capability):
    """Why the processor cannot run a setting; empty where it can."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"these are x86 instructions, the processor is {platform.machine()}"
    if CAPABILITIES.index(capability) < CAPABILITIES.index(setting.capability):
        return f"the processor has no {setting.capability}"
    return ""


def run(setting, workers, targets):
    """One run of pytest, whose processes share the cores: most tests keep to one."""
    command = [sys.executable, "-m", "pytest", "-p", "kernels"]
    command += ["-n", str(workers if workers > 1 else 0), *OPTIONS]
    environment, start = setting.environment(), time.perf_counter()
    done = subprocess.run([*command, *targets], env=environment, cwd=HERE.parent)
    minutes = (time.perf_counter() - start) / 60
    outcome = "FAILED" if done.returncode else "passed"
    return done.returncode, f"{outcome} in {minutes:.0f} min"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="cores to use")
    parser.add_argument("--only", choices=[s.coretype for s in SETTINGS])
    parser.add_argument("--targets", nargs="+", default=TARGETS, help="what to test")
    args, pytest_args = parser.parse_known_args()
    capability, codes, lines = capability_of_the_processor(), [], []
    for setting in SETTINGS:
        if args.only not in (None, setting.coretype):
            continue
        why, outcome = lacks(setting, capability), None
        if not why:
            print(f"== {setting.coretype}", flush=True)
            code, outcome = run(setting, args.workers, [*args.targets, *pytest_args])
            codes.append(code)
        lines.append(f"{setting.coretype}: {outcome or f'SKIPPED, {why}'}")
    print("== kernels", *lines, sep="\n")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
