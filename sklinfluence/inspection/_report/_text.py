"""Texts as a page shows them: nothing invisible, nothing that turns the line around."""

import unicodedata

from sklinfluence._spreadsheet import label_text

# Longer cells are cut, the rest counted; labels, which stand in narrow columns, sooner.
MAX_CELL = 4000
MAX_LABEL = 120
# Letters and marks that show nothing, beside what Unicode calls controls and spaces.
_INVISIBLE = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFD]
    + [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
# Of texts, which may hold joined emoji and no-break spaces: what reorders a line.
_REORDERING = frozenset([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F)]) | frozenset(
    range(0x2066, 0x206A)
)
_LAYOUT = "\n\t"


def pieces_of_label(label):
    """A label or name as (text, whether it is boxed) in turn.

    Controls, format characters, odd spaces and what else cannot be seen are boxed as
    U+XXXX, spaces at the edges as an open box, no text at all as "empty".
    """
    text = label_text(label)
    if not text:
        return [("empty", True)]
    text, rest = text[:MAX_LABEL], text[MAX_LABEL:]
    pieces = _pieces(text, _is_odd_in_label)
    inner = text.strip(" ")
    if inner != text:
        pieces = _with_edges(text, inner)
    return [*pieces, (f"+{len(rest)}", True)] if rest else pieces


def plain_label(label):
    """The same without markup: for options, titles and messages."""
    texts = (
        f"[{text}]" if is_boxed else text for text, is_boxed in pieces_of_label(label)
    )
    return "".join(texts)


def pieces_of_text(text):
    """A text or cell in pieces, of all of it that is shown, and what is left out."""
    text = label_text(text).replace("\r\n", "\n").replace("\r", "\n")
    text, rest = text[:MAX_CELL], text[MAX_CELL:]
    return _pieces(text, _is_odd_in_text), len(rest)


def _with_edges(text, inner):
    n_before = len(text) - len(text.lstrip(" "))
    n_after = len(text) - n_before - len(inner)
    before, after = [("␣", True)] * n_before, [("␣", True)] * n_after
    return [*before, *_pieces(inner, _is_odd_in_label), *after]


def _pieces(text, is_odd):
    if text.isascii() and text.isprintable():
        return [(text, False)] if text else []
    pieces, plain = [], []
    for character in text:
        if not is_odd(character):
            plain.append(character)
            continue
        if plain:
            pieces.append(("".join(plain), False))
            plain = []
        pieces.append((f"U+{ord(character):04X}", True))
    return [*pieces, ("".join(plain), False)] if plain else pieces


def _is_odd_in_label(character):
    if " " <= character <= "~":
        return False
    kind = unicodedata.category(character)
    return kind[0] in "CZ" or ord(character) in _INVISIBLE


def _is_odd_in_text(character):
    if " " <= character <= "~" or character in _LAYOUT:
        return False
    is_control = unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn")
    return is_control or ord(character) in _REORDERING


def number_text(value):
    """A number in as few digits as tell it from its neighbours on a page."""
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.5g}"
