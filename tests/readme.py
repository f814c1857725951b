"""Run the README's Python blocks, as a script too, with what they need and no more."""

import doctest
import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
DOCTEST_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(language):
    """Every fenced block of a language, in order."""
    text = README.read_text(encoding="utf-8")
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, text, flags=re.DOTALL | re.MULTILINE)


def run_prompted(block, namespace):
    """Run a block of `>>>` lines and compare what it prints."""
    example = doctest.DocTestParser().get_doctest(block, namespace, "README", None, 0)
    runner = doctest.DocTestRunner(optionflags=DOCTEST_FLAGS)
    report = []
    runner.run(example, out=report.append, clear_globs=False)
    if runner.failures:
        raise AssertionError("".join(report))
    namespace.update(example.globs)


def run_python_blocks():
    """One after another in one namespace, as a reader would paste them."""
    namespace = {}
    for block in blocks("python"):
        if block.lstrip().startswith(">>>"):
            run_prompted(block, namespace)
        else:
            exec(compile(block, "README.md", "exec"), namespace)


if __name__ == "__main__":
    run_python_blocks()
