"""A constructor parameter whose name scikit-learn would take for a method."""


class ParameterOnly:
    """A constructor parameter that is no attribute: read it through get_params.

    scikit-learn asks ``hasattr(estimator, "score")`` to learn whether an estimator can
    score predictions (Pipeline, GridSearchCV and the estimator checks all do) and
    calls what it finds. A parameter of that name must therefore not be found.
    """

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        raise AttributeError(
            f"{self.name} is a parameter, not a method: read it by "
            f"get_params()[{self.name!r}]."
        )

    def __set__(self, instance, value):
        vars(instance)[self.name] = value
