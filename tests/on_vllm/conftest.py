"""Every test in this folder needs vLLM, and is skipped where that is not installed.

The folder is not called vllm: it would then be found as a package of that name by libraries that
ask whether vLLM is installed.
"""

import importlib.util
from pathlib import Path

import pytest

INSTALLED = importlib.util.find_spec("vllm") is not None


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker("vllm")
        # An engine takes ten seconds to start, and a minute where nothing is cached yet.
        item.add_marker(pytest.mark.timeout(300))
        # vLLM and what it imports warn of many things.
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        if not INSTALLED:
            item.add_marker(pytest.mark.skip("vLLM is not installed; `make test-vllm` installs it"))
