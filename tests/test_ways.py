"""Two people's ways from the README to a result, by documented public names alone.

Whether what they call is documented is tested too: every name that these ways take from
the package is in doc/api.rst.
"""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import scale

from sklinfluence import FilteredClassifier, InfluenceRanker, MislabelFilter
from sklinfluence.datasets import apply_review, flip_labels
from sklinfluence.inspection import LabelReport, diagnostics, select_diverse

API = Path(__file__).resolve().parents[1] / "doc" / "api.rst"


def test_all_names_are_documented():
    if not API.exists():
        pytest.skip("no documentation beside these tests")
    listed = set(re.findall(r"^   \w+\.(\w+)$", API.read_text("utf-8"), re.MULTILINE))
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    taken = [
        (node.module, name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklinfluence")
        for name in node.names
    ]
    assert len(taken) > 5
    assert not [name for _, name in taken if name not in listed]
    assert not [module for module, _ in taken if "._" in module]


# --- a data scientist: a table of customers, some of whose labels are wrong -----------


@pytest.fixture(scope="module")
def customers():
    """A frame with numbers, categories, holes and row names; labels, given and true.

    Columns of chance alone are among them, as in every table.
    """
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("skrub")
    rng = np.random.default_rng(0)
    leaves = rng.random(400) < 0.4
    frame = pandas.DataFrame(
        {
            "plan": np.where(
                rng.random(400) < 0.8, np.where(leaves, "basic", "family"), "plus"
            ),
            "calls": rng.poisson(np.where(leaves, 7, 2)),
            "months": rng.gamma(np.where(leaves, 2, 6), 10).round(),
            "income": rng.lognormal(10.5, 0.5, 400).round(),
            "city": rng.choice(["Bath", "Lima", "Oslo"], 400),
        },
        index=[f"customer {at}" for at in range(400)],
    ).astype({"plan": "category"})
    frame.loc[frame.index[::17], "months"] = np.nan
    true = np.where(leaves, "left", "stayed")
    given, is_wrong = flip_labels(true, 0.15, random_state=0)
    return frame, given, true, is_wrong


def test_a_data_scientist_gets_clean_labels_and_a_model(customers, tmp_path):
    pytest.importorskip("jinja2")
    frame, given, true, is_wrong = customers
    # Which labels are wrong? One call, no model of one's own. A warning says which
    # class loses more rows than the other.
    with pytest.warns(UserWarning, match="class left loses"):
        suspects = MislabelFilter(random_state=0).fit(frame, given)
    report = suspects.report()
    assert report.index[0] in frame.index and len(report) == 400
    flagged = ~suspects.get_support()
    # A seventh of all rows is wrong; most of the flagged ones are.
    assert is_wrong[flagged].mean() > 0.7 and flagged[is_wrong].mean() > 0.7
    assert str(suspects.summary()).startswith("MislabelFilter: 400 rows")

    # A page for the people who know the customers.
    page = LabelReport.from_filter(suspects, frame, given, hide=["city"])
    written = page.write_html(tmp_path / "report.html")
    text = Path(written).read_text("utf-8")
    assert "months" in text and "Lima" not in text

    # They say of each suspect what is true, in the file that the page exports.
    rows = np.flatnonzero(flagged)
    lines = [
        f"{row},{given[row]},"
        + (f"wrong,{true[row]}" if given[row] != true[row] else "right,")
        for row in rows
    ]
    review = tmp_path / "review.csv"
    review.write_text("row,given_label,verdict,new_label\n" + "\n".join(lines) + "\n")
    mended, keep = apply_review(review, given)
    assert keep.all()
    assert np.mean(mended != true) < 0.4 * np.mean(given != true)


@pytest.mark.filterwarnings("ignore:The flags are uneven:UserWarning")
def test_a_data_scientist_filters_inside_cross_validation(customers):
    frame, given, true, _ = customers
    boosting = HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    )
    columns = frame.drop(columns="city")
    filtered = FilteredClassifier(boosting, filter=MislabelFilter(random_state=0))
    # The filter sees training folds alone; both are judged by what is true.
    held_out = [np.arange(fold, 400, 3) for fold in range(3)]
    scores = {"plain": [], "filtered": []}
    for rows in held_out:
        kept = np.setdiff1d(np.arange(400), rows)
        for name, model in (("plain", boosting), ("filtered", filtered)):
            model = clone(model).fit(columns.iloc[kept], given[kept])
            scores[name].append(model.score(columns.iloc[rows], true[rows]))
    # Over seeds the gain is .04 to .07.
    assert np.mean(scores["filtered"]) > np.mean(scores["plain"]) + 0.02
    # In scikit-learn's own tools it is an estimator like any other.
    noisy = cross_val_score(filtered, columns, given, cv=3)
    assert noisy.shape == (3,) and np.all(noisy > 0.5)
    search = GridSearchCV(
        make_pipeline("passthrough", filtered),
        {"filteredclassifier__estimator__max_iter": [10, 30]},
        cv=2,
    ).fit(columns, given)
    assert search.predict(columns).shape == (400,)


# --- a statistician: a regression, its diagnostics, and what hangs on which rows ------


def test_a_statistician_checks_a_linear_regression():
    api = pytest.importorskip("statsmodels.api")
    pytest.importorskip("pandas")
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    theirs = api.OLS(y, api.add_constant(X)).fit().get_influence()
    ranker = InfluenceRanker(LinearRegression(), method="newton").fit(X, y)
    ours = diagnostics(ranker)
    assert list(ours.index) == list(X.index)
    # Least squares is exact here and there: what is left is rounding.
    close = {"rtol": 1e-7, "atol": 1e-9}
    assert_allclose(ours["leverage"], theirs.hat_matrix_diag, **close)
    assert_allclose(ours["cooks_distance"], theirs.cooks_distance[0], **close)
    names = [f"dfbetas_{column}" for column in X.columns]
    their_columns = theirs.dfbetas[:, 1:]
    assert_allclose(ours[names], their_columns, rtol=1e-6, atol=1e-8)
    # The row that counts most: what it does to coefficients, and to whom.
    row = int(ours["cooks_distance"].argmax())
    change = ranker.parameter_influence(row)[0, :-1]
    refit = LinearRegression().fit(X.drop(index=row), y.drop(index=row))
    assert_allclose(ranker.estimator_.coef_ - change, refit.coef_, rtol=1e-6, atol=1e-6)
    influence = ranker.influence(X[:5], y[:5])
    losses = [0.5 * (m.predict(X[:5]) - y[:5]) ** 2 for m in (refit, ranker)]
    assert_allclose(influence[:, row], losses[0] - losses[1], rtol=1e-6, atol=1e-6)
    # Five rows to look at, and not five alike.
    assert len(set(select_diverse(ranker, 5, kind="facility_location"))) == 5


def test_a_statistician_checks_a_logit_and_what_it_hangs_on():
    api = pytest.importorskip("statsmodels.api")
    pytest.importorskip("pandas")
    X, y = load_breast_cancer(return_X_y=True)
    X, y = scale(X[:300, :5]), y[:300]
    theirs = api.Logit(y, api.add_constant(X)).fit(disp=0, tol=1e-12).get_influence()
    ranker = InfluenceRanker(LogisticRegression(C=np.inf), method="newton")
    ours = diagnostics(ranker.fit(X, y))
    # Two optimisers, each stopped by its own rule.
    close = {"rtol": 1e-4, "atol": 1e-6}
    assert_allclose(ours["leverage"], theirs.hat_matrix_diag, **close)
    assert_allclose(ours["cooks_distance"], theirs.cooks_distance[0], **close)
    # Both approximate a refit by one Newton step; the other has not left yet there.
    names = [name for name in ours if name.startswith("dfbetas_")]
    rank = np.argsort(np.abs(ours[names[0]].to_numpy()))[-3:]
    their_rank = np.argsort(np.abs(theirs.dfbetas[:, 1]))[-10:]
    assert set(rank) <= set(their_rank)
    # Which few rows hold up an unsure prediction? Without them it turns.
    unsure = int(np.argsort(np.abs(ranker.decision_function(X)))[1])
    penalised = InfluenceRanker(LogisticRegression(), method="newton").fit(X, y)
    (rows,) = penalised.most_damaging(X[unsure : unsure + 1])
    before = penalised.predict(X[unsure : unsure + 1])
    kept = np.setdiff1d(np.arange(300), rows)
    without = LogisticRegression(tol=1e-8).fit(X[kept], y[kept])
    assert without.predict(X[unsure : unsure + 1]) != before
    assert len(rows) < 30
