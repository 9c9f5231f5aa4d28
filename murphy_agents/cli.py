"""The command `murphy`. Subcommands import late, so that help and mistakes answer at once."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from murphy_agents.engines.protocol import EngineError
from murphy_env.types import InfrastructureError

_USAGE = """\
murphy: language models learn to repair their own code

  murphy train [--config FILE.yaml] [--SETTING VALUE ...]
      grow trees of attempts, credit them, update the model; `murphy train --help` lists settings,
      `--dry-run` checks model, tasks, counts and memory and trains nothing
  murphy eval [--config FILE.yaml] [--SETTING VALUE ...]
      let a model try and repair, up to k times; pass@1 after each, with error bars
  murphy compare [--config FILE.yaml] [--SETTING VALUE ...]
      algorithms on equal budgets, over warm starts and seeds; a table with error bars
  murphy table [NAME=]FOLDER ... [--baseline NAME] [--output_dir DIR]
      finished evaluations side by side, tested against a baseline; Markdown, LaTeX, CSV, picture
  murphy view RUN [--output FILE] [--steps 1,2,5-9] [--open]
      the trees of a run as one HTML page: rewards, credits, advantages, programs, feedback
  murphy fit [MODEL ...] [--cards GB ...] [--SETTING VALUE ...]
      what can be trained on one GPU, in which way and beside which engine: computed, not measured
  murphy export RUN_OR_CHECKPOINT OUT [--merge] [--base MODEL] [--dtype TYPE]
      a run's model as others load it: adapters alone, or merged into their base; with its card
  murphy doctor [--json]
      what isolates programs on this machine: the level, attacks run live, what would raise it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status.

    0: done. 1: a part of it failed, and the result says which. 2: the arguments or the input were
    wrong. 130: stopped by Ctrl-C.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules named by settings may lie here
    if name == "--version":
        print(importlib.metadata.version("murphy-rl"))
        return 0
    if name in ("-h", "--help"):
        print(_USAGE)
        return 0
    if name not in _COMMANDS:
        print(f"murphy: {name!r} is no command; there is: {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return _COMMANDS[name](rest)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("murphy_env", "murphy_agents"):
            raise
        print(
            f"murphy {name} needs {error.name}; install it with: pip install 'murphy-rl[train]'",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print(f"murphy {name}: stopped; what was written so far stays", file=sys.stderr)
        return 130
    except (ValueError, OSError, InfrastructureError, EngineError, ArithmeticError) as error:
        print(f"murphy {name}: {error}", file=sys.stderr)
    return 2


def _train(arguments: Sequence[str]) -> int:
    _prepare()
    from murphy_agents.config import TrainConfig

    config = read_config(arguments, TrainConfig, "murphy train")
    if config.dry_run:
        from murphy_agents.dry_run import examine

        return 1 if examine(config).num_failed else 0
    if config.eval_tasks:
        from murphy_agents.report import before_after

        before_after.check(config)
    from murphy_agents.training import train

    train(config)
    if config.eval_tasks:
        from murphy_agents.report.write import write_report

        write_report(config)
    return 0


def _eval(arguments: Sequence[str]) -> int:
    _prepare()
    from murphy_agents.evaluation.config import EvalConfig

    config = read_config(arguments, EvalConfig, "murphy eval")
    from murphy_agents.evaluation.run import run

    run(config)
    return 0


def _compare(arguments: Sequence[str]) -> int:
    _prepare()
    from murphy_agents.compare import CompareConfig, compare

    config = read_config(arguments, CompareConfig, "murphy compare")
    return 1 if compare(config).failed else 0


def _table(arguments: Sequence[str]) -> int:
    from murphy_agents.standings.run import main

    main(arguments)
    return 0


def _view(arguments: Sequence[str]) -> int:
    from murphy_agents.view import main

    main(arguments)
    return 0


def _fit(arguments: Sequence[str]) -> int:
    _prepare()
    from murphy_agents.fit import FitConfig
    from murphy_agents.fit.tell import show

    names = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    rest = arguments[len(names) :]
    show(read_config([*(["--models", *names] if names else []), *rest], FitConfig, "murphy fit"))
    return 0


def _export(arguments: Sequence[str]) -> int:
    _prepare()
    from murphy_agents.export import main

    main(arguments)
    return 0


def _doctor(arguments: Sequence[str]) -> int:
    from murphy_env.sandbox.doctor import main

    return main(arguments)


def _prepare() -> None:
    """See that the libraries are there, and quiet what they would say."""
    for extra in ("torch", "transformers"):
        if importlib.util.find_spec(extra) is None:
            raise ModuleNotFoundError(name=extra)
    from transformers.utils.logging import disable_progress_bar

    # peft asks transformers for it by its old name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    # Of reading and writing files; the run shows its own.
    disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped there


def read_config(arguments: Sequence[str], settings: type[Any], command: str) -> Any:
    """Settings from an optional `--config FILE.yaml` and flags; flags win.

    Args:
        arguments: of the command line, after the command.
        settings: the dataclass that describes them.
        command: whose they are, for messages.

    Raises:
        ValueError: an unknown key or flag (the nearest valid name is given), or a wrong value.
        SystemExit: `--help`, or a flag whose value cannot be read.
    """
    from transformers import HfArgumentParser

    from murphy_agents.settings import by_field, check_names, short_names

    arguments = [part for a in arguments for part in (a.split("=", 1) if _is_config(a) else [a])]
    values: dict[str, Any] = {}
    if "--config" in arguments:
        at = arguments.index("--config")
        if at + 1 == len(arguments):
            raise ValueError("--config needs the path of a YAML file")
        values = _yaml(Path(arguments[at + 1]))
        del arguments[at : at + 2]
    if "--config" in arguments:
        raise ValueError("--config is given twice; give one file, flags win over it")
    flags = [a[2:].split("=")[0].replace("-", "_") for a in arguments if a.startswith("--")]
    check_names(settings, values, command)
    check_names(settings, [flag for flag in flags if flag != "help"], command)
    _refuse_mappings(settings, flags)
    parser = _parser_class(HfArgumentParser)(
        settings,
        prog=command,
        usage=f"{command} [--config FILE.yaml] [--SETTING VALUE ...]",
        description="--config names a YAML file with the same settings as keys; flags win over it.",
        allow_abbrev=False,
    )
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise ValueError(f"{unknown[0]!r} belongs to no flag; give settings as --name value")
    fields = [short_names(settings).get(flag, flag) for flag in flags]
    from_flags = {name: getattr(given, name) for name in fields}
    return settings(**(by_field(settings, values) | from_flags))


def _refuse_mappings(settings: type[Any], flags: Sequence[str]) -> None:
    for field in dataclasses.fields(settings):
        if field.name in flags and str(field.type).startswith("dict["):
            raise ValueError(f"--{field.name} is a mapping; write it into the file of --config")


def _is_config(argument: str) -> bool:
    return argument.startswith("--config=")


def _parser_class(base: Any) -> Any:
    """The library's parser, with mistakes raised as ours are."""

    class Parser(base):  # type: ignore[misc]  # the base is known late
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    return Parser


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"--config {path} cannot be read: {error.strerror}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold `setting: value` lines; it holds {values!r}")
    return values


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": _train,
    "eval": _eval,
    "compare": _compare,
    "table": _table,
    "view": _view,
    "fit": _fit,
    "export": _export,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
