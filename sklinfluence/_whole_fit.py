"""A fit is whole or has not been: what breaks off leaves the earlier one as it was."""

from functools import wraps


def whole(fit):
    """Decorate ``fit``: after an error or Ctrl-C all attributes are those of before.

    Attributes are put back, not what is in them: a fit makes new objects, and changes
    none that an earlier one made.
    """

    @wraps(fit)
    def fit_or_not(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            # scikit-learn tears down by these what a fit has begun to report.
            running = {k: v for k, v in vars(self).items() if "callback" in k}
            vars(self).clear()
            vars(self).update(before | running)
            raise

    return fit_or_not
