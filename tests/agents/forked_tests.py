"""Runs tests on a copy of the package, in a process forked from one that has the libraries loaded.

Started as a program it reads lines of JSON, `[folder, [test, ...]]`, and answers each with one:
`{test: null or why it failed}`. The package is imported in the forked process alone, from the
folder, so that each line is about another copy; loading torch for each would take most of the time.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import hypothesis  # noqa: F401 - loaded for those that are forked
import peft  # noqa: F401
import pytest
import torch  # noqa: F401
from transformers.models.llama import modeling_llama  # noqa: F401
from transformers.models.olmo2 import modeling_olmo2  # noqa: F401
from transformers.models.qwen3 import modeling_qwen3  # noqa: F401

HERE = Path(__file__).parent


class Outcomes:
    """A plugin of pytest: remembers how each test ended."""

    def __init__(self) -> None:
        self.found: dict[str, str | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("/")[2]
        if report.when == "call" or report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            failed = crash.message if crash else str(report.longrepr)
            self.found[name] = failed if report.failed else None


def run(folder: Path, tests: list[str]) -> dict[str, str | None]:
    """In a process of its own: every test that ran, and why it failed if it did."""
    file = folder / "outcomes.json"
    child = os.fork()
    if child == 0:
        try:
            file.write_text(json.dumps(_run_here(folder, tests)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(file.read_text())


def _run_here(folder: Path, tests: list[str]) -> dict[str, str | None]:
    outcomes = Outcomes()
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    # hypothesis is loaded, and brings a plugin whose assertions pytest would rewrite.
    arguments = ["-q", "-p", "no:cacheprovider", "--tb=line"]
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    pytest.main([*arguments, *(str(HERE / test) for test in tests)], [outcomes])
    where = str(sys.modules["murphy_agents"].__file__)
    assert where.startswith(str(folder)), f"tested {where}, not the copy in {folder}"
    return outcomes.found


def main() -> None:
    """Answer until there are no more lines."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what pytest prints
    for line in sys.stdin:
        folder, tests = json.loads(line)
        print(json.dumps(run(Path(folder), tests)), file=answers, flush=True)


if __name__ == "__main__":
    main()
