"""`murphy export`: the model of a run or a checkpoint, in a folder of its own, as others load it.

Adapters alone, or merged into their base, or all weights where all were trained; with tokenizer and
card, without what a run needs to go on. Files that are not changed are copied bit for bit.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, get_args

from rich.console import Console

from murphy_agents import card, checkpoint, files, merging, saved_adapters
from murphy_agents.report import before_after
from murphy_agents.report.table import for_card
from murphy_agents.run.folder import FINAL

_LEFT_BEHIND = {checkpoint.STATE, "optimizer.pt", "scheduler.pt", "random.pt"}
"""What a run needs to go on."""
_OF_ADAPTERS = {
    saved_adapters.CONFIG, saved_adapters.MARK, "adapter_model.safetensors", "adapter_model.bin",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A model to export."""

    folder: Path
    run: Path | None = None
    """Folder of the run that it is a checkpoint of; None: it was saved by itself."""
    step: int = 0

    @property
    def has_adapters(self) -> bool:
        """Whether it is adapters."""
        return saved_adapters.are_in(self.folder)


def main(arguments: Sequence[str], console: Console | None = None) -> Path:
    """What the arguments of the command line ask for; errors as `export`.

    Raises:
        ValueError: an argument that cannot be read.
        SystemExit: `--help`.
    """
    given = _parser().parse_args(arguments)
    return export(
        given.source,
        given.out,
        merge=given.merge,
        base=given.base,
        dtype=given.dtype,
        console=console,
    )


def export(
    source: str | Path,
    out: str | Path,
    *,
    merge: bool = False,
    base: str | None = None,
    dtype: merging.Dtype | None = None,
    console: Console | None = None,
) -> Path:
    """Write a run's model into a folder.

    Args:
        source: folder of a finished run, or of a checkpoint, or of a model that was saved.
        out: folder to write, which must not hold anything.
        merge: merge adapters into their base.
        base: the model that adapters belong to, in place of the one that they name; without
            `merge`, they name it from then on.
        dtype: of merged weights; None: float32.
        console: where is said what was written.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: there is no such model, or the run is not finished.
        FileExistsError: `out` holds something, or is the current folder.
        ValueError: the checkpoint is not whole, settings do not go together, or the adapters cannot
            be merged; see `merging.merge`.
    """
    found, out = find(Path(source)), _free(Path(out))
    _check(found, merge, base, dtype)
    told: list[str] = []

    def fill(folder: Path) -> None:
        told.append(_fill(folder, found, merge, base, dtype or "float32"))

    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.fill_atomically(out, fill)
    finally:
        shutil.rmtree(out.with_name(out.name + files.UNFINISHED), ignore_errors=True)
    console = console or Console()
    for line in (*told, f"written to {out}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return out


def find(source: Path) -> Source:
    """The model that a folder stands for.

    Raises:
        FileNotFoundError: there is none, or the run is not finished.
        ValueError: the checkpoint is not whole.
    """
    if (source / FINAL).is_dir():
        source = source / FINAL
    elif newest := checkpoint.numbered(source):
        raise FileNotFoundError(
            f"the run in {str(source)!r} is not finished and has no {FINAL} model; go on with it "
            f"(--resume), or export its newest checkpoint, {newest[0]}"
        )
    if not any(
        (source / name).is_file() for name in ("config.json", saved_adapters.CONFIG)
    ) or not any([*source.glob("*.safetensors"), *source.glob("*.bin")]):
        raise FileNotFoundError(
            f"{str(source)!r} holds no model; give the folder of a finished run or of a checkpoint"
        )
    if not (source / checkpoint.STATE).is_file():
        return Source(source)
    return Source(source, source.resolve().parent, checkpoint.read_state(source).step)


def _check(found: Source, merge: bool, base: str | None, dtype: merging.Dtype | None) -> None:
    if not found.has_adapters and (merge or base is not None):
        raise ValueError(
            f"{str(found.folder)!r} holds a whole model and no adapters, so there is nothing to "
            "merge and no base to name; drop --merge and --base"
        )
    if dtype is not None and not merge:
        raise ValueError(f"dtype is {dtype!r}, but weights are copied as they are without --merge")
    if not found.has_adapters:
        return
    named = saved_adapters.base_of(found.folder) if base is None else base
    is_asked_for = merge or base is not None
    if is_asked_for and not Path(named).is_dir() and not card.is_on_hub(named, _told(found)):
        raise FileNotFoundError(
            f"the adapters' base is {named!r}, and there is no such folder here; give --base"
        )
    if merge and base is None and saved_adapters.were_on_4bit(found.folder):
        raise ValueError(
            "the adapters were trained on a base in 4 bits, which is too coarse to take them in; "
            "give --base with it in full precision (the run named "
            f"{named!r}): the merged model is that one with the "
            "adapters, and differs from the trained one by what rounding to 4 bits had changed"
        )
    if merge:
        _refuse_unreadable(named)


def _refuse_unreadable(base: str) -> None:
    """Raise FileNotFoundError for a model whose config is neither here nor on the hub."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(base)
    except OSError as error:
        raise FileNotFoundError(
            f"the adapters' base is {base!r}, which is no folder of a model here and cannot be had "
            f"of the hub ({str(error).splitlines()[0]}); give --base"
        ) from error


def _free(out: Path) -> Path:
    """The folder to write, resolved, if nothing stands in its way."""
    resolved = out.resolve()
    if resolved.exists() and (not resolved.is_dir() or any(resolved.iterdir())):
        raise FileExistsError(f"{str(out)!r} is there already; choose another folder")
    if resolved == Path.cwd():
        raise FileExistsError(
            f"{str(out)!r} is the current folder, which would be replaced under you; name one in it"
        )
    return resolved


def _told(found: Source) -> card.Told | None:
    return card.Told.of(found.run, found.step) if found.run is not None else None


def _fill(folder: Path, found: Source, merge: bool, base: str | None, dtype: merging.Dtype) -> str:
    """Write model, tokenizer and card into a folder; gives what is to be said of it."""
    left = _LEFT_BEHIND | {checkpoint.CARD} | (_OF_ADAPTERS if merge else set())
    for path in found.folder.iterdir():
        if path.name not in left and path.is_file():
            shutil.copyfile(path, folder / path.name)
    if merge:
        form, told = _merged(folder, found, base or saved_adapters.base_of(found.folder), dtype)
    else:
        if base is not None:
            saved_adapters.name_base(folder, base)
        form = card.Form.of(folder)
        told = _said(form, _told(found))
    evaluation = _evaluation(found)
    if merge and evaluation:
        evaluation.append("Measured with the adapters apart, before they were merged.")
    card.write(folder, found.run, found.step, form, evaluation)
    return told


def _merged(folder: Path, found: Source, base: str, dtype: merging.Dtype) -> tuple[card.Form, str]:
    merged = merging.merge(found.folder, base, dtype)
    merged.model.save_pretrained(folder)
    told = (
        f"Merged in {'float64' if dtype == 'float64' else 'float32'}, stored in {dtype}: on a few "
        f"ids log-probs differ by at most {merged.distance:.1g} from those with the adapters apart."
    )
    return card.Form(False, base, saved_adapters.were_on_4bit(found.folder), told), told


def _said(form: card.Form, told: card.Told | None) -> str:
    if not form.has_adapters:
        return "All weights of the model, as they were saved."
    if form.base is not None and not card.is_on_hub(form.base, told):
        return (
            f"Adapters alone, which name {form.base!r} as their base: for use elsewhere, give "
            "--base with a name that is known there, or --merge."
        )
    return f"Adapters alone; their base is {form.base}."


def _evaluation(found: Source) -> list[str]:
    """That of the final model, which no other checkpoint may adorn itself with."""
    if found.run is None or found.folder.name != FINAL:
        return []
    both = before_after.of_run(found.run)
    return for_card(both) if both else []


def _parser() -> argparse.ArgumentParser:
    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    parser = Parser(
        prog="murphy export",
        description="The model of a run in a folder of its own, in Hugging Face layout, with "
        "tokenizer and card.",
        allow_abbrev=False,
    )
    parser.add_argument("source", help="folder of a finished run, or one of its checkpoints")
    parser.add_argument("out", help="folder to write; must not hold anything")
    parser.add_argument("--merge", action="store_true", help="merge adapters into their base")
    parser.add_argument(
        "--base", metavar="MODEL", help="the adapters' base, in place of the one that they name"
    )
    parser.add_argument(
        "--dtype", choices=get_args(merging.Dtype), help="of merged weights; float32"
    )
    return parser
