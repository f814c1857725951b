"""Labels, texts and names that would run: nothing runs, nothing is fetched."""

import http.server
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import LabelReport
from sklinfluence.inspection._report import _page

ATTACKS = [
    "<script>window.PWNED=1</script>",
    "<img src=URL/img onerror=window.PWNED=1>",
    '"><svg onload=window.PWNED=1>',
    "'><iframe src=URL/frame></iframe>",
    "</style><link rel=stylesheet href=URL/css>",
    "</script><script src=URL/script></script>",
    "<!--<script>",
    "]]><script>window.PWNED=1</script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.PWNED=1",
    '<a href="javascript:window.PWNED=1" autofocus onfocus=window.PWNED=1>x</a>',
    "</textarea></option></select><video src=URL/video>",
    "url(URL/css-url)",
    "\u202etxt.exe",
    "\x00nul",
    "__proto__",
]


@pytest.fixture(scope="module")
def server():
    """A server that takes note of what is asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def hostile(kind, url, with_comment=True):
    attacks = [a for a in ATTACKS if with_comment or not a.startswith("<!--")]
    attacks = np.array([a.replace("URL", url) for a in attacks], dtype=object)
    rng = np.random.default_rng(0)
    n = len(attacks)
    codes = rng.integers(n, size=8 * n)
    X = np.eye(n)[codes] + 0.1 * rng.normal(size=(8 * n, n))
    y = attacks[codes]
    y[:n] = attacks[(codes[:n] + 1) % n]
    ranker = InfluenceRanker(LogisticRegression())
    found = MislabelFilter(ranker, contamination=1 / 8).fit(X, y)
    texts = attacks[rng.integers(n, size=8 * n)]
    if kind == "texts":
        return LabelReport.from_filter(found, X, y, texts=texts.tolist())
    if kind == "images":
        images = rng.integers(0, 256, size=(8 * n, 8, 8), dtype=np.uint8)
        return LabelReport.from_filter(found, X, y, images=images)
    frame = pd.DataFrame({name: X[:, i] for i, name in enumerate(attacks)})
    frame["<i>text</i>"] = [f"{text}" for text in texts]
    return LabelReport.from_filter(found, X, y, columns=frame)


def looked_at(browser, report, path):
    """Whether anything ran, after all that a person may do."""
    page = browser.open(report.write_html(path).as_uri())
    page.run("localStorage.clear()")
    page.run(
        "document.querySelectorAll('.marks [value=wrong]').forEach(b => b.click())"
    )
    page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.run("document.querySelectorAll('thead button').forEach(b => b.click())")
    page.run("document.querySelector('#export')?.click()")
    page.run("new Promise(r => setTimeout(r, 300))")
    return page


@pytest.mark.parametrize("kind", ["table", "texts", "images"])
def test_nothing_runs_and_nothing_is_fetched(browser, server, tmp_path, kind):
    url, asked = server
    asked.clear()
    report = hostile(kind, url)
    with looked_at(browser, report, tmp_path / "hostile.html") as page:
        assert page.run("window.PWNED") is None
        n_lines = page.run("document.querySelectorAll('#list tbody tr').length")
        assert n_lines == len(report.page.findings.suspects)
        assert (
            page.run("document.querySelectorAll('iframe, video, link, svg').length")
            == 0
        )
        assert page.run("document.scripts.length") == 2
        assert asked == []
        assert page.errors() == []
        for width in (400, 760, 1600):
            page.resize(width)
            assert page.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", ["table", "texts"])
@pytest.mark.parametrize("part", ["pieces", "plain"])
def test_nothing_runs_with_an_escape_taken_out(
    browser, server, tmp_path, monkeypatch, kind, part
):
    """The policy is the second wall: what is markup by mistake is inert."""
    from markupsafe import Markup

    url, asked = server
    asked.clear()
    # As markup, an open comment would swallow what is to be seen inert.
    report = hostile(kind, url, with_comment=False)
    environment = _page._environment()
    if part == "pieces":
        raw = "".join
        monkeypatch.setitem(
            environment.globals, "pieces", lambda ps: Markup(raw(t for t, _ in ps))
        )
    else:
        source = _page._resource
        monkeypatch.setattr(
            environment.loader,
            "load_func",
            lambda name: source(name).replace("{{ it.plain }}", "{{ it.plain|safe }}"),
        )
    environment.cache.clear()
    _page._template.cache_clear()
    text = report.page.html()
    assert "<img src=http" in text
    with looked_at(browser, report, tmp_path / "hostile.html") as page:
        assert page.run("window.PWNED") is None
        assert page.run("document.querySelectorAll('img, svg').length") > 0
        assert asked == []
    environment.cache.clear()
    _page._template.cache_clear()


def test_hidden_columns_are_not_stored(browser, tmp_path):
    secret = "SENTINEL"
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    frame = pd.DataFrame({"x": X[:, 0], secret: [f"{secret}{i}" for i in range(60)]})
    found = MislabelFilter(InfluenceRanker(LogisticRegression()), contamination=0.2)
    report = LabelReport.from_filter(
        found.fit(X, y), X, y, columns=frame, hide=[secret]
    )
    with looked_at(browser, report, tmp_path / "hidden.html") as page:
        assert page.run("localStorage.length") > 0
        assert secret not in page.run("JSON.stringify(localStorage)")
        assert secret not in page.run("document.querySelector('#csv textarea').value")
        assert secret not in page.run("document.documentElement.outerHTML")
        page.run("localStorage.clear()")
