"""What all displays share: their axes, the styles they are given, their legend."""

from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._sklearn_compat import (
    _validate_style_kwargs,
    check_matplotlib_support,
)


class Display(InMemoryMixin):
    """A picture that keeps what it shows; subclasses are dataclasses with a `plot`."""

    @classmethod
    def _needs_matplotlib(cls, method):
        check_matplotlib_support(f"{cls.__name__}.{method}")

    def _start(self, ax):
        """The axes to draw on, those of a new figure for None."""
        self._needs_matplotlib("plot")
        import matplotlib.pyplot as plt

        return self._new_axes(plt) if ax is None else ax

    def _new_axes(self, plt):
        return plt.subplots(layout="constrained")[1]

    def _finish(self, ax, legend=None):
        """A legend, where it is asked for and something has a name; the axes, kept."""
        if legend is not None and ax.get_legend_handles_labels()[0]:
            ax.legend(**legend)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def styled(style, given):
    """A style with what the user gave for it; aliases of one another may not clash."""
    return _validate_style_kwargs(style, given or {})


def labelled(name):
    """The style of what is called so in the legend, of nothing there for None."""
    return {} if name is None else {"label": name}


def chance(name):
    """The style of what an order by chance gives."""
    return {"color": "k", "linestyle": ":", "label": name}


def line(ax, x, y, style):
    """One line, as the artist that it is."""
    (drawn,) = ax.plot(x, y, **style)
    return drawn
