"""How many positions each layout runs the model on, and how many pairs attend: counted, not timed.

padded     as TRL: all prompts as wide as the longest, all completions too, every row of a
           generation batch (here a problem's tree) at that width
unpadded   each sequence by itself
trie       each distinct prefix once, the whole problem in one row
trained    the completion tokens, which any layout must at least run
"""

from dataclasses import asdict, dataclass
from statistics import mean

from benchmarks.update import trees
from murphy_agents.update.layout import Packed, micro_batches
from murphy_agents.update.trie import build

VOCABULARY = 150_000
"""Large, as in a real model: hardly two random ids are equal."""


@dataclass(frozen=True)
class Work:
    """What one layout of some samples asks of a model; a mean over trees where it is one."""

    tokens: float
    """Positions that the layers are run on."""
    pairs: float
    """Pairs (position, position that it sees), itself included."""


@dataclass(frozen=True)
class Counts:
    """All layouts of the same samples."""

    sequences: float
    trained: float
    padded: Work
    unpadded: Work
    trie: Work
    gathered: float
    """Positions whose keys and values are copied where every segment gets its whole path."""
    split: dict[int, float]
    """Positions of the trie layout by token budget."""

    def ratio(self, more, less):
        """How many times the positions of one layout another one has; "trained" is one too."""
        return self._tokens(more) / self._tokens(less)

    def overhead(self, budget):
        """Share of positions that splitting adds."""
        return self.split[budget] / self.trie.tokens - 1

    def _tokens(self, layout):
        found = getattr(self, layout)
        return found.tokens if isinstance(found, Work) else found


def count(samples, budgets=()):
    """The counts of one problem's samples."""
    width = trl_width(samples)
    lengths = [sample.num_ids for sample in samples]
    trie = build([sample.prompt_ids + sample.completion_ids for sample in samples])
    ends = trie.depth_N[trie.end_S - 1] + 1
    return Counts(
        len(samples),
        sum(len(sample.completion_ids) for sample in samples),
        Work(len(samples) * width, len(samples) * _triangle(width)),
        Work(sum(lengths), sum(map(_triangle, lengths))),
        work_of(micro_batches(samples, sum(lengths), "trie")),
        int(ends.sum()),
        {budget: forwarded(samples, budget) for budget in budgets},
    )


def forwarded(samples, budget, layout="trie"):
    """Positions that the library's own layout runs."""
    return work_of(micro_batches(samples, budget, layout)).tokens


def work_of(parts):
    """What micro-batches of the library ask of a model."""
    pairs = 0
    for part in parts:
        if isinstance(part, Packed):
            # A node sees its path: as many as it is deep.
            pairs += int((part.trie.depth_N + 1).sum())
        else:
            rows = len(part.samples)
            pairs += rows * _triangle(part.num_positions // rows)
    return Work(sum(part.num_positions for part in parts), pairs)


def trl_width(samples):
    """Positions of each of TRL's rows."""
    return max(len(s.prompt_ids) for s in samples) + max(len(s.completion_ids) for s in samples)


def tables(settings):
    """Mean counts over seeds, `{transcript: {tree: Counts}}`."""
    shapes = settings["trees"] | settings["counted_only"]
    found = {}
    for transcript in (*trees.TRANSCRIPTS, trees.COUNT_LAST):
        found[transcript] = {}
        for name, shape in shapes.items():
            if not _differs(transcript, shape):
                continue
            found[transcript][name] = over_seeds(shape, transcript, settings)
    return found


def over_seeds(shape, transcript, settings):
    """Mean counts of a shape."""
    wanted = settings["count"]
    return _mean(
        [
            count(
                trees.samples(shape, transcript, settings["lengths"], seed, VOCABULARY),
                wanted["budgets"],
            )
            for seed in range(wanted["seeds"])
        ]
    )


def _differs(transcript, shape):
    """Whether a tree's counts are not those of an earlier transcript."""
    turns = len(shape["fanout"])
    return turns > {"chat": 0, "requote": 1, trees.COUNT_LAST: 2}[transcript]


def _mean(each):
    def fields(select):
        return Work(mean(select(c).tokens for c in each), mean(select(c).pairs for c in each))

    return Counts(
        mean(c.sequences for c in each),
        mean(c.trained for c in each),
        fields(lambda c: c.padded),
        fields(lambda c: c.unpadded),
        fields(lambda c: c.trie),
        mean(c.gathered for c in each),
        {budget: mean(c.split[budget] for c in each) for budget in each[0].split},
    )


def as_json(found):
    """Tables as plain values."""
    return {t: {name: asdict(c) for name, c in named.items()} for t, named in found.items()}


def from_json(found):
    """The way back."""
    return {t: {name: _counts(c) for name, c in named.items()} for t, named in found.items()}


def _counts(values):
    layouts = {name: Work(**values[name]) for name in ("padded", "unpadded", "trie")}
    split = {int(budget): tokens for budget, tokens in values["split"].items()}
    return Counts(**{**values, **layouts, "split": split})


def _triangle(length):
    return length * (length + 1) // 2
