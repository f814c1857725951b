"""What a person does on the page: judges, moves by keys, finds, sorts, exports."""

import csv
import io

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklinfluence.datasets import apply_review
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import LabelReport
from tests.browser.conftest import KINDS, choose, quoted

ROWS = (
    "[...document.querySelectorAll('#list tbody tr:not(.cut)')].map(r => r.dataset.row)"
)
FOCUSED = "document.activeElement.closest('tr')?.dataset.row ?? null"
COUNT = "document.querySelector('#count').textContent"
CSV = "document.querySelector('#csv textarea').value"


def press_all(page, *keys):
    for key in keys:
        page.press(key)


def judged(page, row):
    pressed = f"#r{row} .marks [aria-pressed=true]"
    return page.run(f"document.querySelector({quoted(pressed)})?.value ?? null")


def export(page):
    """The review as it lies in the textarea."""
    page.run("document.querySelector('#export').click()")
    return page.run(CSV)


@pytest.mark.parametrize("kind", KINDS)
def test_a_review_by_keys_alone(browser, pages, kind):
    with browser.open(pages[kind]) as page:
        page.run("localStorage.clear()")
        page.go(pages[kind])
        rows = page.run(ROWS)
        page.run("document.querySelector('#start').focus()")
        page.press("Enter")
        assert page.run(FOCUSED) == rows[0]
        press_all(page, "1", "j", "2", "3")
        assert [judged(page, row) for row in rows[:3]] == ["wrong", "right", "unsure"]
        assert page.run(FOCUSED) == rows[3]
        press_all(page, "k", "0", "ArrowDown", "ArrowUp", "End")
        assert judged(page, rows[2]) is None
        assert page.run(FOCUSED) == rows[-1]
        press_all(page, "j", "Home")
        assert page.run(FOCUSED) == rows[0]
        assert "2 reviewed: 1 wrong, 1 right, 0 unsure" in page.run(COUNT)
        lines = list(csv.DictReader(io.StringIO(export(page))))
        assert [line["verdict"] for line in lines] == ["wrong", "right"]
        assert list(lines[0]) == ["row", "given_label", "verdict", "new_label"]
        page.run("localStorage.clear()")
        assert page.errors() == []


def test_keys_do_nothing_outside_of_the_list(browser, pages):
    with browser.open(pages["table"]) as page:
        page.run("localStorage.clear()")
        page.go(pages["table"])
        page.run("document.body.focus()")
        press_all(page, "1", "2", "j")
        page.run("document.querySelector('#q').focus()")
        press_all(page, "1")
        assert page.run("document.querySelector('#q').value") == "1"
        assert " 0 reviewed" in page.run(COUNT)


def test_keys_in_a_number_field_are_digits(browser, pages):
    with browser.open(pages["regression"]) as page:
        page.run("localStorage.clear()")
        page.go(pages["regression"])
        row = page.run(ROWS)[0]
        page.run(f"document.querySelector('#r{row}').focus()")
        page.press("1")
        preset = float(page.run(f"document.querySelector('#r{row} input').value"))
        page.run(f"document.querySelector('#r{row} input').select()")
        press_all(page, "2", "3", ".", "5", "Tab")
        line = next(csv.DictReader(io.StringIO(export(page))))
        assert line["new_label"] == "23.5" and preset != 23.5
        assert line["verdict"] == "wrong"
        page.run("localStorage.clear()")


def test_the_focus_is_never_hidden(browser, pages):
    for width in (400, 1600):
        with browser.open(pages["table"], width=width, height=700) as page:
            page.run("document.querySelector('#start').click()")
            for _ in range(12):
                page.press("j")
                top, bottom, bar = page.run(
                    "(() => { const r = document.activeElement.getBoundingClientRect(),"
                    " t = document.querySelector('.tools').getBoundingClientRect();"
                    " return [r.top, r.bottom, t.top <= 0 ? t.bottom : 0]; })()"
                )
                assert top >= bar - 1
                assert bottom > top
                assert top < 700


def test_verdicts_outlive_a_reload_and_are_not_shared(browser, pages):
    with browser.open(pages["table"]) as page:
        page.run("localStorage.clear()")
        page.go(pages["table"])
        row = page.run(ROWS)[2]
        page.run(f"document.querySelector('#r{row} [value=wrong]').click()")
        # Of two classes and none: the last.
        choose(page, f"#r{row} .new select", 2)
        page.go(pages["table"])
        assert judged(page, row) == "wrong"
        assert page.run(f"document.querySelector('#r{row} .new select').value") == ""
        page.go(pages["digits"])
        assert " 0 reviewed" in page.run(COUNT)
        page.run("localStorage.clear()")


FOREIGN = [
    "{",
    "[[1]]",
    "[null]",
    '{"a":1}',
    '[["no row",["wrong",0]]]',
    '[["ROW",["no word",0]]]',
    '[["ROW",["wrong",99]]]',
    '[["ROW",["wrong","length"]]]',
    '[["ROW",7]]',
]


@pytest.mark.parametrize("stored", FOREIGN)
def test_foreign_storage_does_no_harm(browser, pages, stored):
    with browser.open(pages["table"]) as page:
        row = page.run(ROWS)[0]
        key = page.run("JSON.parse(document.querySelector('#data').textContent).key")
        stored = stored.replace("ROW", row)
        page.run(f"localStorage.setItem({quoted(key)}, {quoted(stored)})")
        page.go(pages["table"])
        assert " 0 reviewed" in page.run(COUNT)
        assert page.errors() == []
        page.run("localStorage.clear()")


def test_search_filters_and_sorting(browser, pages):
    with browser.open(pages["table"]) as page:
        rows = page.run(ROWS)
        page.run("document.querySelector('#q').focus()")
        press_all(page, *rows[4])
        found = page.run(ROWS)
        assert rows[4] in found and len(found) < len(rows)
        page.run("document.querySelector('#q').value = ''")
        choose(page, "#given", 1)
        choose(page, "#suggested", 1)
        assert page.run(ROWS) == []
        choose(page, "#suggested", 0)
        cells = "[...document.querySelectorAll('tr:not(.cut) .labels')]"
        labels = page.run(f"{cells}.map(cell => cell.textContent.trim())")
        assert labels and len(labels) < len(rows)
        assert all(label.startswith("churned") for label in labels)
        choose(page, "#given", 0)
        button = "document.querySelectorAll('#list thead button')[0]"
        order = f"{button}.closest('th').ariaSort"
        seen = []
        for _ in range(3):
            page.run(f"{button}.click()")
            seen.append((page.run(order), page.run(ROWS)))
        up = sorted(rows, key=int)
        assert seen == [("ascending", up), ("descending", up[::-1]), ("none", rows)]


def test_a_sandboxed_frame_keeps_verdicts_in_memory_and_says_so(
    browser, reports, tmp_path
):
    notebook = tmp_path / "notebook.html"
    shown = (
        reports["table"]
        ._repr_html_()
        .replace("<iframe ", '<iframe sandbox="allow-scripts" ')
    )
    notebook.write_text(f"<!doctype html><body>{shown}", encoding="utf-8")
    with browser.open(notebook.as_uri()) as page:
        # Such a frame is a process of its own.
        since = len(browser.events)
        how = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        page.ask("Target.setAutoAttach", **how)
        found = browser.wait_for("Target.attachedToTarget", page.session, since)

        def inside(script):
            evaluate = {"expression": script, "returnByValue": True}
            session = found["sessionId"]
            answer = browser.ask("Runtime.evaluate", session, **evaluate)
            return answer["result"].get("value")

        inside("new Promise(r => setTimeout(r, 300))")
        assert inside("document.querySelector('#nostore').hidden") is False
        inside("document.querySelectorAll('#list tbody [value=right]')[0].click()")
        assert "1 reviewed" in inside(COUNT)
        inside("document.querySelector('#export').click()")
        assert ",right," in inside(CSV)


def test_the_download_is_what_the_textarea_shows(browser, pages, tmp_path):
    with browser.open(pages["digits"]) as page:
        page.browser.ask(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path),
            eventsEnabled=True,
        )  # fmt: skip
        page.run("document.querySelectorAll('#list tbody [value=wrong]')[0].click()")
        shown = export(page)
        path = tmp_path / "review.csv"
        page.run("new Promise(r => setTimeout(r, 500))")
        text = path.read_bytes()
        assert text.startswith(b"\xef\xbb\xbf")
        # A textarea has line feeds alone.
        assert text[3:].decode().replace("\r\n", "\n") == shown
        page.run("localStorage.clear()")


HOSTILE = [
    "=1+1", "'=x", "-1", "-x", "@a", "\tt", "a\rb", 'q"u', "a,b;c", "", " e ", "NA",
    "__proto__", "constructor", "\u202eevil", "<b>", "é𝒳",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_what_is_exported_is_what_apply_review_reads(browser, tmp_path, seed):
    rng = np.random.default_rng(seed)
    classes = np.array(rng.permutation(HOSTILE)[:6], dtype=object)
    codes = rng.integers(6, size=120)
    X, y = np.eye(6)[codes] + 0.1 * rng.normal(size=(120, 6)), classes[codes]
    y[:12] = classes[(codes[:12] + 1) % 6]
    found = MislabelFilter(
        InfluenceRanker(LogisticRegression()), contamination=0.1
    ).fit(X, y)
    report = LabelReport.from_filter(found, X, y)
    uri = report.write_html(tmp_path / "hostile.html").as_uri()
    page = browser.open(uri)
    page.browser.ask(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path)
    )
    expected, keep = y.copy(), np.ones(120, dtype=bool)
    labels = page.run("JSON.parse(document.querySelector('#data').textContent).labels")
    for row in page.run(ROWS):
        word = str(rng.choice(["wrong", "wrong", "right", "unsure"]))
        page.run(f"document.querySelector('#r{row} [value={word}]').click()")
        if word != "wrong":
            continue
        code = int(rng.integers(len(labels) + ("" not in classes)))
        choose(page, f"#r{row} .new select", code)
        if code < len(labels):
            expected[int(row)] = labels[code]["text"]
        else:
            keep[int(row)] = False
    export(page)
    page.run("new Promise(r => setTimeout(r, 500))")
    new, kept = apply_review(tmp_path / "review.csv", y)
    assert new.tolist() == expected.tolist()
    assert kept.tolist() == keep.tolist()
    page.run("localStorage.clear()")
    page.__exit__()
