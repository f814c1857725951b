"""The main job on real input: find flipped labels in scikit-learn's digits.

One label in ten is flipped, the truth kept. A Pipeline whose last step filters its
training rows is fitted to the flipped labels, and its findings are held against the
truth. Prints the figures and writes one picture:

    python examples/demo.py [--output demo.png]
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier
from sklinfluence.inspection import DetectionCurveDisplay

SEED = 0
SHARE_FLIPPED = 0.1
N_WORST = 5  # rows printed
N_SHOWN = 15  # rows drawn, three rows of five images


def make_data():
    """Split the digits and flip labels of the training part only."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=SEED
    )
    y_noisy, is_flipped = flip_labels(y_train, SHARE_FLIPPED, random_state=SEED)
    return X_train, X_test, y_train, y_test, y_noisy, is_flipped


def classifier():
    return LogisticRegression(max_iter=1000)


def fit_and_time(last_step, X, y):
    model = make_pipeline(StandardScaler(), last_step)
    start = time.perf_counter()
    model.fit(X, y)
    return model, time.perf_counter() - start


def print_detection(mislabel_filter, is_flipped):
    is_flagged = ~mislabel_filter.get_support()
    found = np.sum(is_flagged & is_flipped)
    print("Flipped labels")
    print(f"  flipped            {is_flipped.sum():5d} of {len(is_flipped)} rows")
    print(f"  flagged            {is_flagged.sum():5d}, of them flipped {found}")
    print(f"  precision          {precision_score(is_flipped, is_flagged):9.3f}")
    print(f"  recall             {recall_score(is_flipped, is_flagged):9.3f}")
    average = average_precision_score(is_flipped, mislabel_filter.scores_)
    print(f"  average precision  {average:9.3f}")


def print_accuracy(fits, X_test, y_test):
    print("\nLogistic regression       test accuracy   seconds to fit")
    for name, (model, seconds) in fits.items():
        accuracy = model.score(X_test, y_test)
        print(f"  {name:22s}  {accuracy:13.3f}   {seconds:14.2f}")


def print_worst(mislabel_filter, worst, y_given, y_true):
    print(f"\nThe {N_WORST} worst rows\n    row   score   given -> suggested   (truth)")
    for row in worst[:N_WORST]:
        score = mislabel_filter.scores_[row]
        suggested = mislabel_filter.suggested_labels_[row]
        print(
            f"  {row:5d}  {score:6.2f}   {y_given[row]:>5} -> {suggested:<9}   "
            f"({y_true[row]})"
        )


def draw(mislabel_filter, worst, images, y_given, is_flipped, path):
    """Draw the worst rows as images beside the detection curve."""
    # The one part that needs matplotlib; no window is opened.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
    left.suptitle("Worst rows: given → suggested label (✗: not a planted error)")
    for ax, row in zip(left.subplots(3, N_SHOWN // 3).flat, worst, strict=False):
        ax.imshow(images[row].reshape(8, 8), cmap="gray_r", interpolation="nearest")
        mark = "" if is_flipped[row] else "  ✗"
        suggested = mislabel_filter.suggested_labels_[row]
        ax.set_title(f"{y_given[row]} → {suggested}{mark}", fontsize=11)
        ax.set_axis_off()
    ax = right.subplots()
    DetectionCurveDisplay.from_estimator(mislabel_filter, is_flipped, ax=ax)
    ax.set_title("Share found against share inspected")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo.png"))
    path = parser.parse_args().output

    X_train, X_test, y_train, y_test, y_noisy, is_flipped = make_data()
    fits = {
        "flipped labels": fit_and_time(classifier(), X_train, y_noisy),
        "flipped, with filter": fit_and_time(
            FilteredClassifier(classifier()), X_train, y_noisy
        ),
        "clean labels": fit_and_time(classifier(), X_train, y_train),
    }
    mislabel_filter = fits["flipped, with filter"][0][-1].filter_
    worst = np.argsort(-mislabel_filter.scores_, kind="stable")[:N_SHOWN]

    print_detection(mislabel_filter, is_flipped)
    print_accuracy(fits, X_test, y_test)
    print_worst(mislabel_filter, worst, y_noisy, y_train)
    draw(mislabel_filter, worst, X_train, y_noisy, is_flipped, path)
    print(f"\nPicture: {path.resolve()}")


if __name__ == "__main__":
    main()
