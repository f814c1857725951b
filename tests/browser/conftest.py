"""One browser for all tests of what a person sees, and the pages that it is shown."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import LabelReport
from tests.browser.chromium import NAMES, Browser, executable

HERE = Path(__file__).parent
KINDS = ("digits", "texts", "table", "regression")


def pytest_collection_modifyitems(items):
    """All that lies here needs a browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; a test that asks for it is skipped where there is none."""
    if executable() is None:
        pytest.skip(f"no browser is here: none of {', '.join(NAMES)} is installed")
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Reports by kind: digits, texts, a table of mixed columns, real targets."""
    pytest.importorskip("jinja2")
    return {kind: MAKERS[kind]() for kind in KINDS}


@pytest.fixture(scope="session")
def pages(reports, tmp_path_factory):
    """Addresses of their pages."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        kind: report.write_html(folder / f"{kind}.html").as_uri()
        for kind, report in reports.items()
    }


@pytest.fixture(scope="session")
def axe():
    """axe-core's source, where ``AXE`` says that it is, or it is at hand."""
    places = [os.environ.get("AXE", ""), "node_modules/axe-core/axe.min.js"]
    for place in filter(None, places):
        if Path(place).is_file():
            return Path(place).read_text(encoding="utf-8")
    pytest.skip(
        "axe-core is not at hand: npm install axe-core, or AXE=path/to/axe.min.js"
    )


def linear(C=1.0):
    return InfluenceRanker(make_pipeline(StandardScaler(), LogisticRegression(C=C)))


def digits():
    data = load_digits()
    X, y = data.data[:500], data.target[:500]
    y, _ = flip_labels(y, 0.1, random_state=0)
    found = MislabelFilter(linear(0.01), random_state=0).fit(X, y)
    return LabelReport.from_filter(found, X, y, images=data.images[:500])


def texts():
    rng = np.random.default_rng(0)
    words = {
        "spam": "free winner money prize call now urgent claim cash offer".split(),
        "ham": "see you later home dinner soon love thanks meeting tomorrow".split(),
    }
    y = rng.choice(["ham", "spam"], 400)
    X = [" ".join(rng.choice(words[label], rng.integers(5, 120))) for label in y]
    y, _ = flip_labels(y, 0.08, random_state=0)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    found = MislabelFilter(InfluenceRanker(model), random_state=0).fit(X, y)
    return LabelReport.from_filter(found, X, y)


def mixed_columns(n, rng):
    """Customers who stayed or left, and the columns of numbers among theirs."""
    y = rng.choice(["stayed", "churned"], n, p=[0.6, 0.4])
    has_left = y == "churned"
    frame = pd.DataFrame(
        {
            "calls": rng.poisson(1 + 3 * has_left),
            "late_payments": rng.poisson(0.4 + 1.8 * has_left),
            "tenure_months": rng.gamma(np.where(has_left, 2, 6), 11).round(),
            "income": rng.lognormal(10.6, 0.4, n).round(1),
            "plan": rng.choice(["basic", "plus", "family"], n),
            "city": rng.choice(["Oslo", "Rome", "Bath", "Lima"], n),
            "since": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 1500, n), "D"),
        }
    )
    frame.loc[rng.choice(n, n // 20), "income"] = np.nan
    return frame, frame[["calls", "late_payments", "tenure_months"]], y


def table():
    columns, X, y = mixed_columns(800, np.random.default_rng(0))
    y, _ = flip_labels(y, 0.1, random_state=0)
    found = MislabelFilter(linear(), random_state=0).fit(X, y)
    return LabelReport.from_filter(found, X, y, columns=columns)


def regression():
    data = load_diabetes(as_frame=True)
    rng = np.random.default_rng(0)
    y = data.target.to_numpy().copy()
    y[rng.choice(len(y), 20, replace=False)] += 400 * rng.choice([-1, 1], 20)
    found = MislabelFilter(InfluenceRanker(Ridge()), random_state=0).fit(data.data, y)
    return LabelReport.from_filter(found, data.data, y)


MAKERS = {"digits": digits, "texts": texts, "table": table, "regression": regression}


def quoted(value):
    """A value as JavaScript writes it."""
    return json.dumps(value)


def choose(page, selector, index):
    """Choose an option of a select, as a person does."""
    page.run(
        "(select => {"
        f" select.selectedIndex = {index};"
        " for (const kind of ['input', 'change'])"
        " select.dispatchEvent(new Event(kind, { bubbles: true }));"
        f"}})(document.querySelector({quoted(selector)}))"
    )
