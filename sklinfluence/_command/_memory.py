"""How much a table may take of this machine's memory."""

import os

from sklinfluence._command._bad_input import BadInput


def check_memory(path, n_bytes):
    """Refuse what would not fit beside what the models need."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if n_bytes > memory / 2:
        raise BadInput(
            f"{path.name} would take {n_bytes / 1e9:.0f} GB or more, and this machine "
            f"has {memory / 1e9:.0f} GB. Take fewer rows or columns."
        )
