"""Evaluates the model that a run began with and the one it ended with, alike in all but the model.

    evaluation/run.txt      which run both belong to
    evaluation/start        the starting model, where it was made on the spot ('tiny')
    evaluation/base         the evaluation of the starting model
    evaluation/trained      the evaluation of the trained one

Random numbers hang on the task, so both models meet the same ones. The environment is murphy's own,
also where a run was trained with another (`env`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from murphy_agents import files, own_world
from murphy_agents.config import TrainConfig
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.result import SUMMARY_FILE, Evaluation
from murphy_agents.run import provenance
from murphy_agents.run.folder import FINAL, LOGS

_FOLDER = "evaluation"
_RUN = "run.txt"


@dataclass(frozen=True)
class BeforeAfter:
    """Two evaluations on the same tasks."""

    base: Evaluation
    trained: Evaluation


def check(config: TrainConfig) -> None:
    """Find out before a run whether its evaluation can work.

    Raises:
        ValueError: the tasks or the settings are wrong.
        FileNotFoundError: the tasks' file is missing.
        ModuleNotFoundError: matplotlib, which draws the report, is missing.
    """
    import matplotlib  # noqa: F401  # whether it is there

    from murphy_env import sources

    settings = eval_settings(config, config.model, Path(config.output_dir))
    own_world.refuse_other(config.model, eval_tasks=config.eval_tasks)
    sources.load(settings.tasks, settings.bad_rows)


def eval_settings(
    config: TrainConfig, model: str, folder: Path, seed: int | None = None
) -> EvalConfig:
    """How a model of this run is evaluated; goes on with an evaluation that was stopped.

    Args:
        config: of the run.
        model: name or folder.
        folder: of the evaluation.
        seed: of sampling; None: the run's.
    """
    if config.eval_tasks is None:
        raise ValueError("eval_tasks is None; name the tasks to evaluate on, 'embedded:test' say")
    return EvalConfig(
        model=model,
        tasks=config.eval_tasks,
        bad_rows=config.bad_rows,
        train_tasks=config.tasks if config.env is None else None,
        output_dir=str(folder),
        resume=True,
        iterations=config.eval_iterations,
        num_runs=config.eval_runs,
        temperature=config.eval_temperature,
        top_p=config.eval_top_p,
        max_completion_length=config.max_completion_length,
        stop=config.stop,
        seed=config.seed if seed is None else seed,
        prompts=config.prompts,
        transcript=config.transcript,
        hidden_share=config.hidden_share,
        sandbox_level=config.sandbox_level,
        sandbox_workers=config.sandbox_workers,
        dtype=config.dtype,
        load_in_4bit=config.load_in_4bit or None,
        device=config.device,
    )


def forget_other_runs(config: TrainConfig) -> None:
    """Delete what was told of an earlier run that this one has replaced in its folder."""
    run = Path(config.output_dir)
    mark = run / _FOLDER / _RUN
    if mark.exists() and mark.read_text(encoding="utf-8") == _digest(run):
        return
    for name in (_FOLDER, "report.md", "curves.png"):
        files.remove(run / name)
    mark.parent.mkdir()
    files.write_atomically(mark, _digest(run))


def are_whole(config: TrainConfig) -> bool:
    """Whether both evaluations are there already."""
    folder = Path(config.output_dir) / _FOLDER
    return all((folder / name / SUMMARY_FILE).exists() for name in ("base", "trained"))


def of_run(run: Path) -> BeforeAfter | None:
    """The evaluations of the run in that folder, if both were made and are its own."""
    folder = run / _FOLDER
    mark = folder / _RUN
    if not mark.exists() or mark.read_text(encoding="utf-8") != _digest(run):
        return None
    if not all((folder / name / SUMMARY_FILE).exists() for name in ("base", "trained")):
        return None
    return BeforeAfter(Evaluation.load(folder / "base"), Evaluation.load(folder / "trained"))


def evaluate_both(config: TrainConfig, console: Console) -> BeforeAfter:
    """Evaluate both models of a finished run, as far as that is not done.

    Raises:
        ValueError: an evaluation that is there was made with other settings.
    """
    from murphy_agents.evaluation import run as eval_run

    folder = Path(config.output_dir) / _FOLDER
    found: dict[str, Evaluation] = {}
    for name, model in (("base", _start_of(config)), ("trained", _final(config))):
        console.print(f"\nevaluating {name} ({model})", soft_wrap=True, highlight=False)
        found[name] = eval_run.run(
            eval_settings(config, model, folder / name), console, with_table=False
        )
    return BeforeAfter(**found)


def _final(config: TrainConfig) -> str:
    return str(Path(config.output_dir) / FINAL)


def _start_of(config: TrainConfig) -> str:
    """Name of the model that the run began with.

    A 'tiny' one is made again, with the tokenizer that the run made of its tasks.
    """
    if config.model.split(":")[0] != "tiny":
        return config.model
    from transformers import AutoTokenizer

    from murphy_agents.tiny import make_model, save_policy

    folder = Path(config.output_dir) / _FOLDER / "start"
    if not folder.exists():
        kind: Any = config.model.partition(":")[2] or "qwen3"
        tokenizer: Any = AutoTokenizer.from_pretrained(_final(config))
        model = make_model(kind, tokenizer, config.seed)
        files.fill_atomically(folder, lambda path: save_policy(model, tokenizer, path))
    return str(folder)


def _digest(run: Path) -> str:
    """Tells one run from another: its metrics hold clock times, which no two runs share.

    A run without a step has no metrics; its settings decide what it left behind.
    """
    told = (run / LOGS[0]).read_bytes() or provenance.settings_bytes(run)
    return hashlib.blake2b(told, digest_size=16).hexdigest()
