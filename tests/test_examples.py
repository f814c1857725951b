"""The gallery's scripts run, and those that repeat a paper still show what they say.

Scripts that repeat an experiment run here with smaller constants. `make test-slow` runs
every script as it stands, and `make docs` draws it.
"""

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
if not EXAMPLES.exists():
    pytest.skip("no examples beside these tests", allow_module_level=True)
SCRIPTS = sorted(file.name for file in EXAMPLES.glob("*.py"))


def smaller(source, constants):
    """The source, its constants at top level set to others."""
    tree, left = ast.parse(source), dict(constants)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in left:
                node.value = ast.parse(left.pop(name), mode="eval").body
    assert not left, f"the script has no {', '.join(left)}"
    return ast.fix_missing_locations(tree)


def run(script, pyplot, monkeypatch, **constants):
    """The names that a script leaves, run beside its files as the gallery does."""
    monkeypatch.chdir(EXAMPLES)
    source = (EXAMPLES / script).read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(smaller(source, constants), script, "exec"), names)
    assert pyplot.get_fignums(), "no figure was drawn"
    return names


@pytest.fixture
def quick(pyplot, monkeypatch, capsys):
    """Run a script with smaller constants; no figure that it prints may be missing."""

    def run_quick(script, **constants):
        names = run(script, pyplot, monkeypatch, **constants)
        assert not re.search(r"\b(nan|inf)\b", capsys.readouterr().out)
        return names

    return run_quick


def test_constants_that_a_script_lacks_are_named():
    assert ast.unparse(smaller("N = 5\nM = N", {"N": "1"})) == "N = 1\nM = N"
    with pytest.raises(AssertionError, match="has no SEEDS"):
        smaller("N = 5", {"SEEDS": "1"})


def test_influence_is_near_the_boundary_and_where_labels_are_noisy(quick):
    table = quick("plot_toy_boundaries.py", N_ROWS="150", SEEDS="range(1)")["table"]
    for name in ("line", "line to sine", "under-sampled"):
        everywhere, among_top, _ = table[name]
        assert among_top > 2 * everywhere
    assert table["noisy band"][2] > 2


def test_a_flipped_row_takes_over(quick):
    found = quick(
        "plot_influence_over_training.py",
        N_ROWS="100",
        SEEDS="range(2)",
        EPOCHS="[1, 5, 20, 40, 60, 100]",
    )
    assert np.all(found["places"][:, 0] > 5)
    assert np.all(found["places"][:, -1] == 1)
    assert np.all(found["shares"][:, -1, 0] > 0.5)


def test_influential_regions_are_where_decisions_meet(quick):
    measured = quick("plot_acasxu_regions.py", SEEDS="range(1)")["measured"]
    for name in ("other labels nearby", "the decision changes nearby"):
        ((everywhere, top),) = measured[name]
        assert top > 2 * everywhere


def test_training_makes_the_search_for_wrong_labels_possible(quick):
    pytest.importorskip("torch")
    curves = quick(
        "plot_mislabels_by_training.py",
        N_ROWS="200",
        SEEDS="range(1)",
        EPOCHS="[1, 4, 12]",
    )["curves"]
    assert len(curves) == 21
    auc = {key: roc_auc_score(*found) for key, (found,) in curves.items()}
    for body in ("linear", "MLP", "CNN"):
        assert auc[body, "none", 12] > 0.9
    assert auc["CNN", "none", 12] > auc["CNN", "none", 1]


def test_proponents_share_the_label_and_methods_differ(quick):
    pytest.importorskip("skorch")
    found = quick("plot_methods_side_by_side.py", N_TRAIN="200")
    labels, y_train = found["labels"], found["y_train"]
    assert len(found["influence"]) == 11
    for values in found["influence"].values():
        named = found["strongest"](values, 3)
        # A class has a tenth of the rows.
        assert np.mean(y_train[named] == labels[:, None]) > 0.4
    agreement = found["agreement"]
    np.testing.assert_array_equal(agreement, agreement.T)
    assert agreement[0, 2] > 0.9 > agreement[0, 5]


def test_a_row_of_plain_influence_is_the_dearer_for_its_query(quick):
    table = quick(
        "plot_relatif_retrained.py", N_TRAIN="150", N_TEST="40", SEEDS="range(1)"
    )["table"]
    own = {name: rows[0, 1] for name, rows in table.items()}
    assert own["IF"] > own["theta-RelatIF"] > own["random"]


def test_single_networks_disagree_most_on_influence_functions(quick):
    pytest.importorskip("skorch")
    table = quick(
        "plot_sensitivity.py",
        N_TRAIN="60",
        N_TEST="20",
        N_EPOCHS="12",
        STATES="{'initial state': [{}, {'seed': 1}]}",
    )["table"]
    here = {name: value for (_, name), (value, _) in table.items()}
    assert len(here) == 6
    least = sorted(here, key=here.get)[:2]
    assert set(least) == {"left out, unrolled", "influence function"}


def test_one_newton_step_is_nearest_to_leaving_out(quick):
    pytest.importorskip("skorch")
    found = quick("plot_survey_measured.py", N_FITS="20", N_EPOCHS="4")
    together = {name: both for name, (_, both) in found["fidelity"].items()}
    assert together.pop("leave-one-out") == pytest.approx(1.0)
    assert max(together, key=together.get) == "influence, Newton"
    assert together["influence, Newton"] > 0.95


def test_displays_show_what_their_script_says(quick):
    found = quick("plot_displays.py")
    assert found["found"].transition[3, 8] > 0.25
    lowest, highest = found["lowest"], found["highest"]
    assert lowest.scores[3] > lowest.scores[0] > highest.scores[3]


def test_influence_on_metrics_is_what_fits_without_the_row_lose(quick):
    found = quick("plot_metric_influence.py", N_TRAIN="60")
    for name in ("worst_group", "neg_group_gap", "roc_auc"):
        influence, lost = found["found"][name], found["truth"][name]
        assert spearmanr(influence, lost).statistic > 0.98
    # Of the least ten of sixty rows, of which six are flipped.
    assert found["after"] > found["before"] and np.mean(found["n_flipped"]) > 3


def test_rows_on_a_cluster_are_judged_where_they_lie(quick):
    pytest.importorskip("distributed")
    pytest.importorskip("zarr")
    found = quick("plot_dask_cluster.py", N_ROWS="1200", CHUNK="400")
    is_wrong, flagged = found["is_wrong"], found["flagged"]
    assert is_wrong[flagged].mean() > 5 * is_wrong.mean()
    assert is_wrong[flagged].sum() > 0.7 * is_wrong.sum()


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_runs_as_it_stands(script, tmp_path):
    pytest.importorskip("skorch")
    options = ["--output", str(tmp_path / "demo.png")] if script == "demo.py" else []
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
