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
            vars(self).clear()
            vars(self).update(before)
            raise

    return fit_or_not
