"""What the page holds of a run's trees: plain lists by node, every text once.

strings   every text, once; nodes have its index, or -1 where there is none
trees     step, problem, task (a string) and number of nodes of each tree, in order
nodes     one list per field; a tree's nodes follow each other, parents first:
          parent (index among all nodes, -1: a first attempt), place (among its siblings),
          reward, credit, advantage, weight, tokens, flags, prompt, completion, code, feedback
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from murphy_agents.view.reading import Record

FLAGS = {"pruned": 1, "truncated": 2, "overflow": 4, "solved": 8, "left_out": 16}
MOST_BYTES = 50_000_000
"""Of a page; browsers grow slow above it."""
_NODE_BYTES = 60
_FIELDS = (
    "parent", "place", "reward", "credit", "advantage", "weight", "tokens", "flags",
    "prompt", "completion", "code", "feedback",
)  # fmt: skip
_NONE = -1


class PageData:
    """Takes nodes one by one; `as_json` is what the page reads.

    Args:
        decode: a prompt's ids as text.
        most_bytes: of the page's data; more is refused.
        masks_truncated: whether completions that were cut are left out of the update.
        has_kl: whether the loss has a KL term; without one advantages of 0 are left out too.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        most_bytes: int = MOST_BYTES,
        masks_truncated: bool = False,
        has_kl: bool = True,
    ) -> None:
        self._decode = decode
        self._most_bytes = most_bytes
        self._masks_truncated = masks_truncated
        self._has_kl = has_kl
        self._num_bytes = 0
        self._strings: dict[str, int] = {}
        self._prompts: dict[tuple[int, ...], int] = {}
        self._trees: list[dict[str, Any]] = []
        self._nodes: dict[str, list[Any]] = {name: [] for name in _FIELDS}
        self._paths: dict[tuple[int, ...], int] = {}

    def add(self, record: Record) -> None:
        """Take a node; its parent must have been taken.

        Raises:
            ValueError: the page would be too large, or the node's parent is missing.
        """
        tree = {"step": record["step"], "problem": record["problem"]}
        if not self._trees or not tree.items() <= self._trees[-1].items():
            self._trees.append(tree | {"task": self._string(str(record["task_id"])), "size": 0})
            self._paths = {}
        *above, place = path = tuple(record["path"])
        if above and tuple(above) not in self._paths:
            raise ValueError(
                f"step {record['step']}, problem {record['problem']}: attempt {list(path)} comes "
                "before the one that it refines; restore the run's rollouts.jsonl"
            )
        self._paths[path] = len(self._nodes["parent"])
        self._trees[-1]["size"] += 1
        values = {
            "parent": self._paths.get(tuple(above), _NONE),
            "place": place,
            **self._of(record),
        }
        for name in _FIELDS:
            self._nodes[name].append(values[name])
        self._count(_NODE_BYTES)

    def as_json(self) -> dict[str, Any]:
        """Strings, trees and nodes, as the top of this file says."""
        return {"strings": list(self._strings), "trees": self._trees, "nodes": self._nodes}

    def _of(self, record: Record) -> dict[str, Any]:
        figures = {
            name: short(record[name]) for name in ("reward", "credit", "advantage", "weight")
        }
        texts = {name: self._string(record[name]) for name in ("completion", "code", "feedback")}
        return {
            **figures,
            **texts,
            "tokens": len(record["completion_ids"]),
            "flags": _flags(record, self._masks_truncated, self._has_kl),
            "prompt": self._prompt(tuple(record["prompt_ids"])),
        }

    def _prompt(self, ids: tuple[int, ...]) -> int:
        if ids not in self._prompts:
            self._prompts[ids] = self._string(self._decode(ids))
        return self._prompts[ids]

    def _string(self, told: Any) -> int:
        """The number of a text; what an environment tells otherwise becomes JSON."""
        if told is None:
            return _NONE
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        if text not in self._strings:
            self._count(len(json.dumps(text)))
            self._strings[text] = len(self._strings)
        return self._strings[text]

    def _count(self, num_bytes: int) -> None:
        self._num_bytes += num_bytes
        if self._num_bytes > self._most_bytes:
            last = self._trees[-1]["step"] if self._trees else 1
            raise ValueError(
                f"the page would be larger than {self._most_bytes / 1e6:.0f} MB, which is reached "
                f"at step {last}; name fewer steps, as --steps 1,2,5-9"
            )


def page_data(
    records: Iterable[Record],
    decode: Callable[[Sequence[int]], str],
    most_bytes: int = MOST_BYTES,
    masks_truncated: bool = False,
    has_kl: bool = True,
) -> dict[str, Any]:
    """Strings, trees and nodes of a run, as the top of this file says.

    Args:
        records: nodes, tree by tree, parents first.
        decode: a prompt's ids as text.
        most_bytes: of the result as JSON, about; more is refused.
        masks_truncated: whether completions that were cut are left out of the update.
        has_kl: whether the loss has a KL term; without one advantages of 0 are left out too.

    Raises:
        ValueError: that is too much for a page, or a node's parent is missing.
    """
    data = PageData(decode, most_bytes, masks_truncated, has_kl)
    for record in records:
        data.add(record)
    return data.as_json()


def short(value: float | None) -> float | str | None:
    """Six digits of a figure; what JSON has no number for as text.

    Example:
        >>> short(1 / 3), short(2.0), short(None), short(float("nan"))
        (0.333333, 2, None, 'nan')
    """
    if value is None:
        return None
    if not math.isfinite(value):
        return str(value)
    kept = float(f"{value:.6g}")
    return int(kept) if kept.is_integer() else kept


def _flags(record: Record, masks_truncated: bool, has_kl: bool) -> int:
    score = record.get("pass_rate")
    score = record["reward"] if score is None else score
    is_cut = record["finish_reason"] == "length"
    is_masked = masks_truncated and is_cut
    is_silent = not has_kl and record["advantage"] == 0
    said = {
        "pruned": record["pruned"],
        "truncated": is_cut,
        "overflow": record.get("overflow", False),
        # As `update.batch` and `update.step` have it, whatever the node weighs.
        "left_out": not record["completion_ids"] or is_masked or is_silent,
        # The tests decide where the environment tells them, as in `metrics`.
        "solved": record["reward"] is not None and score >= 1,
    }
    return sum(FLAGS[name] for name, is_so in said.items() if is_so)
