"""The command ``sklinfluence``: wrong labels in a file, without any Python."""

from sklinfluence._command._main import main

__all__ = ["main"]
