"""The steps of a Pipeline before its last one."""


def steps_before_last(pipeline):
    """Transformers that a Pipeline's last step stands behind, in order.

    Raises
    ------
    ValueError
        If one of them resamples rows.
    """
    before = pipeline.steps[:-1]
    refuse_samplers(before)
    return [step for _, step in before if not does_nothing(step)]


def does_nothing(step):
    """Whether a step of a Pipeline passes on what it is given."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def transformed(steps, X):
    """Rows as what comes after these steps sees them."""
    # Step by step and not by slicing the Pipeline: a slice that ends in a stateless
    # transformer counts as unfitted and warns.
    for step in steps:
        X = step.transform(X)
    return X


def refuse_samplers(steps):
    for name, step in steps:
        if hasattr(step, "fit_resample"):
            raise ValueError(
                f"Step {name!r} of the Pipeline, {type(step).__name__}, resamples its "
                "rows: the last step was not trained on the rows given, so they have "
                "no influence on it. Resample first, then fit a Pipeline without it."
            )
