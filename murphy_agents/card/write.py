"""The whole card of a model, put together and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from murphy_agents import saved_adapters
from murphy_agents.card import names, training
from murphy_agents.card.told import Told
from murphy_agents.checkpoint import CARD
from murphy_agents.files import write_atomically
from murphy_agents.run.origin import Origin

TAGS = ("murphy", "reinforcement-learning", "code")


@dataclass(frozen=True)
class Form:
    """How a model is stored."""

    has_adapters: bool
    base: str | None = None
    """What the adapters belong to, or were merged into, by the name that it was loaded by."""
    was_in_4bit: bool = False
    """Whether that was in 4 bits in training."""
    merged: str | None = None
    """What is to be said of adapters that were merged into it."""

    @classmethod
    def of(cls, folder: Path) -> Form:
        """As a folder shows it."""
        has_adapters = saved_adapters.are_in(folder)
        base = saved_adapters.base_of(folder) if has_adapters else None
        return cls(has_adapters, base, saved_adapters.were_on_4bit(folder))


def write(
    folder: Path,
    run: Path | None,
    step: int,
    form: Form | None = None,
    evaluation: Sequence[str] = (),
) -> None:
    """Write the card of a model into its folder.

    Args:
        folder: of the model.
        run: folder of the run that made it; where that is not known, the card says less.
        step: of the run, after which the model was saved.
        form: how the model is stored; None: as the folder shows.
        evaluation: paragraphs in Markdown that tell how it was evaluated, if it was.
    """
    told = Told.of(run, step) if run is not None else None
    form = form or Form.of(folder)
    base = _base_model(told, form)
    body = names.without_paths("\n\n".join(_parts(told, form, base, evaluation)))
    write_atomically(folder / CARD, f"---\n{_metadata(form, base)}\n---\n\n{body}\n")


def _metadata(form: Form, base: str | None) -> str:
    from huggingface_hub import ModelCardData

    relation = "adapter" if form.has_adapters else "finetune"
    more: dict[str, Any] = {"base_model": base, "base_model_relation": relation} if base else {}
    data = ModelCardData(
        library_name="peft" if form.has_adapters else "transformers",
        pipeline_tag="text-generation",
        tags=list(TAGS),
        **more,
    )
    return str(data.to_yaml())


def _base_model(told: Told | None, form: Form) -> str | None:
    """Hub name of the model that training began with, where it has one."""
    for name in (form.base, told.model if told else None):
        if name and is_on_hub(name, told):
            return name
    return None


def is_on_hub(model: str, told: Told | None) -> bool:
    """Whether a model's name is one of the hub's, as far as can be told, and no folder's."""
    return names.is_hub_name(model) and not (told is not None and told.is_folder(model))


def _parts(
    told: Told | None, form: Form, base: str | None, evaluation: Sequence[str]
) -> Iterator[str]:
    yield f"# {_title(told, base)}"
    yield " ".join(_intro(told, form, base))
    if told:
        yield "## Training"
        yield from training.parts(told)
    if evaluation:
        yield "## Evaluation"
        yield from evaluation
    yield "## Use"
    yield _use(form)
    if told and told.origin.versions:
        yield "## Made with"
        yield _made_with(told.origin)
    yield "## Licence"
    yield (
        "Not chosen here. The licences of the base model and of the tasks' data may bind what is "
        "made of them; add `license` to the metadata above once it is settled."
    )


def _title(told: Told | None, base: str | None) -> str:
    start = _start(told, base)
    return f"{training.algorithm(told)} on {start}" if told else f"Trained from {start}"


def _start(told: Told | None, base: str | None) -> str:
    """The model that training began with."""
    if base:
        return base
    is_made = told is not None and names.is_made(told.model)
    return f"murphy's own model `{told.model}`" if told and is_made else "a model of a local folder"


def _intro(told: Told | None, form: Form, base: str | None) -> Iterator[str]:
    start = f"[{base}](https://huggingface.co/{base})" if base else _start(told, base)
    adapters = "LoRA adapters, merged into" if form.merged else "LoRA adapters for"
    what = (
        f"{adapters} {start}," if form.merged or form.has_adapters else f"All weights of {start},"
    )
    yield f"{what} trained to write programs and to repair them from what their tests say."
    if told and (form.has_adapters or form.merged) and not told.settings.get("use_peft"):
        yield "Training went on from adapters that were there already."
    if form.was_in_4bit:
        yield (
            "In training the base was held in 4 bits (bitsandbytes NF4, double quantisation): upon "
            "the base in full precision they make a slightly different model."
        )
    if form.merged:
        yield form.merged
    yield (
        "Made with murphy (`pip install murphy-rl`), which implements MURPHY "
        "([arXiv 2511.07833](https://arxiv.org/abs/2511.07833))."
    )


def _use(form: Form) -> str:
    imported = "from transformers import AutoModelForCausalLM, AutoTokenizer"
    kind = "AutoModelForCausalLM"
    if form.has_adapters:
        kind = "AutoPeftModelForCausalLM"
        imported = f"from peft import {kind}\nfrom transformers import AutoTokenizer"
    return (
        f"```python\n{imported}\n\n"
        f'model = {kind}.from_pretrained("NAME")\n'
        'tokenizer = AutoTokenizer.from_pretrained("NAME")\n```\n\n'
        "`NAME` is the folder of this file. To let the model try and repair the tasks of a source, "
        "and count what it solves:\n\n"
        "```bash\nmurphy eval --model NAME --tasks mbpp:test --iterations 3\n```"
    )


def _made_with(made: Origin) -> str:
    listed = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    if made.commit is None:
        return f"{listed}."
    changed = ", with changes that were not committed" if made.is_changed else ""
    later = "".join(f", then {program}" for program in made.gone_on_with)
    return f"{listed}; commit {made.commit}{changed}{later}."
