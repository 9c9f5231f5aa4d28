"""Random trees of token ids, of given shape and lengths, graded by the library's own algorithms.

What turns share depends on the transcript. With P the first prompt, o an attempt, f its feedback:

    chat            P o f                    the attempt's own ids, extended
    requote         P n q f, P n q f q f     the attempt as other ids q: text that is encoded anew
    requote, n last P q f n, P q f q f n     the same with the count of attempts n at the end

In all of them a prompt of turn 2 shares P with every other one; n differs from turn to turn, so
before the attempts it keeps a prompt of turn 3 from sharing what turn 2 quoted.
"""

import random

from murphy_agents import prune
from murphy_agents.algorithms import grpo, murphy_mars
from murphy_agents.tree import Group, Node
from murphy_agents.update import make_batch

TRANSCRIPTS = ("chat", "requote")
COUNT_LAST = "requote, n last"


def samples(shape, transcript, lengths, seed, vocabulary):
    """The samples of the one problem of a batch, by Def. 1's weights.

    Args:
        shape: `fanout`, and `fails`, `prune`, `b` where it has them; see `settings.yaml`.
        transcript: see above.
        lengths: in tokens.
        seed: of ids, lengths and rewards; the same in every transcript.
        vocabulary: ids are drawn below it.
    """
    root = grow(shape, transcript, lengths, seed, vocabulary)
    algorithm(shape).grade(root)
    return make_batch([root]).samples


def algorithm(shape):
    """What grades such a tree."""
    fanout = tuple(shape["fanout"])
    if len(fanout) == 1:
        return grpo(*fanout)
    if "prune" not in shape:
        return murphy_mars(fanout)
    return murphy_mars(fanout, getattr(prune, shape["prune"])(shape["b"]))


def grow(shape, transcript, lengths, seed, vocabulary):
    """The root of a tree before any grading.

    Raises:
        ValueError: the transcript is unknown.
    """
    if transcript not in (*TRANSCRIPTS, COUNT_LAST):
        raise ValueError(f"transcript is {transcript!r}; choose from {[*TRANSCRIPTS, COUNT_LAST]}")
    draw = _Draw(lengths, seed, vocabulary)
    first = draw.ids(lengths["prompt"])
    counts = [draw.ids(lengths["attempt_count"]) for _ in shape["fanout"]]

    def group(attempts, turn):
        made = Group([], _prompt(transcript, first, counts[turn - 1], attempts), turn)
        size = shape["fanout"][turn - 1]
        failed = set(draw.some(size, shape.get("fails", 1.0)))
        for i in range(size):
            node = Node(draw.reward(), completion_ids=draw.ids(draw.length("completion")))
            # Drawn for every node, so that all transcripts and shapes draw alike.
            quoted = draw.ids(len(node.completion_ids))
            told = (node.completion_ids, quoted, draw.ids(draw.length("feedback")))
            if turn < len(shape["fanout"]) and i in failed:
                node.refinements = group([*attempts, told], turn + 1)
            made.nodes.append(node)
        return made

    return group([], 1)


def _prompt(transcript, first, count, attempts):
    if not attempts:
        return first
    if transcript == "chat":
        return first + tuple(i for own, _, told in attempts for i in own + told)
    quotes = tuple(i for _, quoted, told in attempts for i in quoted + told)
    return first + (quotes + count if transcript == COUNT_LAST else count + quotes)


class _Draw:
    def __init__(self, lengths, seed, vocabulary):
        self._lengths, self._vocabulary = lengths, vocabulary
        self._random = random.Random(seed)

    def ids(self, length):
        return tuple(self._random.choices(range(3, self._vocabulary), k=length))

    def length(self, name):
        return self._random.randint(*self._lengths[name])

    def reward(self):
        return self._random.randrange(10) / 10

    def some(self, size, share):
        return self._random.sample(range(size), round(share * size))
