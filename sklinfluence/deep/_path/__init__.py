"""A training run's past."""
