"""Models that are made for one world of tasks, and whether they are given those."""

from __future__ import annotations

from murphy_env.sources import MADE
from murphy_env.sources.spec import parsed


def refuse_other(model: str, **sources: str | None) -> None:
    """Refuse the tasks of another made world than the one that a model is made for.

    Files, sources that are not made, and models that are not made belong to no world and pass.

    Args:
        model: as settings name it.
        sources: of tasks, by the settings that name them.

    Raises:
        ValueError: a source is of another world; names that of the model's own.

    Example:
        >>> refuse_other("probe:1", tasks="probe:train?variant=strong", eval_tasks="mbpp:test")
    """
    world = model.partition(":")[0]
    if world not in MADE:
        return
    for setting, source in sources.items():
        other = parsed(source) if source else None
        if other is not None and other.name in MADE and other.name != world:
            own = f"{world}:{other.split}" if other.split else world
            raise ValueError(
                f"model is {model!r} and {setting} {source!r}, but it was made for other tasks; "
                f"set {setting} to {own!r} (--{setting} {own}), or model to {other.name!r}"
            )
