"""The command line: what may be asked, and how it ends."""

import argparse
import importlib.util
import sys
import traceback

from sklinfluence._command._bad_input import BadInput, one_line

# What is wrong with a file shows as one of these; anything else is a fault of ours.
_TOLD = (BadInput, ValueError, TypeError, OSError, MemoryError, ImportError)
_NEEDED = ("pandas", "skrub", "jinja2")
_BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """Say it in one line."""
        print(f"{self.prog}: {one_line(message)} ({self.prog} --help)", file=sys.stderr)
        sys.exit(_BAD_INPUT)


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        Those of the process if None.

    Returns
    -------
    code : int
        0; 1 where a larger share is flagged than ``--fail-over``; 2 for bad input.
    """
    asked = _parser().parse_args(arguments)
    try:
        _check_installed()
        return _run(asked)
    except _TOLD as error:
        _complain(asked, error)
    except KeyboardInterrupt:
        print("sklinfluence: interrupted, nothing was written", file=sys.stderr)
    except Exception:
        # Python's own code for it, 1, would say that too much is flagged.
        traceback.print_exc()
    return _BAD_INPUT


def _run(asked):
    if asked.command == "suspects":
        from sklinfluence._command._suspects import suspects

        return suspects(asked)
    from sklinfluence._command._apply import apply

    return apply(asked)


def _check_installed():
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise BadInput(
            f"{', '.join(absent)} not installed: pip install 'sklinfluence[report]'."
        )


def _complain(asked, error):
    text = one_line(error) or type(error).__name__
    if isinstance(error, MemoryError):
        text = "this machine has not enough memory. Take fewer rows or columns."
    for name in filter(None, getattr(asked, "hide", [])):
        text = text.replace(name, "(hidden)")
    print(f"sklinfluence {asked.command}: {text}", file=sys.stderr)


def _share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share between 0 and 1")
    return value


def _parser():
    parser = _Parser(
        prog="sklinfluence",
        description="Find wrong labels in a file, and correct them after a review.",
        allow_abbrev=False,
    )
    # The package's own door is above all rooms: it is asked by name.
    package = importlib.import_module(__name__.partition(".")[0])
    version = f"sklinfluence {package.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_suspects(commands)
    _add_apply(commands)
    return parser


def _add_suspects(commands):
    parser = commands.add_parser(
        "suspects",
        help="rows whose label looks wrong",
        description="Find the rows of a file whose label looks wrong. A summary goes "
        "to standard output; files are written only where they are asked for.",
        epilog="Exit status: 0; 1 if a larger share is flagged than --fail-over; 2 for "
        "bad input.",
        allow_abbrev=False,
    )
    _add_data(parser)
    add = parser.add_argument
    add(
        "--model",
        choices=("linear", "forest", "boosting"),
        help="what judges the labels (several models, pooled, if left out)",
    )
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="keep a column out of the models; may be repeated",
    )
    add(
        "--hide",
        action="append",
        default=[],
        metavar="COLUMN",
        help="keep a column out of all that is written; the models use it unless "
        "--ignore names it too; may be repeated",
    )
    add("--output", metavar="CSV", help="where to write the flagged rows")
    add("--report", metavar="HTML", help="where to write a page to review them on")
    add("--json", action="store_true", help="the summary as one JSON object")
    add(
        "--fail-over",
        type=_share,
        metavar="SHARE",
        help="exit with 1 if a larger share of the rows is flagged",
    )


def _add_apply(commands):
    parser = commands.add_parser(
        "apply",
        help="correct the labels after a review",
        description="Write the data with the verdicts of a review: the same file but "
        "for the labels found wrong, or without these rows.",
        allow_abbrev=False,
    )
    _add_data(parser, "review")
    add = parser.add_argument
    add("--output", metavar="FILE", required=True, help="where to write the data")
    add(
        "--wrong",
        choices=("relabel", "drop", "nothing"),
        default="relabel",
        help="what becomes of rows whose label is wrong (default: relabel)",
    )


def _add_data(parser, *others):
    parser.add_argument("data", help="CSV or Parquet file, column names first")
    for name in others:
        parser.add_argument(name, help="CSV that the report's page exports")
    add = parser.add_argument
    add("--target", required=True, metavar="COLUMN", help="the column of labels")
    add(
        "--task",
        choices=("classification", "regression"),
        help="whether labels are classes or numbers (found out if left out)",
    )
    add(
        "--encoding",
        metavar="NAME",
        help="of a CSV that is not UTF-8: latin-1, cp1252, utf-16 ...",
    )
