"""The walls of the house: which folder may import which, and through which door."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sklinfluence

ROOT = Path(sklinfluence.__file__).parent

# Bottom up: a room imports rooms of lower floors only, and none of its own floor.
FLOORS = (
    {
        "_blocks",
        "_in_memory",
        "_messages",
        "_raw_change",
        "_scheduling",
        "_spreadsheet",
        "_top_n",
        "_typing",
        "_warn",
        "_whole_fit",
    },
    {"_sklearn_compat", "_source"},
    {"_distributed", "_parts", "_progress"},
    {"_estimators"},
    {"curvature"},
    {"_nets"},
    {"_valuer"},
    {"base", "datasets"},
    {"heads"},
    {"_removal", "metrics"},
    {"gradient", "retraining", "neighbors", "trees"},
    {"deep"},
    {"model_selection", "filtering"},
    {"inspection"},
    {"_command"},
    {"__main__"},
    {"__init__"},
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# These load torch and skorch; everything else may reach them only by name, when the
# first net is met.
NETS = {"_nets", "deep", "heads._skorch"}
HEAVY = (
    "torch",
    "skorch",
    "matplotlib",
    "pandas",
    "skrub",
    "dask",
    "distributed",
    "zarr",
    "jinja2",
    "PIL",
)


def modules():
    """(dotted name below the package, path) of every module."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        yield ".".join(parts), path


MODULES = dict(modules())


def room_of(module):
    return module.partition(".")[0]


def imports(path):
    """(module below the package, names) of all imports of the package in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "sklinfluence":
                    yield alias.name.partition(".")[2], []
        elif isinstance(node, ast.ImportFrom):
            package, _, module = (node.module or "").partition(".")
            if package == "sklinfluence":
                yield module, [alias.name for alias in node.names]


def imported_modules(path):
    """The modules that an import runs: the one named, or those it takes by name."""
    for module, names in imports(path):
        inner = [f"{module}.{name}".lstrip(".") for name in names]
        inner = [name for name in inner if name in MODULES]
        yield from inner or [module]


def test_every_room_has_its_floor():
    assert {room_of(module) for module in MODULES} <= set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_the_floors(module):
    room = room_of(module)
    for other in {room_of(name) for name in imported_modules(MODULES[module])}:
        if other != room:
            assert FLOOR[other] < FLOOR[room], f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_other_rooms_are_entered_by_their_door(module):
    for name in imported_modules(MODULES[module]):
        if room_of(name) != room_of(module):
            assert "." not in name, (
                f"{module} imports {name}: let {room_of(name)}/__init__.py hand it out"
            )


def inner_rooms():
    """Folders within a room whose door hands out names; others are mere folders."""
    for name, path in MODULES.items():
        if "." in name and path.name == "__init__.py" and any(imports(path)):
            yield name


@pytest.mark.parametrize("inner", inner_rooms())
def test_inner_rooms_are_entered_by_their_door(inner):
    for module, path in MODULES.items():
        if not f"{module}.".startswith(f"{inner}."):
            for name in imported_modules(path):
                assert not name.startswith(f"{inner}."), f"{module} imports {name}"


def test_no_circles():
    graph = {
        module: {
            name
            for name in imported_modules(path)
            # A folder's door runs its rooms: rooms ask one another, never their door.
            if name != room_of(module)
        }
        for module, path in MODULES.items()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_only_nets_import_torch(module):
    if module == "heads._skorch" or room_of(module) in NETS:
        pytest.skip("a room of nets")
    packages = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").partition(".")[0])
    assert not packages & {"torch", "skorch"}


def test_import_loads_nothing_heavy():
    code = (
        "import sys; import sklearn.pipeline, sklearn.frozen; before = set(sys.modules)"
        "; import sklinfluence; print(*set(sys.modules) - before)"
    )
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert not {name.partition(".")[0] for name in loaded.split()} & set(HEAVY)
