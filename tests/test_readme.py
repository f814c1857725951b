"""The README's Python blocks run, one after another, as a reader would paste them."""

import doctest
import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
DOCTEST_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def python_blocks():
    text = README.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run_prompted(block, namespace):
    """Run a block of `>>>` lines and compare what it prints."""
    example = doctest.DocTestParser().get_doctest(block, namespace, "README", None, 0)
    runner = doctest.DocTestRunner(optionflags=DOCTEST_FLAGS)
    report = []
    runner.run(example, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)
    namespace.update(example.globs)


def test_python_blocks_run(tmp_path, monkeypatch):
    # A block may save a picture: not into the checkout.
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks()
    assert blocks, "README.md shows no Python"
    namespace = {}
    for block in blocks:
        if block.lstrip().startswith(">>>"):
            run_prompted(block, namespace)
        else:
            exec(compile(block, "README.md", "exec"), namespace)
