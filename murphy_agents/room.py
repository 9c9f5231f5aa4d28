"""Whether the tasks' prompts leave room for a completion in the model's context."""

from __future__ import annotations

from murphy_agents.sampler import Sampler


def check_room(sampler: Sampler) -> int:
    """How many tasks' first prompts leave no room for a completion.

    Raises:
        ValueError: all of them.
    """
    room = sampler.engine.context_length - sampler.params.max_tokens
    ids = sampler.envs.task_ids
    prompts = (sampler.codec.encode(sampler.envs.start(task_id).messages) for task_id in ids)
    num_long = sum(len(prompt) > room for prompt in prompts)
    if num_long == len(ids):
        raise ValueError(
            f"max_completion_length is {sampler.params.max_tokens} and the model's context "
            f"{sampler.engine.context_length}: no task's prompt fits beside a completion; lower it"
        )
    return num_long
