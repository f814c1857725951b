"""What a filter's summary says: the one place where its sentences are read."""

import re

_WRONG = re.compile(r"of which (\S+) (?:is|are) expected to be wrong")
_UNJUDGED = re.compile(r"(\d+) more of weight 0")


def read_summary(summary):
    """The share expected to be wrong, rows that are not judged, whether by class.

    Parameters
    ----------
    summary : str
        Of `MislabelFilter.summary`: a line on all rows, then, for classes, one a class.

    Returns
    -------
    expected_wrong : str or None
        As the summary has it.
    n_unjudged : int
    is_classification : bool
    """
    head, *classes = summary.splitlines()
    wrong, unjudged = _WRONG.search(head), _UNJUDGED.search(head)
    n_unjudged = int(unjudged[1]) if unjudged else 0
    return wrong and wrong[1], n_unjudged, bool(classes)
