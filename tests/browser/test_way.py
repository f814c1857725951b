"""A person's way from a CSV to a corrected one: two commands, and a page between."""

import csv
import json
import subprocess
import sys

import pytest

from tests.browser.conftest import quoted


def sklinfluence(folder, *arguments):
    """Run the command as a person does, and give what it printed."""
    command = [sys.executable, "-m", "sklinfluence", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("mark", [",", ";"])
def test_from_a_file_to_a_corrected_one(browser, tmp_path, mark):
    lines, wrong = ["name;weight;kind"], {4, 17, 30}
    for i in range(60):
        kind = ["mouse", "élan"][i % 2]
        given = ["élan", "mouse"][i % 2] if i in wrong else kind
        weight = str(20 + i / 10 if i % 2 == 0 else 400 + i).replace(".", ",")
        lines.append(f'"=n{i}";{weight};{given}')
    text = "\r\n".join(lines)
    if mark == ",":
        text = text.replace(",", ".").replace(";", ",")
    (tmp_path / "animals.csv").write_bytes(text.encode("utf-8-sig"))
    asked = ["animals.csv", "--target", "kind", "--model", "linear", "--json"]
    asked += ["--ignore", "name", "--output", "suspects.csv", "--report", "page.html"]
    summary = json.loads(sklinfluence(tmp_path, "suspects", *asked))
    assert summary["flagged"] >= 3

    page = browser.open((tmp_path / "page.html").as_uri())
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.ask("Browser.setDownloadBehavior", **folder)
    rows = page.run(
        "[...document.querySelectorAll('#list tr[data-row]')].map(r => r.id)"
    )
    for row in rows:
        word = "wrong" if int(row[1:]) in wrong else "right"
        page.run(f"document.querySelector({quoted(f'#{row} [value={word}]')}).click()")
    page.run("document.querySelector('#export').click()")
    page.run("new Promise(done => setTimeout(done, 500))")
    page.run("localStorage.clear()")
    page.__exit__()

    asked = ["animals.csv", "review.csv", "--target", "kind", "--output", "fixed.csv"]
    assert "3 of 60 rows" in sklinfluence(tmp_path, "apply", *asked)
    expected = text.split("\r\n")
    for i in wrong:
        start, _, _ = expected[i + 1].rpartition(mark)
        expected[i + 1] = start + mark + ["mouse", "élan"][i % 2]
    fixed = (tmp_path / "fixed.csv").read_bytes()
    assert fixed == "\r\n".join(expected).encode("utf-8-sig")
    with (tmp_path / "suspects.csv").open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file, delimiter=mark))
    assert {int(line["row"]) for line in found} >= wrong
    assert all(line["name"].startswith("'=n") for line in found)
