"""The report on suspected labels that people open and review."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d

from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._typing import Rows
from sklinfluence.inspection._report._findings import check_lengths, findings
from sklinfluence.inspection._report._frame import framed
from sklinfluence.inspection._report._opinions import opinions
from sklinfluence.inspection._report._page import MAX_LISTED, Page
from sklinfluence.inspection._report._things import thing_to_show

# Suspects that a notebook shows: its file keeps a copy of every output.
_MAX_IN_NOTEBOOK = 50
_MAX_BYTES_IN_NOTEBOOK = 1_500_000


class LabelReport(InMemoryMixin):
    """A page of the suspected labels, to be opened, reviewed and sent on.

    One self-contained HTML file that asks nothing of a network: what was flagged, by
    class and by suggested label, and every suspect with the row itself and, where the
    ranker has influence, the rows that speak for and against its label. Where scripts
    run, suspects can be searched, sorted and given verdicts, which are exported as a
    CSV that :func:`~sklinfluence.datasets.apply_review` brings back. Make one with
    :meth:`from_filter`. Read more in the :ref:`User Guide <review>`.

    In a notebook a report shows itself, with fewer suspects.

    Needs the extra ``report``.

    Parameters
    ----------
    page : object
        What :meth:`from_filter` gathered.

    See Also
    --------
    sklinfluence.filtering.MislabelFilter : Finds the suspects.
    sklinfluence.datasets.apply_review : Brings the verdicts back to the labels.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.datasets import flip_labels
    >>> from sklinfluence.filtering import MislabelFilter
    >>> from sklinfluence.inspection import LabelReport
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> y_noisy, is_flipped = flip_labels(y, 0.1, random_state=0)
    >>> suspects = MislabelFilter(random_state=0).fit(X, y_noisy)
    >>> report = LabelReport.from_filter(suspects, X, y_noisy)
    >>> with TemporaryDirectory() as folder:
    ...     path = report.write_html(Path(folder) / "report.html")
    ...     "Suspected label errors" in path.read_text(encoding="utf-8")
    True
    """

    def __init__(self, page: Any) -> None:
        self.page = page

    @classmethod
    def from_filter(
        cls,
        filter: Any,
        X: Rows,
        y: ArrayLike,
        *,
        images: Any = None,
        texts: Sequence[str] | None = None,
        columns: Any = None,
        feature_names: Sequence[str] | None = None,
        hide: Sequence[str] = (),
    ) -> Self:
        """Gather what a fitted filter found.

        Parameters
        ----------
        filter : MislabelFilter or MislabelSampler
            Fitted on X and y.

        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            The rows of its fit.

        y : array-like of shape (n_samples,)
            The labels or targets of its fit.

        images : sequence of n_samples images, default=None
            What the rows are pictures of: arrays of shape (height, width) or (height,
            width, 3 or 4), one array of all, paths, or pillow's images. Shown at 64
            pixels at most.

        texts : sequence of n_samples strings, default=None
            What the rows are texts of; X itself where it is a sequence of strings.

        columns : {data frame, array-like} of shape (n_samples, n_columns), default=None
            A table to show in X's place: what X was made from.

        feature_names : sequence of str, default=None
            Names of the columns that are shown. None: a frame's own, else x0, x1, ...

        hide : sequence of str, default=()
            Columns that stay out of the page, of its export and of what it stores.

        Returns
        -------
        report : LabelReport
            To be written, or shown in a notebook.

        Raises
        ------
        TypeError
            If `filter` is none.
        ValueError
            If X, y or what is to be shown is not of the filter's rows, more than one
            kind is to be shown, or a hidden column is not there.
        ImportError
            If pandas, or pillow for images, is not installed.
        """
        hide = [hide] if isinstance(hide, str) else list(hide)
        found = findings(filter, y)
        n_rows = len(found.scores)
        check_lengths(n_rows, X=X, images=images, texts=texts, columns=columns)
        thing = thing_to_show(X, found, images, texts, columns, feature_names, hide)
        ranker, speaking = filter.ranker_, None
        if hasattr(ranker, "influence"):
            y = column_or_1d(y)
            suspects = found.suspects[:MAX_LISTED]
            speaking = opinions(ranker, X, y, suspects, found.is_flagged)
        return cls(Page(found, thing, speaking))

    def write_html(self, path: str | os.PathLike) -> Path:
        """Write the page, of at most 5 MB and 500 suspects.

        Parameters
        ----------
        path : str or path
            Of the file; what is there is replaced.

        Returns
        -------
        path : Path
            The file that was written.

        Raises
        ------
        ImportError
            If jinja2 is not installed.
        """
        path = Path(path)
        path.write_text(self.page.html(), encoding="utf-8", newline="\n")
        return path

    def _repr_html_(self) -> str:
        return framed(self.page.html(_MAX_IN_NOTEBOOK, _MAX_BYTES_IN_NOTEBOOK))
