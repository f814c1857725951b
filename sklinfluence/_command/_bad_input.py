"""What stops the command: something that its user can mend."""


class BadInput(Exception):
    """A message of one line, which says what to do."""


def one_line(text):
    """A text without line breaks or anything else that a terminal would obey."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
