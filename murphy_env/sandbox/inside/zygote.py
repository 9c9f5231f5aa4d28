"""The file that a worker's interpreter is started with: `python -P -s -S .../inside/zygote.py`.

`-I` and `-E` would ignore PYTHONHASHSEED and with it the order of sets; `-P -s -S` in an
environment of our own making keep the user's folders and settings out as well.
"""

if __name__ == "__main__":
    import importlib
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    serve = importlib.import_module("inside.serve")
    del sys.path[0]
    serve.main()
    os._exit(0)
