"""The file that a worker's interpreter is started with: `python -P -s -S .../inside/zygote.py`.

`-I` and `-E` would ignore PYTHONHASHSEED and with it the order of sets; `-P -s -S` in an
environment of our own making keep the user's folders and settings out as well.
"""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Serve, from this folder as a package of its own; the packages around it are never run."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    serve = importlib.import_module("inside.serve")
    del sys.path[0]
    serve.main()


if __name__ == "__main__":
    main()
