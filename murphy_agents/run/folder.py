"""A run's folder: claimed by one run at a time, and gone on with by a later one.

    config.json, algorithm.txt, model.txt, origin.json   written before the first step
    metrics.jsonl, rollouts.jsonl, timeline.jsonl   grow step by step; see `log`
    checkpoint-N                    model, tokenizer, card, and all else that a step changes
    final                           the same after the last step; only a finished run has it
    base-DIGEST                     a 'tiny' model that adapters belong to, or vLLM began with

Resuming takes the newest whole checkpoint and cuts the logs to what belonged to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from murphy_agents import card, checkpoint, files
from murphy_agents.algorithms import Algorithm
from murphy_agents.checkpoint import State
from murphy_agents.config import TrainConfig, steps_of
from murphy_agents.run import origin, provenance

LOGS = ("metrics.jsonl", "rollouts.jsonl", "timeline.jsonl")
FINAL = "final"
VIEW = "view.html"
"""The page that `murphy view` makes of a run."""


@dataclass
class RunFolder:
    """The folder of the one run that may write there now."""

    path: Path
    config: TrainConfig
    num_steps: int
    tasks: str
    start: Path | None = None
    """The checkpoint that the run goes on from; None: from the beginning."""
    state: State = field(default_factory=State)
    """Of that checkpoint."""
    skipped: tuple[str, ...] = ()
    """What is wrong with newer checkpoints, which are not whole."""

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after this step."""
        every = self.config.save_steps
        is_regular = every > 0 and step % every == 0
        return is_regular or step == self.num_steps or step in self._kept

    def save(self, step: int, fill: Callable[[Path], None], log_bytes: Mapping[str, int]) -> None:
        """Write the checkpoint of a step, or the final model after the last one.

        Args:
            step: that was finished.
            fill: writes model, optimizer and the like to the folder that it is given.
            log_bytes: length of the logs, which must be on the disk.
        """
        name = FINAL if step == self.num_steps else f"checkpoint-{step}"
        state = State(step, self.num_steps, self.tasks, log_bytes)

        def whole(folder: Path) -> None:
            fill(folder)
            # In place of the one that peft writes, which names folders of this machine.
            card.write(folder, self.path, step)

        checkpoint.write(self.path / name, whole, state)
        if (limit := self.config.save_total_limit) is not None:
            # Numbers above the step's are damaged ones that resuming passed over.
            numbers = {path: checkpoint.number(path) for path in checkpoint.numbered(self.path)}
            old = [p for p, n in numbers.items() if n <= step and n not in self._kept]
            for path in old[limit:]:
                files.remove(path)

    @property
    def _kept(self) -> Sequence[int]:
        """Steps whose checkpoints are there for their own sake."""
        return self.config.keep_steps or ()


def refuse_used(config: TrainConfig, algorithm: Algorithm) -> None:
    """Refuse a folder with a run in it that is neither to be replaced nor to be gone on with.

    Raises:
        FileExistsError: the folder holds a run, or part of one, and nothing is said of it.
        ValueError: the run to go on with has other settings, or cannot be read; or the model to
            train lies in what would be replaced.
    """
    folder = Path(config.output_dir)
    if not config.output_dir or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"output_dir is {config.output_dir!r}; give a folder, new or there")
    old = _old(folder)
    if old and config.resume:
        provenance.check_same(folder, config, algorithm)
    elif old and not config.overwrite_output_dir:
        raise FileExistsError(
            f"output_dir {config.output_dir!r} holds {old[0].name} of an earlier run; choose "
            "another folder, or set resume to go on with it, or overwrite_output_dir to replace it"
        )
    model = Path(config.model).resolve()
    if any(path.resolve() in (model, *model.parents) for path in old):
        raise ValueError(
            f"model {config.model!r} lies in output_dir {config.output_dir!r} and would be "
            "deleted; write into another folder"
        )


def finished(config: TrainConfig) -> Path | None:
    """The final model, where the run to resume has come to its end; else None.

    Raises:
        ValueError: it has, but the folder is damaged; or no checkpoint to go on from is whole.
    """
    folder = Path(config.output_dir)
    if not config.resume:
        return None
    if (folder / FINAL).exists():
        checkpoint.read_state(folder / FINAL)
        return folder / FINAL
    checkpoint.newest(folder)
    return None


@contextlib.contextmanager
def claimed(
    config: TrainConfig, algorithm: Algorithm, task_ids: Sequence[str], given: Sequence[str] = ()
) -> Iterator[RunFolder]:
    """The run's folder, this run's alone within the context, ready for its next step.

    What an earlier run left is deleted, or is where the run goes on. Call `refuse_used` before any
    work; it is asked once more under the lock.

    Args:
        config: of the run.
        algorithm: of the run.
        task_ids: of its tasks, in their order.
        given: what stood in place of settings, see `origin.Origin`.

    Raises:
        FileExistsError: another run is writing into it, or has finished this very run.
        ValueError: the tasks are not those of the run to resume.
    """
    folder = Path(config.output_dir)
    tasks = hashlib.blake2b("\n".join(task_ids).encode(), digest_size=16).hexdigest()
    run = RunFolder(folder, config, steps_of(config, len(task_ids)), tasks)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(
                f"another run is writing into output_dir {config.output_dir!r}; choose another"
            ) from error
        refuse_used(config, algorithm)
        if finished(config):
            raise FileExistsError(f"output_dir {config.output_dir!r}: the run is finished by now")
        files.remove_unfinished(folder)
        if config.resume:
            run.start, run.state, run.skipped = checkpoint.newest(folder)
        if run.start is None:
            _begin(folder, config, algorithm)
            origin.write(folder, config, len(task_ids), given)
        elif run.state.tasks != tasks:
            raise ValueError(
                f"the tasks are not those that the run in output_dir {config.output_dir!r} began "
                "with (other ids, or another order); give it the same ones"
            )
        else:
            origin.go_on(folder)
        yield run


def _begin(folder: Path, config: TrainConfig, algorithm: Algorithm) -> None:
    """Empty the folder of an earlier run and write down what this one was told."""
    shown = [folder / "tensorboard", folder / VIEW] if config.overwrite_output_dir else []
    for path in (*_old(folder), *shown):
        files.remove(path)
    provenance.write(folder, config, algorithm)


def _old(folder: Path) -> list[Path]:
    """What an earlier run left there and a new one would write.

    The logs come last: wherever the deletion of these ends, what is left can be resumed.
    """
    left = [folder / FINAL, *checkpoint.numbered(folder), *(folder / name for name in LOGS)]
    # Empty logs are those of a run that ended before its first step.
    return [path for path in left if path.is_dir() or (path.exists() and path.stat().st_size)]
