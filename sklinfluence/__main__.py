"""``python -m sklinfluence``: the command without its entry point."""

import sys

from sklinfluence._command import main

if __name__ == "__main__":
    sys.exit(main())
