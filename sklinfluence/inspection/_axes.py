"""What all displays do before they draw."""

from sklinfluence._sklearn_compat import check_matplotlib_support


def axes_for(display, ax):
    """The axes to draw on, those of a new figure for None."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def put_on(display, ax):
    """What every display keeps of where it was drawn."""
    display.ax_, display.figure_ = ax, ax.figure
    return display
