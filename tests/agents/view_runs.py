"""Runs to look at: rollouts written by hand, as training logs them."""

import json

BASE = {
    "step": 1, "problem": 0, "task_id": "t", "prompt_ids": [1, 2], "completion_ids": [3, 4, 5],
    "completion": "<output>f = 1</output>", "finish_reason": "stop", "code": "f = 1",
    "pass_rate": 0.5, "feedback": "Passed 1/2", "reward": 0.5, "credit": 0.5, "advantage": 0.0,
    "weight": 0.5, "pruned": False, "overflow": False,
}  # fmt: skip


def node(path, reward=0.5, **fields):
    """A line of rollouts.jsonl; credit and share of passed tests are the reward unless given."""
    told = {"reward": reward, "credit": reward, "pass_rate": reward}
    return {**BASE, "path": list(path), "turn": len(path), **told, **fields}


def few_trees():
    """Four trees over two steps: repaired, solved, never solved with pruned ones, no verdict."""
    return [
        node([0], 0.5, credit=1.0, advantage=0.75, code="a\nb\nc", feedback="b is wrong"),
        node([1], 0.0, advantage=-0.75, code=None, finish_reason="length"),
        node([0, 0], 1.0, advantage=0.866, code="a\nB\nc\nd"),
        node([0, 1], 0.5, advantage=-0.866, code="a\nb\nc"),
        node([1, 0], 0.25, weight=0.0),
        node([0], 1.0, problem=1, task_id="u"),
        node([0], 0.25, step=2, task_id="u", weight=1.0),
        node([0, 0], 0.25, step=2, task_id="u", credit=None, weight=0.0, pruned=True),
        node([0], None, step=2, problem=1, weight=0.0, code=None, feedback="the pool broke"),
    ]


def many_trees(num_trees, fanout=(8, 8)):
    """Trees with every first attempt refined, their texts all different."""
    for problem in range(num_trees):
        task = {"problem": problem, "task_id": f"task-{problem}"}
        for i in range(fanout[0]):
            text = f"program {problem}.{i}"
            yield node([i], 0.0, **task, code=text, completion=text, advantage=0.1 * i)
        for i in range(fanout[0]):
            for j in range(fanout[1]):
                text = f"program {problem}.{i}.{j}"
                yield node([i, j], j / fanout[1], **task, code=text, completion=text)


def write_run(folder, records, end=""):
    """A folder with these rollouts, and `end` after the last whole line."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "rollouts.jsonl").write_text(lines + end)
    return folder
