"""Parameters that are estimators, solvers or filters themselves: an object's parts.

scikit-learn validates the parameters of an estimator when it is fitted. A part that is
not fitted at once (a solver, an estimator behind a filter that takes minutes), or is
never, is validated with the object that holds it, before any work.
"""

from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator


class PartsMixin:
    """Validate parts with the whole; name the default that a nested name asks for.

    Stands before :class:`~sklearn.base.BaseEstimator`. What holds an estimator whose
    parameters it sets before it fits it, as a search does, is no case for it.
    """

    # What stands for a part that is None or a name: what the user is to write out.
    _written_out: dict = {}

    def _validate_params(self):
        super()._validate_params()
        for part in self.get_params(deep=False).values():
            # What is frozen was validated when it was fitted.
            is_ours_to_ask = isinstance(part, BaseEstimator)
            if is_ours_to_ask and not isinstance(part, FrozenEstimator):
                if hasattr(part, "_parameter_constraints"):
                    part._validate_params()

    def set_params(self, **params: Any) -> Self:
        """Set the parameters of this object and of its parts.

        Parameters
        ----------
        **params : dict
            Parameters, those of parts as ``<part>__<parameter>``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter of a part is named where the part is None or a name.
        """
        own = self.get_params(deep=False)
        for key in params:
            name, nested, _ = key.partition("__")
            if nested and name in self._written_out and name not in params:
                if not hasattr(own[name], "set_params"):
                    raise ValueError(
                        f"{key!r} is a parameter of {name}, and {name}={own[name]!r} "
                        f"of {type(self).__name__} has none. Write out what it stands "
                        f"for: {name}={self._written_out[name]}."
                    )
        return super().set_params(**params)
