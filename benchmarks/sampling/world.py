"""A world whose programs only take time: an environment that sleeps, and a codec to go with it.

Prompts have a given number of random ids, the same for the same conversation; what the model says
is numbers. So a rollout's work is known beforehand, and its waiting is that of the setting alone.
"""

import random
import time

import gymnasium as gym

from benchmarks.sampling.work import FIRST_ID
from murphy_env.prompts import as_text
from murphy_env.spaces import Unicode

TURNS = 2


class NumberCodec:
    """A codec without words: a conversation is turned into ids at random, by its content.

    The first message makes `sizes["prompt"]` ids; with an attempt after it there are
    `sizes["child_prompt"]`, of which the first are the same. No id ends a completion.
    """

    eos_ids = frozenset()
    end_of_turn = 0

    def __init__(self, sizes, vocab_size):
        self._prompt = sizes["prompt"]
        self._more = sizes["child_prompt"] - sizes["prompt"]
        self._vocab_size = vocab_size

    def encode(self, messages):
        """The prompt of a conversation."""
        told = [message["content"] for message in messages]
        first = self._ids(told[0], self._prompt)
        return first + self._ids(repr(told[1:]), self._more) if told[1:] else first

    def extend(self, prompt_ids, completion_ids, messages):
        """The prompt that follows a completion; not needed here, since attempts are quoted."""
        raise NotImplementedError("this world quotes attempts; choose transcript='requote'")

    def encode_text(self, text):
        """Numbers as ids."""
        return tuple(map(int, text.split()))

    def decode(self, ids):
        """Ids as numbers."""
        return " ".join(map(str, ids))

    def _ids(self, text, count):
        rng = random.Random(text)
        return tuple(rng.randrange(FIRST_ID, self._vocab_size) for _ in range(count))


class SleepEnv(gym.Env):
    """Every program takes `execution_s` of the clock, no processor time, and fails.

    Args:
        num_tasks: how many there are.
        execution_s: seconds, or what gives them for a program's text.
    """

    observation_space = Unicode()
    action_space = Unicode()
    max_turns = TURNS
    transcript = "requote"

    def __init__(self, num_tasks, execution_s):
        self.task_ids = tuple(f"problem {i}" for i in range(num_tasks))
        self._execution_s = execution_s if callable(execution_s) else lambda text: execution_s
        self._told = []

    def reset(self, *, seed=None, options=None):
        """Begin a task, or come back to a snapshot."""
        super().reset(seed=seed)
        self._told = list(options.get("snapshot") or [options["task_id"]])
        return self._seen()

    def step(self, action):
        """Sleep; reward 0."""
        time.sleep(self._execution_s(action))
        self._told.append(action)
        observation, info = self._seen()
        return observation, 0.0, False, len(self._told) > TURNS, info

    def _seen(self):
        task, *attempts = self._told
        messages = [{"role": "user", "content": task}]
        for attempt in attempts:
            messages += [
                {"role": "assistant", "content": attempt},
                {"role": "user", "content": "It failed."},
            ]
        return as_text(messages), {"messages": messages, "snapshot": list(self._told)}
