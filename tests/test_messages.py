"""Labels in messages: nothing that a terminal would obey, and the first of many."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklinfluence._messages import printable, shown
from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import flip_detection_scorer

NASTY = "a\nb\x1b[31m\u202ec"
X = np.random.default_rng(0).standard_normal((20, 2))
y = np.array([NASTY, "plain"])[np.arange(20) % 2]
ESCAPED = r"a\nb\x1b[31m\u202ec"


def unseen(model):
    return lambda: model.fit(X, y).score_samples(X[:1], [NASTY + "!"])


@pytest.mark.parametrize(
    "call",
    [
        unseen(InfluenceRanker(LogisticRegression())),
        unseen(MislabelFilter()),
        lambda: flip_labels(np.full(5, NASTY), 0.1),
        lambda: InfluenceRanker(LogisticRegression()).fit(X, y).head_.encode(["b\n"]),
        lambda: flip_detection_scorer(0.01)(MislabelFilter().fit(X, y), X, y),
    ],
)
def test_control_characters_are_escaped(call):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).isprintable()
    assert ESCAPED in str(error.value)


def test_labels_are_shown_as_python_writes_them():
    assert shown(np.array([1, 2])) == "[1, 2]"
    assert shown(np.array(["a", "b"])) == shown(["a", "b"]) == "['a', 'b']"
    assert shown([True, None, 2.5]) == "[True, None, 2.5]"
    assert shown(range(12)) == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"


def test_a_label_alone_is_one_line_without_quotes():
    assert printable("né\n\x1b[2J") == "né\\n\\x1b[2J"
    assert printable(3) == printable(np.int64(3)) == "3"
    assert printable("it's") == "it's"
    assert printable(np.str_('"a"')) == '"a"'
