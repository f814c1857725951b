"""The report's page: what it says is what was found, and nothing of it is markup."""

import base64
import hashlib
import html
import io
import re
import sys

import numpy as np
import pandas as pd
import polars
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import LabelReport
from tests.inspection.report_page import data, parse, suspects, thumbnails

Image = pytest.importorskip("PIL.Image")


def linear(**keywords):
    ranker = InfluenceRanker(LogisticRegression())
    return MislabelFilter(ranker, random_state=0, **keywords)


@pytest.fixture(scope="module")
def table():
    """Iris as a frame whose index is no position, labels flipped, and its filter."""
    iris = load_iris(as_frame=True)
    names = iris.target_names[iris.target]
    y, _ = flip_labels(names, 0.1, random_state=0)
    X = iris.data.set_axis(np.arange(150)[::-1] + 1000)
    return X, y, linear().fit(X, y)


@pytest.fixture(scope="module")
def page(table):
    X, y, found = table
    return parse(LabelReport.from_filter(found, X, y).page.html())


def make(found, X, y, **keywords):
    return parse(LabelReport.from_filter(found, X, y, **keywords).page.html())


def test_every_suspect_is_a_line_by_its_position_worst_first(table, page):
    _, y, found = table
    flagged = np.flatnonzero(~found.get_support())
    expected = sorted(flagged.tolist(), key=lambda row: -found.scores_[row])
    lines = suspects(page)
    assert [int(tr["data-row"]) for tr in lines] == expected
    for tr, row in zip(lines, expected, strict=True):
        assert tr["id"] == f"r{row}"
        labels = [e.text for e in tr.one("td", class_="labels").all(class_="label")]
        assert labels == [y[row], found.suggested_labels_[row]]
        score = tr.one("td", class_="score")
        assert float(score["data-v"]) == found.label_quality_[row]
        assert f"score {found.scores_[row]:.2f}" in score.text


def test_the_figures_are_those_of_the_summary(table, page):
    _, _, found = table
    listed = page.one("dl", class_="facts")
    facts = [
        (dt.text, dd.text)
        for dt, dd in zip(listed.all("dt"), listed.all("dd"), strict=True)
    ]
    head = found.summary().splitlines()[0]
    n_rows, n_flagged = re.search(r"(\d+) rows, (\d+) flagged", head).groups()
    wrong = re.search(r"of which (\d+%)", head)[1]
    share = re.search(r"\((.*?)\)", head)[1]
    assert [value for _, value in facts] == [n_rows, n_flagged, share, wrong, n_flagged]


def test_flagged_by_class_and_given_against_suggested_are_counts(table, page):
    _, y, found = table
    flags, suggested = ~found.get_support(), found.suggested_labels_
    by_class, pairs = [card.one("table") for card in page.all(class_="card")]
    lines = by_class.one("tbody").all("tr")
    for tr in lines:
        name = tr.one("th").one(class_="label").text
        counts = [td.text for td in tr.all("td")][:2]
        assert counts == [str((y == name).sum()), str((flags & (y == name)).sum())]
    shares = [float(tr.all("td")[2].text.rstrip("%")) for tr in lines]
    assert shares == sorted(shares, reverse=True)
    columns = [e.text for e in pairs.one("thead").all(class_="label")]
    for tr in pairs.one("tbody").all("tr"):
        given = tr.one(class_="label").text
        for name, td in zip(columns, tr.all("td"), strict=True):
            count = (flags & (y == given) & (suggested == name)).sum()
            assert td.text == (str(count) if count else "·")


def test_many_classes_are_told_by_their_commonest_confusions():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(25), 8)
    X = 3.0 * np.eye(25)[y] + 0.3 * rng.normal(size=(200, 25))
    y_noisy, _ = flip_labels(y, 0.3, random_state=0)
    found = linear(contamination=0.3).fit(X, y_noisy)
    page = make(found, X, y_noisy)
    assert not page.all("table", class_="matrix")
    card = page.all(class_="card")[1]
    first = card.one("tbody").all("tr")[0]
    given, suggested = (int(e.text) for e in first.all(class_="label"))
    flags = ~found.get_support()
    pairs = (y_noisy == given) & (found.suggested_labels_ == suggested) & flags
    assert first.all("td")[1].text == str(pairs.sum())
    groups = page.all(class_="card")[0]
    assert len(groups.one("tbody").all("tr")) == 20
    assert "and 5 classes" in groups.text


def test_rows_for_and_against_are_those_of_most_influence(table, page):
    """Never the suspect, kept rows first; by the whole matrix, sorted."""
    X, y, found = table
    flags = ~found.get_support()
    for tr in suspects(page):
        row = int(tr["data-row"])
        influence = found.ranker_.influence(X.iloc[[row]], y[[row]])[0]
        influence[row] = 0
        sides = zip((1, -1), tr.all("td", class_="speak"), strict=True)
        for sign, td in sides:
            values = sign * influence
            least = 0.01 * values.max()
            speak = [
                i for i in np.argsort(-values, kind="stable") if values[i] >= least
            ]
            expected = sorted(speak, key=lambda i: bool(flags[i]))[:3]
            shown = [
                int(re.findall(r"\d+", li.all("span")[0].text)[-1])
                for li in td.all("li")
            ]
            assert shown == expected
            labels = [li.all(class_="label")[0].text for li in td.all("li")]
            assert labels == y[expected].tolist()


def test_suspects_that_speak_are_marked_and_linked_where_they_are_listed():
    """All rows but one are flagged: only suspects speak, and never for themselves."""

    class Suspicious(MislabelFilter):
        def get_support(self, indices=False):
            return np.arange(len(self.scores_)) == 0

    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(40, 2)), np.arange(40) % 2
    found = Suspicious(InfluenceRanker(LogisticRegression())).fit(X, y)
    report = LabelReport.from_filter(found, X, y)
    whole = report.page.html()
    for text in (whole, report.page.html(max_bytes=len(whole.encode()) * 4 // 5)):
        page = parse(text)
        listed = {tr["id"] for tr in suspects(page)}
        marks = page.all(class_="flagged")
        links = [mark for mark in marks if mark.tag == "a"]
        assert links and {link["href"].lstrip("#") for link in links} <= listed
        assert (len(marks) > len(links)) == (len(listed) < 39)
        assert all("⚑" in mark.text for mark in marks)
        for tr in suspects(page):
            assert f"#{tr['id']}" not in {a["href"] for a in tr.all("a")}
            assert any(td.all("li") for td in tr.all("td", class_="speak"))


def test_a_ranker_without_influence_has_no_columns_for_it(table):
    X, y, _ = table
    found = MislabelFilter(KNeighborsClassifier()).fit(X, y)
    page = make(found, X, y)
    assert suspects(page)
    assert not page.all("td", class_="speak")
    assert "Evidence: leave-one-out" in page.one("main").text


def test_what_is_unusual_is_rare_among_kept_rows_of_the_given_label():
    rng = np.random.default_rng(0)
    n = 400
    y = np.array(["a", "b"])[np.arange(n) % 2]
    frame = pd.DataFrame(
        {
            "height": np.where(y == "a", 0.0, 10.0) + rng.normal(size=n),
            "colour": np.where(y == "a", "red", "blue"),
            "noise": rng.normal(size=n),
            "name": [f"n{i}" for i in range(n)],
            "day": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(
                np.where(y == "a", 0, 300) + rng.integers(9, size=n), "D"
            ),
            "is_big": y == "b",
        }
    )
    y_noisy = y.copy()
    y_noisy[:4] = ["b", "a", "b", "a"]
    frame.loc[5, "height"] = np.nan
    found = linear(contamination=4 / n).fit(frame[["height"]].fillna(5), y_noisy)
    assert (~found.get_support()).nonzero()[0].tolist() == [0, 1, 2, 3]
    page = make(found, frame[["height"]].fillna(5), y_noisy, columns=frame)
    tr = page.one("tr", id="r0")
    odd = {
        li.one("b").parent.all("bdi")[0].text: li.text
        for li in tr.one(class_="odd").all("li")
    }
    assert {"height", "colour", "day", "is_big"} == set(odd)
    assert "▼ typical 8" in odd["height"]
    # Of 200 kept rows of the label "b" none is red: (0 + 1) / (200 + 1).
    assert "red in 0.5% of such rows" in odd["colour"]
    assert "2020-01-0" in odd["day"] and "typical 2020-10-2" in odd["day"]
    cells = {d.one("dt").text: d.one("dd").text for d in tr.one("dl").all("div")}
    assert set(cells) == set(frame.columns)
    assert cells["name"] == "n0"
    assert cells["height"] == f"{frame['height'][0]:.5g}"


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        sparse.csr_matrix,
        pd.DataFrame,
        lambda X: polars.DataFrame(np.asarray(X)),
    ],
)
def test_any_table_is_shown(table, container):
    X, y, _ = table
    X = container(X.to_numpy())
    found = linear().fit(X, y)
    page = make(found, X, y, feature_names=["one", "two", "three", "four"])
    names = {dt.text for dt in page.all("dt")}
    assert {"one", "two", "three", "four"} <= names


def test_images_are_thumbnails_stored_once():
    digits = load_digits()
    X, y = digits.data[:120] / 16, digits.target[:120]
    y, _ = flip_labels(y, 0.1, random_state=0)
    found = linear(contamination=0.1).fit(X, y)
    images = digits.images[:120]
    text = LabelReport.from_filter(found, X, y, images=images).page.html()
    page = parse(text)
    stored = thumbnails(text)
    for one_channel in (images[:, None], images[..., None]):
        alike = LabelReport.from_filter(found, X, y, images=one_channel).page.html()
        assert thumbnails(alike) == stored
    shown = [
        int(re.search(r"t(\d+)", e["class"])[1]) for e in page.all("span", class_="t")
    ]
    assert len(shown) > len(set(shown)) == len(stored)
    for row, file in stored.items():
        image = Image.open(io.BytesIO(file))
        assert image.format == "PNG"
        pixels = np.asarray(image, dtype=float) / 255 * 16
        # Levels of grey are half a step of 256 apart at the most.
        assert np.abs(pixels - digits.images[row]).max() <= 16 / 255 / 2 + 1e-12


@pytest.mark.parametrize(
    "kind", ["array", "floats", "channels first", "paths", "pillow"]
)
def test_photographs_are_webp_of_64_pixels_at_most(kind, tmp_path, table):
    X, y, found = table
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(150, 90, 120, 3), dtype=np.uint8)
    if kind == "floats":
        images = images / 255
    if kind == "channels first":
        images = np.moveaxis(images, 3, 1)
    if kind in ("paths", "pillow"):
        opened = [Image.fromarray(pixels) for pixels in images]
        images = opened
        if kind == "paths":
            images = [tmp_path / f"{i}.png" for i in range(150)]
            for image, path in zip(opened, images, strict=True):
                image.save(path, compress_level=1)
    text = LabelReport.from_filter(found, X, y, images=images).page.html()
    for file in thumbnails(text).values():
        image = Image.open(io.BytesIO(file))
        assert image.format == "WEBP"
        assert image.size == (64, 48)


def test_texts_are_shown_folded_and_cut():
    texts = [f"{'free money ' if i % 2 else 'see you soon '}{i}" for i in range(60)]
    y = np.array(["ham", "spam"])[np.arange(60) % 2]
    y[:2] = "spam", "ham"
    texts[0] = "see you soon " + "x" * 5000
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    ranker = InfluenceRanker(model)
    found = MislabelFilter(ranker, contamination=2 / 60).fit(texts, y)
    page = make(found, texts, y)
    assert {tr["data-row"] for tr in suspects(page)} == {"0", "1"}
    folded = page.one("tr", id="r0").one("details", class_="text")
    assert folded.all("bdi")[-1].text == texts[0][:4000]
    assert "1013 more characters" in folded.text
    assert page.one("tr", id="r1").one("div", class_="text").text == texts[1]


def test_real_targets_have_values_residuals_and_a_number_to_correct():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = X @ [1.0, 2.0, -1.0] + 0.1 * rng.normal(size=120)
    y[7] += 5.0
    y[9] -= 5.0
    found = MislabelFilter(InfluenceRanker(Ridge(1e-3)), contamination=2 / 120)
    found.fit(X, y)
    page = make(found, X, y)
    lines = {int(tr["data-row"]): tr for tr in suspects(page)}
    assert set(lines) == {7, 9}
    for row, sign in ((7, 1), (9, -1)):
        score = lines[row].one("td", class_="score")
        assert float(score["data-v"]) == sign * found.scores_[row]
        labels = [
            e.text for e in lines[row].one("td", class_="labels").all(class_="label")
        ]
        assert labels == [f"{y[row]:.5g}", f"{found.suggested_labels_[row]:.5g}"]
    block = data(page)
    assert block["labels"] is None
    given = {row: value for row, value, _ in block["rows"]}
    assert float(given[7]) == y[7]
    ranges = page.one(class_="card").one("tbody").all("tr")
    assert sum(int(tr.all("td")[0].text) for tr in ranges) == 120
    assert sum(int(tr.all("td")[1].text) for tr in ranges) == 2


def test_labels_of_any_type_are_told_apart_in_order():
    X = np.random.default_rng(0).normal(size=(60, 2))
    for y in (
        np.arange(60) % 12,
        np.arange(60) % 2 == 1,
        (np.arange(60) % 11).astype(str),
    ):
        found = linear(contamination=0.2).fit(X, y)
        labels = [label["text"] for label in data(make(found, X, y))["labels"]]
        assert labels == [str(value) for value in sorted(set(y.tolist()), key=float)]


def test_labels_and_names_have_nothing_invisible_in_them():
    odd = "a\u202eb\u00a0c\x1b\ud800\n"
    y = np.array([odd, " ed\x07ge ", ""], dtype=object)[np.arange(90) % 3]
    X = np.eye(3)[np.arange(90) % 3] + np.arange(90)[:, None] / 1000
    y[:3] = y[[1, 2, 0]]
    frame = pd.DataFrame(X, columns=["x\u200bname", "two", "three"])
    found = linear(contamination=3 / 90, duplicates=None).fit(X, y)
    page = make(found, X, y, columns=frame)
    labels = {e.text for e in page.all(class_="label")}
    assert labels == {"aU+202EbU+00A0cU+001B\\ud800U+000A", "␣edU+0007ge␣", "empty"}
    options = {o.text for o in page.all("option")}
    assert {
        "a[U+202E]b[U+00A0]c[U+001B]\\ud800[U+000A]",
        "[␣]ed[U+0007]ge[␣]",
        "[empty]",
    } <= options
    assert "xU+200Bname" in {dt.text for dt in page.all("dt")}


def test_the_page_asks_nothing_of_a_network_and_runs_its_own_script_alone(page):
    policy = page.one("meta", http_equiv="Content-Security-Policy")["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (script,) = [e for e in page.all("script") if "type" not in e.attributes]
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    for element in page.all():
        assert element.tag not in ("img", "link", "iframe", "form", "object", "base")
        assert not [a for a in element.attributes if a.startswith("on") or a == "src"]
        assert element.attributes.get("href", "#").startswith("#")
    assert len(script.text.splitlines()) < 200


def test_the_list_is_complete_without_a_script(page):
    hidden = [e for e in page.all() if "js" in e.attributes.get("class", "").split()]
    assert not any(e.all(class_="label") for e in hidden)
    assert not any(e.tag in ("button", "input", "select") and not _under(e, hidden)
                   for e in page.all())  # fmt: skip


def _under(element, others):
    while element is not None:
        if element in others:
            return True
        element = element.parent
    return False


@pytest.mark.parametrize("kind", ["table", "columns", "texts"])
def test_hidden_columns_are_in_no_byte(table, kind):
    X, y, _ = table
    secret = "SENTINEL"
    frame = X.assign(**{f"{secret}_name": [f"{secret}_{i}" for i in range(150)]})
    found = linear().fit(X, y)
    shown = {
        "table": {"columns": frame, "hide": [f"{secret}_name"]},
        "columns": {"columns": frame, "hide": f"{secret}_name"},
        "texts": {"texts": [f"text {i}" for i in range(150)], "hide": [X.columns[0]]},
    }[kind]
    report = LabelReport.from_filter(found, X, y, **shown)
    for text in (report.page.html(), report._repr_html_()):
        decoded = [base64.b64decode(m) for m in re.findall(r"base64,([\w+/=]+)", text)]
        for form in (text, html.unescape(text), *map(repr, decoded)):
            assert secret not in form
    assert kind != "texts" or X.columns[0] not in report.page.html()


def test_the_digest_says_nothing_of_hidden_values(table):
    X, y, found = table
    frames = [X.assign(secret=np.arange(150) + shift) for shift in (0, 1)]
    keys = [data(make(found, X, y, columns=f, hide=["secret"]))["key"] for f in frames]
    assert keys[0] == keys[1]
    other = linear(contamination=0.02).fit(X, y)
    assert data(make(other, X, y))["key"] != keys[0]


def test_fewer_rows_are_listed_where_the_page_would_weigh_too_much(table):
    X, y, _ = table
    found = linear(contamination=0.4).fit(X, y)
    report = LabelReport.from_filter(found, X, y)
    whole = report.page.html()
    assert len(suspects(parse(whole))) == 60
    for limit in (len(whole.encode()) - 1, 90_000, 60_000):
        text = report.page.html(max_bytes=limit)
        assert limit - 4_000 < len(text.encode()) <= limit
        page = parse(text)
        n_listed = len(suspects(page))
        assert n_listed < 60
        assert (
            f"The {n_listed} worst of 60 suspects"
            in page.one(class_="note", id=None).text
        )
        assert len(data(page)["rows"]) == n_listed
        listed = {tr["id"] for tr in suspects(page)}
        assert {a["href"][1:] for a in page.all("a", class_="flagged")} <= listed


def test_at_most_500_are_listed():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1060, 2)), np.arange(1060) % 2
    found = linear(contamination=0.48).fit(X, y)
    text = LabelReport.from_filter(found, X, y).page.html()
    assert len(suspects(parse(text))) == 500
    n_flagged = (~found.get_support()).sum()
    assert f"The 500 worst of {n_flagged} suspects" in text


def test_a_notebook_shows_fewer_in_a_frame_with_two_escapes(table):
    X, y, _ = table
    found = linear(contamination=0.4).fit(X, y)
    report = LabelReport.from_filter(found, X, y)
    shown = report._repr_html_()
    frame = parse(shown).one("iframe")
    inner = frame["srcdoc"]
    assert len(suspects(parse(inner))) == 50
    source = re.search(r'srcdoc="([^"]*)"', shown)[1]
    assert source.replace("&quot;", '"').replace("&amp;", "&") == inner
    assert "<" in source and "&lt;" not in source.replace("&amp;lt;", "")
    style = parse(shown).one("style").text
    for theme in ("data-jp-theme-light=false", "vscode-dark", "vscode-high-contrast]"):
        assert theme in style.split("dark}")[0] + "dark}"


def test_nothing_flagged_is_said(table):
    X, y, _ = table
    found = linear(threshold=1e9).fit(X, y)
    page = make(found, X, y)
    assert not suspects(page)
    assert "No row is flagged" in page.text


def test_a_sampler_is_read_like_a_filter(table):
    X, y, found = table
    sampler = MislabelSampler(InfluenceRanker(LogisticRegression()), random_state=0)
    page = make(sampler.fit(X, y), X, y)
    rows = np.flatnonzero(~found.get_support())
    assert {int(tr["data-row"]) for tr in suspects(page)} == set(rows.tolist())


def test_rows_of_weight_zero_are_said(table):
    X, y, _ = table
    weight = np.ones(150)
    weight[:10] = 0
    found = linear().fit(X, y, sample_weight=weight)
    assert "10 rows of weight 0 are not judged" in make(found, X, y).text


def test_write_html_gives_the_path(table, tmp_path):
    X, y, found = table
    report = LabelReport.from_filter(found, X, y)
    path = report.write_html(str(tmp_path / "é.html"))
    assert path == tmp_path / "é.html"
    assert path.read_bytes().decode() == report.page.html()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"images": [1] * 150, "texts": ["a"] * 150}, "images and texts were given"),
        (
            {"texts": ["a"] * 149},
            "texts has 149 rows, and the filter was fitted on 150",
        ),
        ({"columns": np.ones((3, 2))}, "columns has 3 rows"),
        ({"hide": ["no such"]}, r"hide= names \['no such'\]"),
        ({"hide": ["no such"], "texts": ["a"] * 150}, "hide= names"),
        ({"feature_names": ["a"]}, "feature_names has 1 names, and there are 4"),
        ({"feature_names": ["a"], "texts": ["a"] * 150}, "this report shows texts"),
        ({"images": np.ones((150, 4))}, r"images= holds an array of shape \(4,\)"),
    ],
)
def test_what_cannot_be_shown_is_told(table, keywords, message):
    X, y, found = table
    with pytest.raises(ValueError, match=message):
        LabelReport.from_filter(found, X, y, **keywords).page.html()


def test_other_rows_or_labels_than_those_of_the_fit_are_told(table):
    X, y, found = table
    with pytest.raises(ValueError, match="y has 149 labels"):
        LabelReport.from_filter(found, X, y[1:])
    with pytest.raises(ValueError, match="other labels than those"):
        LabelReport.from_filter(found, X, y[::-1])
    with pytest.raises(ValueError, match="X has 149 rows"):
        LabelReport.from_filter(found, X[1:], y)
    with pytest.raises(TypeError, match=r"InfluenceRanker\(...\) finds no suspects"):
        LabelReport.from_filter(found.ranker_, X, y)
    with pytest.raises(NotFittedError):
        LabelReport.from_filter(MislabelFilter(), X, y)


@pytest.mark.parametrize(
    ("package", "keywords"), [("jinja2", {}), ("PIL", {"images": 1})]
)
def test_missing_extras_are_named(table, monkeypatch, package, keywords):
    from sklinfluence.inspection._report import _page

    X, y, found = table
    keywords = {name: np.ones((150, 2, 2)) for name in keywords}
    monkeypatch.setitem(sys.modules, package, None)
    _page._environment.cache_clear()
    _page._template.cache_clear()
    with pytest.raises(ImportError, match=r"sklinfluence\[report\]"):
        LabelReport.from_filter(found, X, y, **keywords).page.html()
