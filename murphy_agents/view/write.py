"""`murphy view RUN`: puts data, style and script together into one page.

The page forbids itself all network: its content security policy allows the style and the script
that stand in it, by their hashes, and nothing else. What models and programs wrote is data: JSON
in which no `<` is left, put on the screen as text alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import importlib.resources
import json
import re
import webbrowser
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from murphy_agents.card import names
from murphy_agents.card.told import Told
from murphy_agents.card.training import algorithm
from murphy_agents.files import write_atomically
from murphy_agents.run import origin
from murphy_agents.run.folder import VIEW
from murphy_agents.view import prompts, reading
from murphy_agents.view.data import MOST_BYTES, page_data

_SCRIPTS = (
    "trees.js", "colours.js", "difference.js", "layout.js", "list.js", "tree.js", "details.js",
    "keys.js", "main.js",
)  # fmt: skip
_SETTINGS = ("algorithm", "model", "tasks", "seed", "prune", "temperature")
"""Of the run, shown at the top."""
_PAGES = {".html", ".htm"}
"""Names of files that may be replaced end so."""
_UNREAD = {
    "prune": {"algorithm", "make_algorithm"},
    "tasks": {"tasks", "make_env", "env"},
}
"""Settings that nothing read where `train` was given one of these, or another setting names it."""


def main(arguments: Sequence[str], console: Console | None = None) -> Path:
    """What the arguments of the command line ask for; errors as `write_page`.

    Raises:
        ValueError: an argument that cannot be read.
        SystemExit: `--help`.
    """
    given = _parser().parse_args(arguments)
    steps = None if given.steps is None else reading.steps_of(given.steps)
    run = Path(given.run)
    path = write_page(run, None if given.output is None else Path(given.output), steps)
    (console or Console()).print(
        f"written to {path}", soft_wrap=True, highlight=False, markup=False, emoji=False
    )
    if given.open:
        webbrowser.open(path.absolute().as_uri())
    return path


def write_page(
    run: Path,
    output: Path | None = None,
    steps: Collection[int] | None = None,
    most_bytes: int = MOST_BYTES,
) -> Path:
    """Write the page of a run.

    Args:
        run: folder of the run, finished or not.
        output: the page's file, replaced where it is there; by default `view.html` in the folder.
        steps: to show; None: all.
        most_bytes: of the page's data.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: there is no such run, or no folder for the page.
        FileExistsError: the page would replace a file that is none.
        ValueError: the rollouts cannot be read, or are too many for one page.
    """
    rollouts = reading.rollouts_of(run)
    path = run / VIEW if output is None else output
    if path.is_dir() or not path.parent.is_dir():
        raise FileNotFoundError(f"--output is {str(path)!r}; give a file in a folder that is there")
    if path.exists() and path.suffix.lower() not in _PAGES:
        raise FileExistsError(
            f"--output is {str(path)!r}, which is there and is no page; name a .html"
        )
    decode, note = prompts.decoder(run)
    config = _config(run)
    masks = bool(config.get("mask_truncated_completions"))
    has_kl = config.get("beta") != 0
    data = page_data(reading.records(rollouts, steps), decode, most_bytes, masks, has_kl)
    told = {"name": run.resolve().name, "settings": _settings(run, config), "note": note}
    write_atomically(path, page({"run": told, **data}))
    return path


def page(data: Mapping[str, Any]) -> str:
    """The page of a run's data (`data.page_data`, and `run`: name, settings, note)."""
    style = _file("page.css")
    script = '"use strict";\n' + "\n".join(map(_file, _SCRIPTS))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(_plain(data["run"]["name"])),
        "style": style,
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("page.html"))


def _plain(text: str) -> str:
    """A folder's name as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode()


def _file(name: str) -> str:
    files = importlib.resources.files("murphy_agents.view") / "page"
    return (files / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _config(run: Path) -> dict[str, Any]:
    """What the run was told; nothing where it cannot be read."""
    try:
        told = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _settings(run: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the run that tell one from another; pages are sent around, so without paths."""
    try:
        began = origin.read(run)
    except (OSError, ValueError, TypeError):
        began = origin.Origin()
    given = {*began.given, *(name for name in ("make_algorithm", "env") if config.get(name))}
    told = {
        name: config[name]
        for name in _SETTINGS
        if config.get(name) is not None and not given & _UNREAD.get(name, set())
    }
    if "algorithm" in told:
        told["algorithm"] = algorithm(Told(config, "", (), began))
    return {name: names.without_paths(str(value)) for name, value in told.items()}


def _parser() -> argparse.ArgumentParser:
    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    parser = Parser(
        prog="murphy view",
        description="The rollout trees of a run as one HTML page that needs no server and no "
        "network: rewards, credits, advantages, programs, feedback.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="output_dir of a run, finished or not")
    parser.add_argument("--output", metavar="FILE", help="the page; RUN/view.html by default")
    parser.add_argument(
        "--steps", metavar="STEPS", help="steps to show, as 1,2,5-9; all by default"
    )
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    return parser
