"""Utilities whose retraining has a closed form: the same numbers, without the fits."""
