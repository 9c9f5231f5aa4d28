"""REINFORCE on `gym.make` alone: a table of choices learns to use the feedback.

Four tasks read the same ("combine two numbers") and differ in what their tests want, so a first
attempt is a guess; what the feedback says of it decides the second. The policy is a softmax over
five programs for every prompt that it has met.
"""

from collections import defaultdict

import gymnasium as gym
import numpy as np

from murphy_env import Task

WANTED = ["a + b", "a - b", "a * b", "max(a, b)"]
PROGRAMS = [*WANTED, "a // b"]
TASKS = [
    Task(
        task_id=wanted,
        prompt="Write f(a, b) that combines two numbers.",
        tests=[f"assert f({a}, {b}) == {eval(wanted)}" for a, b in [(7, 2), (3, 4), (9, 5)]],
        entry_point="f",
    )
    for wanted in WANTED
]


def main(episodes=1500, learning_rate=1.0, seed=0):
    """Train; give the share of solved episodes among the first and the last 100."""
    env = gym.make("murphy_env:murphy/CodeFeedback-v0", tasks=TASKS, max_turns=2, reward="gain")
    random = np.random.default_rng(seed)
    logits = defaultdict(lambda: np.zeros(len(PROGRAMS)))
    solved, baseline = [], 0.0
    observation, _ = env.reset(seed=seed)
    for _ in range(episodes):
        steps, total, done = [], 0.0, False
        while not done:
            chances = np.exp(logits[observation]) / np.exp(logits[observation]).sum()
            choice = random.choice(len(PROGRAMS), p=chances)
            steps.append((observation, choice, chances))
            completion = f"<output>\ndef f(a, b):\n    return {PROGRAMS[choice]}\n</output>"
            observation, reward, terminated, truncated, _ = env.step(completion)
            total, done = total + reward, terminated or truncated
        for seen, choice, chances in steps:
            logits[seen] += (
                learning_rate * (total - baseline) * (np.eye(len(PROGRAMS))[choice] - chances)
            )
        baseline += 0.05 * (total - baseline)
        solved.append(terminated)
        observation, _ = env.reset()
    return np.mean(solved[:100]), np.mean(solved[-100:])


if __name__ == "__main__":
    before, after = main()
    print(
        f"solved within two attempts: {before:.0%} of the first episodes, {after:.0%} of the last"
    )
