"""Every public number has an oracle, and the page for contributors says which."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("skorch")


@pytest.fixture(scope="module")
def oracles():
    path = Path(__file__).with_name("oracles.py")
    spec = importlib.util.spec_from_file_location("oracles", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_number_has_an_oracle(oracles):
    assert oracles.missing() == []


def test_the_table_for_contributors_is_up_to_date(oracles):
    text = oracles.TABLE.read_text(encoding="utf-8")
    assert oracles.with_table(text) == text, "run python tests/oracles.py"


def test_a_number_without_an_oracle_is_named(oracles, monkeypatch):
    """The next attribute, method, function or test that is missed."""
    kept = [o for o in oracles.ORACLES if o.numbers != "certify" and o.owners != "lds"]
    monkeypatch.setattr(oracles, "ORACLES", kept)
    told = oracles.missing()
    assert [line.partition(" ")[0] for line in told] == [
        "InfluenceRanker.certify",
        "lds",
    ]
    wrong = oracles.Oracle("InfluenceRanker", "leave", "none", "test_base.py::test_no")
    monkeypatch.setattr(oracles, "ORACLES", [*oracles.ORACLES, wrong])
    told = " ".join(oracles.missing())
    assert (
        "InfluenceRanker.leave is in tests/oracles.py and is no public number" in told
    )
    assert "tests/test_base.py::test_no does not exist" in told


def test_numbers_are_found_where_classes_keep_them(oracles):
    """Documented attributes, properties, methods; parameters of a display."""
    found = oracles.public_numbers()
    for number in [
        ("InfluenceRanker", "stationarity_gap_"),
        ("InfluenceRanker", "loo_error_bound_"),
        ("InfluenceRanker", "damping_path"),
        ("MislabelFilter", "report"),
        ("Arnoldi", "solve"),
        ("DetectionCurveDisplay", "roc_auc"),
        ("diagnostics", ""),
    ]:
        assert number in found
    assert not {name for _, name in found} & {"fit", "estimator_", "classes_", "plot"}
