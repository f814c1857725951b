"""What the command says beside its results: on standard error, in single lines."""

import sys
import warnings
from contextlib import contextmanager

from sklinfluence._command._bad_input import one_line

# Their warnings are about how tables are read, which is not in the user's hands.
_UNHEARD = ("skrub", "sklearn", "pandas", "numpy", "scipy")


class Said:
    """Notes and progress, without a word of hidden columns.

    Parameters
    ----------
    hidden : list of str
        Names of columns.
    """

    def __init__(self, hidden=()):
        self.hidden = hidden
        self.notes = []

    def note(self, text, *names):
        """Have something to say, unless it is about a hidden column."""
        text = one_line(text)
        if set(names) & set(self.hidden):
            return
        self.notes.append(text)

    def say_notes(self):
        """All notes: after the work, since what went wrong is one line alone."""
        for text in self.notes:
            print(text, file=sys.stderr)

    def progress(self, stage):
        """Say what is being done, to who watches."""
        if sys.stderr.isatty():
            print(f"{stage} ...", file=sys.stderr)

    def without_hidden(self, text):
        """A text in which names of hidden columns are not to be read."""
        for name in filter(None, self.hidden):
            text = text.replace(name, "(hidden)")
        return text


@contextmanager
def said_by_libraries(said):
    """Pass on what the package warns of, as notes; what others do is theirs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for text in dict.fromkeys(str(w.message) for w in caught if _is_ours(w)):
        said.note(said.without_hidden(text))


def _is_ours(warning):
    is_other = any(f"/{name}/" in warning.filename for name in _UNHEARD)
    return warning.category is UserWarning and not is_other
