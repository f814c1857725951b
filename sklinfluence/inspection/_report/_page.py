"""One self-contained page of the suspects, as many as its size allows."""

import base64
import hashlib
import json
from datetime import date
from functools import cache
from importlib.resources import files

from sklinfluence._spreadsheet import label_text
from sklinfluence.inspection._report._overview import (
    confusions,
    flagged_by_group,
    matrix,
    shown_label,
)
from sklinfluence.inspection._report._text import number_text

# What a file may weigh, in bytes, and how many suspects it lists at most.
MAX_BYTES = 5_000_000
MAX_LISTED = 500
REVIEW_FILE = "review.csv"


class Page:
    """A report's page.

    Parameters
    ----------
    findings : Findings
    thing : Images, Texts or Table
    opinions : list of Opinions or None
        Of each suspect, where the ranker has influence.
    """

    def __init__(self, findings, thing, opinions):
        self.findings, self.thing, self.opinions = findings, thing, opinions

    def html(self, max_listed=MAX_LISTED, max_bytes=MAX_BYTES):
        """The page, with fewer suspects than there may be where it would weigh more."""
        n_listed = min(max_listed, len(self.findings.suspects))
        while True:
            rows, pictures = self._fitting(n_listed, max_bytes)
            page = self._whole(rows, pictures)
            too_many = len(page.encode()) - max_bytes
            if too_many <= 0 or not rows:
                return page
            # The frame weighs more than was left for it: labels in the data block.
            n_listed = len(rows) - max(1, len(rows) * too_many // max_bytes)

    def _fitting(self, n_listed, max_bytes):
        """Rows of the list as HTML, worst first, and the thumbnails that they show.

        Which suspects are listed decides which evidence rows are links, so that a row
        is rendered for the longest list first; links are no shorter than the rest.
        """
        left = max_bytes - len(self._whole([], {}).encode())
        rows, pictures = [], {}
        listed = set(self.findings.suspects[:n_listed].tolist())
        for number in range(n_listed):
            context = self._row(number, listed)
            html = _template("row.html.j2").render(context)
            new = self.thing.pictures(_pictured(context) - set(pictures))
            left -= len(html.encode()) + sum(len(rule) + 1 for rule in new.values())
            left -= len(json.dumps(self._entry(number))) + 2
            if left < 0:
                return self._again(rows, pictures)
            rows.append(html)
            pictures |= new
        return rows, pictures

    def _again(self, rows, pictures):
        """The same rows, rendered with links to those alone that are listed."""
        listed = set(self.findings.suspects[: len(rows)].tolist())
        contexts = [self._row(number, listed) for number in range(len(rows))]
        rows = [_template("row.html.j2").render(context) for context in contexts]
        shown = set().union(*map(_pictured, contexts)) if contexts else set()
        return rows, {row: rule for row, rule in pictures.items() if row in shown}

    def _row(self, number, listed):
        found = self.findings
        row = int(found.suspects[number])
        own = self.thing.own(row, found.groups[row])
        context = {
            "row": row,
            "given": self._label(found.given[row]),
            "suggested": self._label(found.suggested[row]),
            "heading": self.thing.heading,
            "what": self.findings.what,
            "thing": own,
            "speaking_for": None,
            "against": None,
            **self._score(row),
        }
        if self.opinions is not None:
            own_opinions = self.opinions[number]
            for side in ("speaking_for", "against"):
                rows = getattr(own_opinions, side)
                context[side] = [self._speaker(other, own, listed) for other in rows]
        return context

    def _speaker(self, row, own, listed):
        return {
            "row": row,
            "label": self._label(self.findings.given[row]),
            "is_flagged": bool(self.findings.is_flagged[row]),
            "is_listed": row in listed,
            "brief": self.thing.brief(row, own),
        }

    def _label(self, value):
        if self.findings.is_classification:
            return shown_label(self.findings.labels[value])
        return shown_label(number_text(value))

    def _score(self, row):
        """The number that a suspect is judged by, as text and to sort by."""
        found = self.findings
        score, quality = float(found.scores[row]), float(found.quality[row])
        heading, note = found.score_heading, None
        if found.is_signed:
            score *= 1 if found.given[row] >= found.suggested[row] else -1
            value, text = score, f"{score:+.1f}"
        elif quality == quality and found.is_classification:
            value, text = quality, _share(quality)
            note = f"score {score:.2f}"
        else:
            value, text = score, f"{score:.3g}"
        return {
            "score_heading": heading,
            "score_value": repr(value),
            "score_text": text,
            "score_note": note,
        }

    def _whole(self, rows, pictures):
        found = self.findings
        labels = [shown_label(label) for label in found.labels]
        suspects = found.suspects[: len(rows)]
        is_matrix = matrix(found)
        style, script = _resource("style.css"), _resource("script.js")
        return _template("page.html.j2").render(
            title="Suspected label errors" if labels else "Suspected target errors",
            found_by=f"{found.name}, {found.ranker}",
            made=date.today().isoformat(),
            facts=self._facts(len(rows)),
            evidence=found.evidence,
            notes=self._notes(len(rows)),
            groups=flagged_by_group(found),
            matrix=is_matrix,
            confusions=[] if is_matrix else confusions(found),
            explanation=self._explanation(),
            what=self.findings.what,
            labels=labels,
            given_codes=_codes(found.given, suspects) if labels else [],
            suggested_codes=_codes(found.suggested, suspects) if labels else [],
            kind=self.thing.kind,
            heading=self.thing.heading,
            score_heading=found.score_heading,
            is_coarse=getattr(self.thing, "is_coarse", False),
            has_speakers=self.opinions is not None,
            rows=_safe("\n".join(rows)),
            pictures=_safe("\n".join(pictures.values())),
            data=self._data(len(rows)),
            style=_safe(style),
            script=_safe(script),
            script_hash=_hash(script),
        )

    def _facts(self, n_listed):
        found = self.findings
        n_rows, n_flagged = len(found.scores), int(found.is_flagged.sum())
        return [
            ("rows", f"{n_rows:,}"),
            ("flagged", f"{n_flagged:,}"),
            ("share flagged", f"{n_flagged / n_rows:.1%}"),
            ("expected truly wrong among them", found.expected_wrong or "not known"),
            ("listed here", f"{n_listed:,}"),
        ]

    def _notes(self, n_listed):
        found, notes = self.findings, []
        if n_listed < len(found.suspects):
            notes.append(
                f"The {n_listed} worst of {len(found.suspects)} suspects are listed, "
                "so that the page stays small enough to open and to send. The filter's "
                "report() has all of them."
            )
        if found.n_unjudged:
            notes.append(f"{found.n_unjudged} rows of weight 0 are not judged.")
        return notes

    def _explanation(self):
        found = self.findings
        parts = [found.score_explanation]
        if self.thing.kind == "table":
            such = "its label" if found.is_classification else "a value like its own"
            parts.append(
                f"Unusual: values that few rows of {such} share, suspects left out."
            )
        if self.opinions is not None:
            parts.append(
                f"Speaks for (against): training rows that make the given {found.what} "
                "more (less) likely. Rows that are kept come first, strongest first; ⚑ "
                "marks one that is a suspect itself."
            )
        return " ".join(parts)

    def _data(self, n_listed):
        entries = [self._entry(number) for number in range(n_listed)]
        labels = [
            {"text": label, "plain": shown_label(label)["plain"]}
            for label in self.findings.labels
        ]
        return {
            "key": f"sklinfluence-{self._digest(entries)}",
            "file": REVIEW_FILE,
            "labels": labels or None,
            "rows": entries,
        }

    def _entry(self, number):
        found = self.findings
        row = int(found.suspects[number])
        if found.is_classification:
            return [row, int(found.given[row]), int(found.suggested[row])]
        # The field starts from it: no more digits than a suggestion is worth.
        suggested = label_text(float(f"{found.suggested[row]:.6g}"))
        return [row, label_text(found.given[row]), suggested]

    def _digest(self, entries):
        """Of what is shown: positions, labels, scores, never of a column's values."""
        scores = [repr(float(self.findings.scores[entry[0]])) for entry in entries]
        text = json.dumps([self.findings.labels, entries, scores])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _codes(of, suspects):
    return sorted({int(code) for code in of[suspects]})


def _pictured(context):
    """Rows whose thumbnails a suspect's line shows."""
    own = context["thing"].get("picture")
    if own is None:
        return set()
    sides = [*(context["speaking_for"] or []), *(context["against"] or [])]
    return {own, *(it["brief"]["picture"] for it in sides)}


def _share(value):
    return "<0.1 %" if value < 0.001 else f"{100 * value:.1f} %"


def _hash(script):
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _safe(html):
    """What was made here, and is markup or code by itself."""
    from markupsafe import Markup

    return Markup(html)


@cache
def _resource(name):
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template(name):
    return _environment().get_template(name)


@cache
def _environment():
    """Templates that escape all that they are given, and refuse what is missing."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(
            "LabelReport needs jinja2, which is not installed: `pip install jinja2`, "
            "or with this package, `pip install sklinfluence[report]`."
        ) from error
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_resource),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["pieces"] = _markup
    return environment


def _markup(pieces):
    """Pieces of a text as HTML, escaped."""
    from markupsafe import Markup, escape

    box = Markup('<span class="box">{}</span>')
    parts = (
        box.format(text) if is_boxed else escape(text) for text, is_boxed in pieces
    )
    return Markup("").join(parts)
