"""A report's page as the tests read it: a parser of the standard library."""

import base64
import json
import re
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "img", "link"}


class Element:
    """A tag with its attributes, children and text."""

    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.children = []

    def __getitem__(self, name):
        return self.attributes[name]

    @property
    def text(self):
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, tag=None, **attributes):
        """Descendants by tag and attributes, `class_` one of the classes."""
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            if tag in (None, child.tag) and child._has(attributes):
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag=None, **attributes):
        (found,) = self.all(tag, **attributes)
        return found

    def _has(self, asked):
        asked = dict(asked)
        cls = asked.pop("class_", None)
        if cls is not None and cls not in self.attributes.get("class", "").split():
            return False
        return all(
            self.attributes.get(k.replace("_", "-")) == v for k, v in asked.items()
        )


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("root", [], None)

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)


def parse(html):
    """The page's tree; every tag must be closed by its own."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.at is parser.root
    return parser.root


def suspects(page):
    """The lines of the list."""
    return [tr for tr in page.all("tr") if "data-row" in tr.attributes]


def data(page):
    """The block that the script reads."""
    return json.loads(page.one("script", type="application/json").text)


def thumbnails(html):
    """Bytes of the thumbnails by row."""
    rules = re.findall(
        r"\.t(\d+)\{background-image:url\(data:image/\w+;base64,(.*?)\)", html
    )
    assert len(rules) == len({row for row, _ in rules})
    return {int(row): base64.b64decode(text) for row, text in rules}
